"""Guard: the aliases stay where the ledger says, and nobody is waited for longer than the policy says."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from headgate.entry import moment
from headgate.errors import BadInput, HeadgateError, SlotTaken, Tampered
from headgate.markdown import bullets, escaped
from headgate.patience import overdue
from headgate.policy import Policy
from headgate.records import KINDS, Halted, Promoted, PromotionUndone, record_of
from headgate.story import sentence
from headgate.watch import Escalated, Incident, IncidentClosed, Reminded, RolledBack
from tasks.connect import client
from tasks.move import finish, guarded, hold, look, restore
from tasks.record import Desk, now, slug
from tasks.retreat import back_out

ABANDONED = timedelta(minutes=1)
"""An intention that is older than this was left by a process that died, or that sleeps."""

_OURS = frozenset(
    KINDS[kind]
    for kind in (Promoted, PromotionUndone, RolledBack, Incident, IncidentClosed, Reminded, Escalated, Halted)
)
"""What a look may record. Releases write to the ledger at the same time, and their steps are not its report."""

MOST_DUE = 100
"""Records about one release in one look."""


@task(name="guard", cache_policy=NO_CACHE)
def guard(home: str, model: str) -> tuple[str, ...]:
    """Look after one model, and show what was done on the run's page. See `look_after`."""
    done = look_after(Path(home), model)
    if done:
        create_markdown_artifact(key=slug(f"{model}-guard"), markdown=f"# {escaped(model)}\n{bullets(done)}\n")
    return done


def look_after(home: Path, model: str) -> tuple[str, ...]:
    """Settle what a dead process left, put aliases back, remind, escalate, and halt what nobody approved in time.

    Returns:
        What was recorded, and what could not be done, in sentences; empty if nothing was due.

    Raises:
        Tampered: the ledger is not what was written. Nothing is done then.
        Unavailable: the store or MLflow does not answer.
    """
    desk = Desk(home, model)
    before = desk.whole().size
    trouble = [*_settle(desk), *_hold(desk)]
    _wait(desk)
    told = [entry for entry in desk.ledger().entries[before:] if entry.kind in _OURS]
    return (*(sentence(record_of(entry.kind, dict(entry.body))) for entry in told), *trouble)


def clear(home: Path, model: str, slot: int, *, reason: str, who: str) -> None:
    """Close an incident by hand: the alias is put where the ledger has it.

    Raises:
        BadInput: there is no such open incident, or the version cannot be served any more: roll back first.
    """
    desk = Desk(home, model)
    registry, state = client(desk.home), desk.state()
    if slot not in state.incidents:
        raise _unfit(model, f"no open incident in slot {slot}", f"one of {sorted(state.incidents) or 'none'}")
    due = state.aliases.get(state.incidents[slot].alias)
    fault = look(desk, registry, state, due).fault if due is not None else None
    if fault is not None:
        raise _unfit(model, f"version {due}, of which {fault}", f"`headgate rollback {model}` first")
    restore(desk, registry, slot, how=reason, actor=who)


def _settle(desk: Desk) -> list[str]:
    intention = desk.state().intention
    if intention is None or moment(now()) - moment(intention.time) < ABANDONED:
        return []
    try:
        finish(desk, client(desk.home))
    except Tampered as error:  # told, so that what follows is looked after as well
        return [str(error)]
    return []


def _hold(desk: Desk) -> list[str]:
    state = desk.state()
    if not state.releases:
        return []
    try:
        hold(desk, client(desk.home), guarded(desk, state))
    except HeadgateError as error:
        return [str(error)]
    return []


def _wait(desk: Desk) -> None:
    for name, release in desk.state().releases.items():
        if release.stage == "waiting":
            _be_patient(desk, name, desk.policy(release))


def _be_patient(desk: Desk, name: str, policy: Policy) -> None:
    # One record at a time, since each changes what is due; as often as a policy can have something due at once.
    for _ in range(MOST_DUE):
        ledger = desk.ledger()
        record = overdue(desk.state(ledger).release(name), policy, now())
        if record is None:
            return
        if isinstance(record, Halted):
            back_out(desk, desk.release(name), why=record.failures[0].reason, who="pipeline")
            ledger = desk.ledger()
        with suppress(SlotTaken):  # somebody answered, or another guard was first: look again
            desk.append(ledger, name, record)


def _unfit(model: str, got: str, expected: str) -> BadInput:
    return BadInput(f"incident of {model}", got=got, expected=expected, next_step=f"see `headgate guard {model}`")
