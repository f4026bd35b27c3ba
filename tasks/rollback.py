"""Rollback: an alias goes back to a version that it had before, in one step."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from headgate.custody import retreat
from headgate.errors import BadInput
from headgate.ledger import Ledger
from headgate.markdown import escaped
from headgate.records import PromotionStarted, PromotionUndone
from headgate.state import State
from headgate.watch import RollbackStarted
from tasks.connect import alias_version, client
from tasks.move import close, finish, guarding, look, put
from tasks.record import Desk, slug

if TYPE_CHECKING:
    from mlflow import MlflowClient

LONGEST = 2000
"""Signs in a reason or a name."""


@task(name="rollback", cache_policy=NO_CACHE)
def rollback(home: str, model: str, reason: str, who: str, to: int | None = None) -> tuple[int, int]:
    """Roll back, and show it on the run's page. See `roll_back`."""
    old, new = roll_back(Path(home), model, reason=reason, who=who, to=to)
    said = f"Instead of version {old}, by {escaped(who)}: {escaped(reason)}"
    text = f"# {escaped(model)} is version {new} again\n\n{said}\n"
    create_markdown_artifact(key=slug(f"{model}-rollback"), markdown=text)
    return old, new


def roll_back(home: Path, model: str, *, reason: str, who: str, to: int | None = None) -> tuple[int, int]:
    """Move the alias of the policy's last stage back, with no evaluation and no approval.

    A promotion that is open is given up first, or recorded if it has happened already.

    Args:
        reason: why; it is recorded. who: who asks; the name is believed.
        to: the version; by default the newest earlier one whose registered bytes are intact.

    Returns:
        The version that was live, and the one that is.

    Raises:
        BadInput: no reason is given, or there is no version to go back to.
        Unavailable: MLflow does not answer. The intention stays open, and the next run settles it.
    """
    for what, text in (("reason", reason), ("who", who)):
        _demand_line(model, what, text)
    desk = Desk(home, model)
    registry = client(desk.home)
    _give_up(desk, registry, who)
    ledger = desk.decide(lambda _, state: (None, _intention(desk, registry, state, reason, to)), actor=who)
    begun = _last(ledger)
    finish(desk, registry)
    return begun.old, begun.new


def _intention(desk: Desk, registry: MlflowClient, state: State, reason: str, to: int | None) -> RollbackStarted:
    if not state.aliases:
        raise BadInput(
            f"rollback of {desk.model}",
            got="nothing that was ever live",
            expected="a version that is live, and one before it",
            next_step=f"see `headgate history {desk.model}`",
        )
    alias = guarding(desk, state).alias
    targets = {version: look(desk, registry, state, version) for version in state.behind.get(alias, ())}
    return RollbackStarted(alias=alias, old=state.aliases[alias], new=retreat(state, alias, to, targets), reason=reason)


def _give_up(desk: Desk, registry: MlflowClient, who: str) -> None:
    intention = desk.state().intention
    if intention is None:
        return
    record = intention.record
    live = alias_version(registry, desk.model, record.alias)
    if not isinstance(record, PromotionStarted) or live == record.new:
        return finish(desk, registry)
    if live != record.old:
        put(registry, desk.model, record.alias, record.old)
    why = f"{who} asked for a rollback"
    close(desk, intention, PromotionUndone(alias=record.alias, now=record.old, started=intention.seq, why=why))


def _last(ledger: Ledger) -> RollbackStarted:
    return RollbackStarted.model_validate(dict(ledger.entries[-1].body))


def _demand_line(model: str, what: str, text: str) -> None:
    if not text.strip() or not text.isprintable() or len(text) > LONGEST:
        raise BadInput(
            f"rollback of {model}",
            got=f"{what} {text!r}",
            expected=f"one line of at most {LONGEST:,} visible signs",
            next_step="say who asks, and why: it is recorded, and others act on it",
        )
