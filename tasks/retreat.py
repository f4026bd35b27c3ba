"""Retreat: every alias that points to a version goes back, the widest stage first, without approval."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headgate.custody import retreat
from headgate.plan import plan
from headgate.records import Failure
from headgate.release import Release
from headgate.state import State
from headgate.verdict import Verdict
from headgate.watch import RollbackStarted
from tasks.connect import client
from tasks.move import finish, look
from tasks.record import Desk

if TYPE_CHECKING:
    from mlflow import MlflowClient


def take_back(
    desk: Desk, registry: MlflowClient, release: Release, *, why: str, who: str, to: int | None = None
) -> tuple[RollbackStarted, ...]:
    """Take all aliases from a release's version, and return what was taken back.

    Args:
        why, who: recorded as they are. to: the version for the alias of the last stage; by default the one before.

    Raises:
        BadInput: there is no version that the last stage can go back to.
        Unavailable: MLflow does not answer. The intention stays open, and the next run settles it.
    """
    finish(desk, registry)
    return tuple(_one(desk, registry, alias, why, who, to) for alias in desk.state().reaches(release))


def back_out(desk: Desk, release: Release, *, why: str, who: str) -> None:
    """Take all aliases from the version of a release that is about to halt; nothing if it has reached none."""
    if release.reached:
        take_back(desk, client(desk.home), release, why=why, who=who)


def call_off(desk: Desk, release: Release, *, why: str, who: str, playbook: str = "rejected") -> None:
    """End a rollout that goes no further: back first, then halted, with the steps of a playbook.

    Raises: as `take_back`.
    """
    back_out(desk, release, why=why, who=who)
    failure = Failure(what=f"rollout, by {who}", verdict=Verdict.FAIL, reason=why)
    desk.write(release.id, plan(desk.policy(release), "rollout", [failure], situation=playbook))


def _one(desk: Desk, registry: MlflowClient, alias: str, why: str, who: str, to: int | None) -> RollbackStarted:
    def intended(state: State) -> RollbackStarted:
        targets = {version: look(desk, registry, state, version) for version in state.behind.get(alias, ())}
        wanted = None if state.is_early(alias) else to
        return RollbackStarted(
            alias=alias, old=state.aliases[alias], new=retreat(state, alias, wanted, targets), reason=why
        )

    ledger = desk.decide(lambda _, state: (None, intended(state)), actor=who)
    finish(desk, registry)
    return RollbackStarted.model_validate(dict(ledger.entries[-1].body))
