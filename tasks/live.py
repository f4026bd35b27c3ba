"""Live: the model that an alias stands for, verified, for whoever serves it or looks at it.

    from tasks.live import load
    model = load("employment")

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
        alias: which one, where a model has several.

    Raises:
        BadInput: nothing is live there, or several aliases are and none is named.
        Tampered: a file is not what was registered, or the pipeline did not sign it.
        Unavailable: MLflow or the store does not answer.
    """
    desk = Desk(Path(home), model)
    release = _maker(model, desk.state(), alias)
    return opened(desk, release.step(Registered), desk.policy(release))


def _maker(model: str, state: State, alias: str | None) -> Release:
    live = {name: version for name, version in state.aliases.items() if version is not None and alias in (None, name)}
    version = next(iter(live.values())) if len(live) == 1 else None
    release = None if version is None else state.maker(version)
    if release is None:
        raise BadInput(
            f"live version of {model}",
            got=f"{', '.join(sorted(live)) or 'nothing'}" + ("" if alias is None else f" at '{alias}'"),
            expected="one alias of a version that a release made",
            next_step=f"see `headgate history {model}`; name one of its aliases, or release the model first",
        )
    return release
