"""Rollback: an alias goes back to a version that it had before, in one step."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from headgate.errors import BadInput
from headgate.markdown import escaped
from headgate.records import PromotionStarted, PromotionUndone
from headgate.release import Release, version_of
from tasks.connect import alias_version, client
from tasks.move import close, finish, guarding, put
from tasks.record import Desk, demand_lines, slug
from tasks.retreat import call_off, take_back

if TYPE_CHECKING:
    from mlflow import MlflowClient


@task(name="rollback", cache_policy=NO_CACHE)
def rollback(home: str, model: str, reason: str, who: str, to: int | None = None) -> tuple[int, int | None]:
    """Roll back, and show it on the run's page. See `roll_back`."""
    old, new = roll_back(Path(home), model, reason=reason, who=who, to=to)
    said = f"Instead of version {old}, by {escaped(who)}: {escaped(reason)}"
    text = f"# {escaped(model)} is {version_of(new)} again\n\n{said}\n"
    create_markdown_artifact(key=slug(f"{model}-rollback"), markdown=text)
    return old, new


def roll_back(home: Path, model: str, *, reason: str, who: str, to: int | None = None) -> tuple[int, int | None]:
    """Take the model's aliases back from the version that went live last, with no evaluation and no approval.

    A promotion that is open is given up first, or recorded if it has happened already. A rollout that has not reached
    its last stage is ended: that is then what went live last, and the last stage stays as it is.

    Args:
        reason: why; it is recorded. who: who asks; the name is believed.
        to: the version for the last stage, after a rollout was ended; by default the newest earlier one whose
            registered bytes are intact.

    Returns:
        The version that was live in the widest of the stages, and the one that is; None if none is there any more.

    Raises:
        BadInput: no reason is given, or there is no version to go back to.
        Unavailable: MLflow does not answer. The intention stays open, and the next run settles it.
    """
    why = "say who asks, and why: it is recorded, and others act on it"
    demand_lines(f"rollback of {model}", why, reason=reason, who=who)
    desk = Desk(home, model)
    registry = client(desk.home)
    _give_up(desk, registry, who)
    rolling = desk.state().rolling
    if rolling is not None:
        ended = rolling.reached[-1].record
        call_off(desk, rolling, why=reason, who=who)
        if to is None:
            return ended.new, desk.state().aliases.get(ended.alias)
    begun = take_back(desk, registry, _live(desk), why=reason, who=who, to=to)[0]
    return begun.old, begun.new


def _live(desk: Desk) -> Release:
    """The release whose version the last stage is served."""
    state = desk.state()
    version = state.aliases.get(guarding(desk, state).alias) if state.releases else None
    release = None if version is None else state.maker(version)
    if release is None:
        raise BadInput(
            f"rollback of {desk.model}",
            got="nothing that was ever live",
            expected="a version that is live, and one before it",
            next_step=f"see `headgate history {desk.model}`",
        )
    return release


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
