"""Move: an alias in MLflow, between an intention and a record in the ledger, and back where somebody else moved it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from headgate.custody import Target, incident, moved
from headgate.errors import HeadgateError, Tampered, Unavailable
from headgate.policy import Policy
from headgate.promotion import settle
from headgate.record import Record
from headgate.records import Promoted, PromotionStarted, PromotionUndone, Registered
from headgate.state import Intention, State
from headgate.watch import IncidentClosed, RolledBack
from tasks.connect import alias_version, asking
from tasks.load import changed_files, fetch, proof_of
from tasks.record import Desk, now
from tasks.route import keep_up

if TYPE_CHECKING:
    from mlflow import MlflowClient


def finish(desk: Desk, registry: MlflowClient) -> None:
    """Settle the open intention, if there is one: ask where the alias is, move it if need be, read back, record.

    Raises:
        Tampered: somebody else moved the alias in the middle of a promotion, which is then undone if the policy lets
            aliases be put back; or the version's files have changed. Nothing was moved to it then.
        Unavailable: MLflow failed. The intention stays open, and the next call settles it.
    """
    intention = desk.state().intention
    if intention is None:
        return
    step = settle(intention.record, alias_version(registry, desk.model, intention.record.alias))
    if step == "stop":
        raise _moved_by_others(desk, intention, undone=_contest(desk, registry, intention))
    if step == "act":
        _act(desk, registry, intention)
    close(desk, intention, _done(desk, intention))
    # Whoever slept since the intention may just have written over a later decision.
    hold(desk, registry, {intention.record.alias})


def hold(desk: Desk, registry: MlflowClient, aliases: set[str]) -> None:
    """Record what somebody else did to these aliases, and put back what the policy lets be put back.

    Raises:
        Unavailable: MLflow failed. What was recorded stays open, and the next call goes on.
    """
    state = desk.state()
    shown = {alias: alias_version(registry, desk.model, alias) for alias in sorted(aliases)}
    for alias, version in moved(state, shown).items():
        target = look(desk, registry, state, state.aliases.get(alias))
        found = incident(state, alias, version, guarding(desk, state).guard, target, now())
        _once(desk, found, partial(_is_disputed, alias))
    for slot, opened in desk.state().incidents.items():
        if opened.response == "restore" and opened.alias in aliases:
            restore(desk, registry, slot)


def restore(desk: Desk, registry: MlflowClient, slot: int, how: str = "put back", actor: str = "pipeline") -> None:
    """Bring the alias of an open incident to where the ledger has it, and close the incident."""
    state = desk.state()
    alias, due = state.incidents[slot].alias, state.aliases.get(state.incidents[slot].alias)
    if state.intention is not None and state.intention.record.alias == alias:
        return  # whoever settles the intention moves it
    if alias_version(registry, desk.model, alias) != due:
        put(registry, desk.model, alias, due)
    closed = IncidentClosed(incident=slot, alias=alias, now=due, how=how)
    _once(desk, closed, lambda s: slot not in s.incidents, actor)


def put(registry: MlflowClient, model: str, alias: str, version: int | None) -> None:
    """Point an alias to a version, or to nothing, and read it back.

    Raises:
        Unavailable: MLflow failed, or shows another version afterwards.
    """
    with asking(f"alias '{alias}' of {model}"):
        if version is None:
            registry.delete_registered_model_alias(model, alias)
        else:
            registry.set_registered_model_alias(model, alias, str(version))
    shown = alias_version(registry, model, alias)
    if shown != version:
        raise Unavailable(
            f"alias '{alias}' of {model}",
            got=f"version {shown} right after it was set",
            expected=f"version {version}",
            next_step="run the command again; it finds the open intention and settles it",
        )


def look(desk: Desk, registry: MlflowClient, state: State, version: int | None) -> Target:
    """A version as the registry has it: whether it is there, and with the bytes that were registered."""
    made = None if version is None else state.maker(version)
    if made is None:
        return Target(exists=version is None)
    registered = made.step(Registered)
    if not _exists(registry, desk.model, registered.version):
        return Target(exists=False)
    try:
        return Target(changed=changed_files(fetch(desk.home, registered.source), proof_of(desk, registered)))
    except HeadgateError as error:
        return Target(changed=(f"they could not be read ({error.got})",))


def guarding(desk: Desk, state: State) -> Policy:
    """The policy that guards the model's aliases: that of its newest release."""
    return desk.policy(list(state.releases.values())[-1])


