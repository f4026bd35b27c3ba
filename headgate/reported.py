"""Reported: a report that lies in a home, compared with what the ledger that it names renders at the time it names.

One that is merely old is no forged one. But a page that was rendered from few entries must not claim a time at which
there were more: that would hide what was decided since.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import timedelta

from headgate.address import is_form, is_known
from headgate.canonical import digest_of
from headgate.display import prefix_of
from headgate.entry import moment
from headgate.ledger import Anomaly, Ledger
from headgate.report import MAKER, again, claims
from headgate.state import State
from headgate.walk import Walk

SLACK = timedelta(minutes=10)
"""How much later than the first entry that it does not know a report may be: clocks of two machines differ."""

PACKAGES = "../packages"
"""Where the packages are, seen from the reports of a home."""


@dataclass(frozen=True)
class Reported:
    """A report as it was found.

    Attributes:
        declared: the origins of servers (`headgate.address.origin_of`) that its links may lead to, beside this machine.
    """

    data: bytes
    declared: Collection[str] = ()


def told_from(report: Reported | None, ledger: Ledger) -> int | None:
    """How long the ledger was when a report was made from it; None without a report, or if it names no such ledger."""
    return None if report is None else prefix_of(claims(report.data).get("headgate.ledger", ""), ledger)


def misreported(walk: Walk, state: State | None, ledger: Ledger, report: Reported | None) -> Iterator[Anomaly]:
    """What a report says otherwise than the ledger had it.

    Args:
        state: what stood after the entries that the report names; None if it names no such ledger.
    """
    if report is None:
        return
    walk.checked["reports"] += 1
    told, size = claims(report.data), told_from(report, ledger)
    if size is None or state is None:
        yield _other(
            walk, f"made from the ledger {told.get('headgate.ledger')!r}", "a ledger that this one goes on from"
        )
        return
    wrong = [*_addresses(told, report.declared), *untimely(told.get("headgate.made", ""), ledger, size)]
    yield from (_other(walk, got, expected) for got, expected in wrong)
    if not wrong:
        yield from _compared(walk, state, ledger.at(size), report.data, told)


def untimely(made: str, ledger: Ledger, size: int) -> Iterator[tuple[str, str]]:
    """Why a page that was made from so many entries cannot have been made then: what it says, and what is expected."""
    try:
        at, last = moment(made), moment(ledger.entries[size - 1].time)
        later = moment(ledger.entries[size].time) if size < ledger.size else None
        early, late = at < last, later is not None and at > later + SLACK
    except (ValueError, TypeError):  # no time, or one without a zone
        yield f"made at {made[:100]!r}", "a time as the ledger spells it"
        return
    if early:
        yield (
            f"made at {made} from {size} entries",
            f"not before {ledger.entries[size - 1].time}, when the last was made",
        )
    if late:
        yield f"made at {made} from {size} entries", f"what was recorded in slot {size} at {ledger.entries[size].time}"


def _compared(walk: Walk, state: State, ledger: Ledger, data: bytes, told: dict[str, str]) -> Iterator[Anomaly]:
    due = again(ledger, state, walk.get, told)
    if data != due:
        got = f"{digest_of(data)}, made by {told.get('generator')!r}"
        expected = f"{digest_of(due)}, as {MAKER} renders it; `headgate report {walk.model}` makes it again"
        yield _other(walk, got, expected)


def _addresses(told: dict[str, str], declared: Collection[str]) -> Iterator[tuple[str, str]]:
    form, mlflow, packages = (told.get(f"headgate.{name}") for name in ("form", "mlflow", "packages"))
    known = "an address of this machine, or of the server in PREFECT_API_URL or MLFLOW_TRACKING_URI"
    if form is not None and not (is_form(form) and is_known(form, declared)):
        yield f"a form at {form[:200]!r}", f"{known}, of a deployment's form"
    if mlflow is not None and not is_known(mlflow, declared):
        yield f"MLflow at {mlflow[:200]!r}", known
    if packages not in (None, PACKAGES):
        yield f"packages at {packages[:200]!r}", PACKAGES


def _other(walk: Walk, got: str, expected: str) -> Anomaly:
    return Anomaly("other_report", -1, f"reports/{walk.model}.html: {got}", expected)
