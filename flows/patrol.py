"""The patrol: the guard's tick as a flow, every minute, over all models of a home."""

from __future__ import annotations

from pathlib import Path

from prefect import State, flow
from prefect.states import Completed, Failed

from headgate.errors import HeadgateError
from tasks.guard import guard as look_after
from tasks.notify import notify
from tasks.place import models_of
from tasks.reap import reap, settle, sign_on
from tasks.record import Case, Desk
from tasks.roll import roll_on
from tasks.route import keep_up


@flow(name="guard", persist_result=False)
def guard(home: str = ".headgate") -> State[None]:
    """Look after all models: see `headgate guard --help`. One model in trouble does not keep the others from it.

    Args:
        home: Where Headgate keeps its records (HEADGATE_HOME).
    """
    sign_on(home)
    place = Path(home).resolve()
    troubled = [trouble for model in models_of(place) if (trouble := _patrol(place, model))]
    keep_up(place)
    reap()
    settle(place)
    if troubled:
        return Failed(message="; ".join(troubled), name="Trouble")
    return Completed(message="nothing is left to do")


def _patrol(home: Path, model: str) -> str | None:
    try:
        done = look_after(str(home), model)
        rolled = roll_on(home, model)
        if rolled is not None and rolled.moved:
            _show(rolled.case)
        done += _followed(home, model)
        notify(home, model)
        if done or (rolled is not None and rolled.moved):
            from tasks.report import refresh  # its figures are imported only where there is something to tell

            refresh(home, model)
    except HeadgateError as error:
        return str(error)
    return None


def _followed(home: Path, model: str) -> tuple[str, ...]:
    """What open alarms demand and nobody has done yet: a retreat that failed is tried again within a minute."""
    desk = Desk(home, model)
    if not desk.state().alarms:
        return ()
    from tasks.alert import follow  # what it needs is imported only where there is an alarm

    return follow(desk).done


def _show(case: Case) -> None:
    from tasks.emit import emit  # these are imported only where there is something to show
    from tasks.publish import publish

    publish(case)
    emit(case)
