"""Live: the model that an alias stands for, verified, for whoever serves it or looks at it.

    import headgate
    model = headgate.load("employment")

What is live is what the ledger says; where MLflow has the alias is not asked. `headgate` itself opens no model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from headgate.errors import BadInput
from headgate.records import Registered
from headgate.release import Release
from headgate.state import State
from tasks.load import opened
from tasks.record import Desk


def load(model: str, alias: str | None = None, *, home: Path | str = ".headgate") -> Any:
    """The fitted estimator that is live, after its signature and every file were verified.

    Args:
        alias: of the stage that is meant; by default the last one's, which everybody is served.

    Raises:
        BadInput: nothing is live there.
        Tampered: a file is not what was registered, or the pipeline did not sign it.
        Unavailable: MLflow or the store does not answer.
    """
    desk = Desk(Path(home), model)
    state = desk.state()
    in_use = [release for release in state.releases.values() if state.reaches(release)]
    if alias is None and in_use:
        alias = desk.policy(in_use[-1]).alias
    release = _maker(model, state, alias)
    return opened(desk, release.step(Registered), desk.policy(release))


def _maker(model: str, state: State, alias: str | None) -> Release:
    version = state.aliases.get(alias or "")
    release = None if version is None else state.maker(version)
    if release is None:
        raise BadInput(
            f"live version of {model}",
            got="nothing" if alias is None else f"nothing at '{alias}'",
            expected=f"a version that a release made, behind one of {sorted(state.aliases) or 'no alias yet'}",
            next_step=f"see `headgate history {model}`; name one of its aliases, or release the model first",
        )
    return release
