"""Trial: the demo's act about what no table shows: a version in use is asked about what it was not judged on."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any

from rich.console import Console

from flows.progress import line
from headgate.inquiry import Ask
from headgate.records import Trained
from headgate.standing import State
from tasks.dispatch import Router
from tasks.extract import callers
from tasks.monitor import look_at
from tasks.record import Desk

OFFICES = {"training": 500, "others": 2000}
"""Requests of the office that tries the new version, and of all others."""

_PATIENCE = 15.0


def in_use(home: Path, folder: Path, out: Console) -> str:
    """Ask a router about people, look at what it was asked, and tell what became of the version on trial.

    Returns:
        `taken back` if the monitor took the version away and left everybody else's where it was, else what happened.
    """
    desk = Desk(home, folder.name)
    live = desk.state().aliases.get("champion")
    router = Router(home, (folder.name,))
    router.start()
    try:
        _serve(desk, folder, router, out)
        for done in look_at(home, folder.name).done:
            line(out, f"  {done}")
        served = _followed(desk, folder, router)
    finally:
        router.close()
    line(out, f"  The training office is served version {served} again. Nothing was restarted.")
    line(
        out,
        f"  `headgate respond {folder.name}` lists the alarms, with the steps of their playbooks and who owns them.",
    )
    return _ended(desk.state(), live, served)


def _serve(desk: Desk, folder: Path, router: Router, out: Console) -> None:
    for office, rows in OFFICES.items():
        replies = router.answer(folder.name, _asks(desk, folder, office, rows), time.perf_counter())
        told = Counter((reply.outcome, reply.version, reply.stage) for reply in replies)
        for (outcome, version, stage), times in told.items():
            line(out, f"  {times:>5,} requests of {office}: {outcome} by version {version} in the stage {stage}")


def _asks(desk: Desk, folder: Path, office: str, rows: int) -> list[Ask]:
    newest = list(desk.state().releases.values())[-1]
    table: list[dict[str, Any]] = callers(
        folder, newest.step(Trained).features, rows, in_months=office == next(iter(OFFICES))
    )
    return [Ask(subject=f"{office}-{n}", audience={"office": office}, inputs=row) for n, row in enumerate(table)]


def _followed(desk: Desk, folder: Path, router: Router) -> int:
    """The version that the training office is served, once the router has followed what was taken back."""
    (ask,), until = _asks(desk, folder, next(iter(OFFICES)), 1), time.monotonic() + _PATIENCE
    while True:
        (reply,) = router.answer(folder.name, [ask], time.perf_counter())
        if reply.stage == "broad" or time.monotonic() > until:
            return reply.version
        time.sleep(0.1)


def _ended(state: State, live: int | None, served: int) -> str:
    newest = list(state.releases.values())[-1]
    alone = dict(state.aliases) == {"champion": live} and served == live
    retreated = any(alarm.record.response == "retreat" for alarm in state.alarms.values())
    return "taken back" if newest.stage == "halted" and retreated and alone else newest.stage
