"""Monitor: the tick that looks at what is in use, over all models of a home, each as often as its own plan says."""

from __future__ import annotations

from pathlib import Path

from prefect import State, flow
from prefect.states import Completed, Failed

from headgate.errors import HeadgateError
from tasks.monitor import monitor as look
from tasks.notify import notify
from tasks.place import models_of
from tasks.reap import sign_on


@flow(name="monitor", persist_result=False)
def monitor(home: str = ".headgate", model: str = "") -> State[None]:
    """Look at a model, or at all: see `headgate monitor --help`. One in trouble does not keep the others from it.

    A run fails if something could not be measured or done. What was measured and is bad is an alarm, and no failure of
    the run.

    Args:
        home: Where Headgate keeps its records (HEADGATE_HOME).
        model: The model's name; empty for all of them.
    """
    sign_on(home)
    place = Path(home).resolve()
    # A model that was deployed and not released yet has nothing to look at.
    names = [name for name in models_of(place) if model in ("", name)]
    troubled = [trouble for name in names if (trouble := _look(place, name))]
    if troubled:
        return Failed(message="; ".join(troubled), name="Trouble")
    return Completed(message="what was due was looked at")


def _look(home: Path, model: str) -> str | None:
    try:
        watched = look(str(home), model)
        notify(home, model)
        if watched.done:
            from tasks.report import refresh  # its figures are imported only where there is something to tell

            refresh(home, model)
    except HeadgateError as error:
        return str(error)
    blind = ("something could not be measured",) if watched.blind else ()
    return "; ".join(f"{model}: {what}" for what in (*watched.stuck, *blind)) or None
