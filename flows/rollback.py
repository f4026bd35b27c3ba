"""The rollback as a flow, with a form in Prefect: back to a version that was live before, in one step."""

from __future__ import annotations

from pathlib import Path

from prefect import State, flow
from prefect.states import Completed

from headgate.release import version_of
from tasks.notify import notify
from tasks.reap import sign_on
from tasks.report import refresh
from tasks.rollback import rollback as take_back


@flow(name="rollback", persist_result=False)
def rollback(model: str, reason: str, who: str, to: int | None = None, home: str = ".headgate") -> State[None]:
    """Take the aliases of a model back to the version that was live before, or end its rollout.

    Args:
        model: The model's name.
        reason: Why; it is recorded, and others act on it.
        who: Who asks; recorded as it is given.
        to: To this version; empty for the one before.
        home: Where Headgate keeps its records (HEADGATE_HOME).
    """
    sign_on(home)
    old, new = take_back(str(Path(home).resolve()), model, reason, who, to)
    notify(Path(home).resolve(), model)
    refresh(Path(home).resolve(), model)
    return Completed(message=f"{model}: {version_of(new)} instead of {old}", name="RolledBack")
