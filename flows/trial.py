"""Trial: the demo's acts about what no table shows: a version is tried by one office, and later goes back by itself."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from flows.progress import line
from headgate.inquiry import Ask
from headgate.records import Trained
from headgate.release import Release
from tasks.dispatch import Router
from tasks.extract import callers
from tasks.monitor import look_at
from tasks.record import Desk

OFFICE = "training"
"""The office that tries a new version before anybody else."""

_PATIENCE = 15.0
_AT_ONCE = 25


def tried(home: Path, folder: Path, out: Console) -> None:
    """Ask a router about people of all offices, and look at how the version on trial does."""
    with _router(home, folder) as router:
        _serve(home, folder, router, {OFFICE: 500, "others": 1000}, out)
    for look in look_at(home, folder.name).looks:
        undecided = sum(sighting.verdict.name == "INCONCLUSIVE" for sighting in look.vigil.sightings)
        said = f"{look.vigil.verdict.name}, {undecided} of {len(look.vigil.sightings)} undecided: outcomes take a month"
        line(out, f"  The monitor looks at version {look.version} ('{look.alias}'): {said}")


def goes_back(home: Path, folder: Path, out: Console) -> str:
    """Ask about ages in months, as a form does that nobody told otherwise, and tell what became of what is live.

    Returns:
        `taken back` if the monitor brought the version before back, to everybody; else what stands.
    """
    desk = Desk(home, folder.name)
    before = desk.state().behind["champion"][-1]
    with _router(home, folder) as router:
        _serve(home, folder, router, {"others": 1500}, out, in_months=True)
        for done in look_at(home, folder.name).done:
            line(out, f"  {done}")
        served = _followed(home, folder, router, before)
    line(out, f"  Everybody is served version {served}. Nothing was restarted.")
    line(
        out,
        f"  `headgate respond {folder.name}` lists the alarms, with the steps of their playbooks and who owns them.",
    )
    there = dict(desk.state().aliases)
    return "taken back" if there == {"champion": before} and served == before else f"live: {there}"


@contextmanager
def _router(home: Path, folder: Path) -> Iterator[Router]:
    router = Router(home, (folder.name,))
    router.start()
    try:
        yield router
    finally:
        router.close()


def _serve(
    home: Path, folder: Path, router: Router, offices: Mapping[str, int], out: Console, *, in_months: bool = False
) -> None:
    for office, rows in offices.items():
        told: Counter[tuple[str, int, str]] = Counter()
        asks = _asks(home, folder, office, rows, in_months=in_months)
        for few in (asks[n : n + _AT_ONCE] for n in range(0, rows, _AT_ONCE)):
            replies = router.answer(folder.name, few, time.perf_counter())
            told.update((reply.outcome, reply.version, reply.stage) for reply in replies)
        for (outcome, version, stage), times in told.items():
            line(out, f"  {times:>5,} requests of {office}: {outcome} by version {version} in the stage {stage}")


def _asks(home: Path, folder: Path, office: str, rows: int, *, in_months: bool = False) -> list[Ask]:
    columns = _newest(Desk(home, folder.name)).step(Trained).features
    table = callers(folder, columns, rows, in_months=in_months)
    return [
        Ask(subject=f"{office}-{n}", audience={"office": office}, inputs=row)  # type: ignore[arg-type]
        for n, row in enumerate(table)
    ]


def _newest(desk: Desk) -> Release:
    """The release of the newest version in use, whose columns are asked for; others leave out what they do not read."""
    state = desk.state()
    return next(r for r in reversed([*state.releases.values()]) if state.reaches(r))


def _followed(home: Path, folder: Path, router: Router, expected: int) -> int:
    """The version that is served, once the router has followed what was taken back."""
    (ask,), until = _asks(home, folder, "others", 1), time.monotonic() + _PATIENCE
    while True:
        (reply,) = router.answer(folder.name, [ask], time.perf_counter())
        if reply.version == expected or time.monotonic() > until:
            return reply.version
        time.sleep(0.1)