def guarded(desk: Desk, state: State) -> set[str]:
    """The aliases of a model that nobody else may make or move: those that are set, and those of all stages."""
    return {*state.aliases, *(stage.alias for stage in guarding(desk, state).rollout.stage)}


def close(desk: Desk, intention: Intention, record: Record) -> None:
    """Record how an intention ended, unless another run has done that; flags that are there follow."""
    _once(desk, record, lambda s: s.intention is None or s.intention.seq != intention.seq, release=intention.release)
    keep_up(desk.home.root)


def _once(
    desk: Desk, record: Record, done: Callable[[State], bool], actor: str = "pipeline", release: str | None = None
) -> None:
    # Two runs may find the same thing at the same time. The ledger takes it once, and refuses the second by its rules.
    try:
        desk.write(release, record, actor=actor)
    except Tampered:
        if not done(desk.state()):
            raise


def _is_disputed(alias: str, state: State) -> bool:
    return alias in state.disputed


def _done(desk: Desk, intention: Intention) -> Record:
    record = intention.record
    if isinstance(record, PromotionStarted):
        serves = desk.release(str(intention.release)).serves
        return Promoted(alias=record.alias, old=record.old, new=record.new, started=intention.seq, serves=serves)
    return RolledBack(alias=record.alias, old=record.old, new=record.new, started=intention.seq)


def _act(desk: Desk, registry: MlflowClient, intention: Intention) -> None:
    # Compared once more: between an intention and the run that settles it may lie days.
    state, record = desk.state(), intention.record
    target = look(desk, registry, state, record.new)
    if target.fault is not None:
        raise _unfit(desk, record.new, target.fault)
    if state.intention is not None and state.intention.seq == intention.seq:
        put(registry, desk.model, record.alias, record.new)


def _contest(desk: Desk, registry: MlflowClient, intention: Intention) -> bool:
    """Put the alias back to where it was before the promotion, and give that up; whether the policy lets it be."""
    record, state = intention.record, desk.state()
    shown = alias_version(registry, desk.model, record.alias)
    target = look(desk, registry, state, record.old)
    found = incident(state, record.alias, shown, guarding(desk, state).guard, target, now())
    if record.alias not in state.disputed:
        desk.write(None, found)
    if found.response == "freeze":
        return False
    put(registry, desk.model, record.alias, record.old)
    undone = PromotionUndone(
        alias=record.alias, now=record.old, started=intention.seq, why="somebody else moved it meanwhile"
    )
    close(desk, intention, undone)
    hold(desk, registry, {record.alias})
    return True


def _exists(registry: MlflowClient, model: str, version: int) -> bool:
    from mlflow.exceptions import MlflowException

    with asking(f"version {version} of {model}"):
        try:
            registry.get_model_version(model, str(version))
        except MlflowException as error:
            if "not found" in str(error):
                return False
            raise
    return True


def _moved_by_others(desk: Desk, intention: Intention, *, undone: bool) -> Tampered:
    record = intention.record
    return Tampered(
        f"alias '{record.alias}' of {desk.model}",
        got=f"neither version {record.old} nor version {record.new} in the middle of a promotion",
        expected="nobody else to move it",
        next_step=(
            f"it was put back and the promotion undone; find out who moved it, then `headgate release --resume "
            f"{intention.release}`"
            if undone
            else f"find out who moved it, set it back in MLflow, then `headgate guard {desk.model}`"
        ),
    )


def _unfit(desk: Desk, version: int | None, fault: str) -> Tampered:
    return Tampered(
        f"version {version} of {desk.model}",
        got=f"in the middle of its promotion, {fault}",
        expected="the bytes that the gates judged",
        next_step=f"restore the files in MLflow, then `headgate guard {desk.model}`",
    )
