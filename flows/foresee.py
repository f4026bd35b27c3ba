"""Foresee: show what the gates of a policy can decide with the rows at hand."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from rich.table import Table

from flows.show import console
from headgate.markdown import plain
from headgate.prospect import POWER, Prospect

if TYPE_CHECKING:
    from tasks.foresee import Foresight

_HEADER = (
    "gate",
    "rows",
    "n",
    "limit",
    "expected",
    "can confirm a margin of",
    "can see a violation of",
    "needs",
    "rests on",
)


def as_plain(found: Foresight) -> dict[str, Any]:
    """What was foreseen as JSON values."""
    return {
        "rows": found.rows,
        "origin": found.origin,
        "release": found.release,
        "power": POWER,
        "alpha": found.prospects.alpha,
        "family": found.prospects.family,
        "undecided": list(found.prospects.undecided),
        "omitted": list(found.prospects.omitted),
        "prospects": [_plain(p) for p in found.prospects.each],
    }


def _plain(p: Prospect) -> dict[str, Any]:
    derived = {"confirms": p.confirms, "margin": p.margin, "sees": p.sees, "breaks": p.breaks, "decided": p.decided}
    return {**vars(p), "limit": p.limit if math.isfinite(p.limit) else None, **derived}


def show_foresight(found: Foresight) -> None:
    """The comparisons that cannot be decided, then those of which nothing is expected, and how many are decided."""
    out, each = console(), found.prospects.each
    ground = f"release {found.release}" if found.release else "no release yet, so the spread is supposed"
    alpha, family = found.prospects.alpha, found.prospects.family
    out.print(
        plain(
            f"Planned for {found.rows:,} evaluation rows ({found.origin}; {ground}): PASS at {alpha:g}, FAIL at Holm's "
            f"first step {alpha:g}/{family}, each with probability {POWER:g}."
        ),
        markup=False,
    )
    _show("Cannot be decided with these rows", [p for p in each if p.decided is False])
    _show("Decided if the truth is far enough from the limit", [p for p in each if p.decided is None])
    decided = sum(bool(p.decided) for p in each)
    out.print(f"{decided} of {len(each)} comparisons can be decided for the truth that is expected.", markup=False)
    if found.prospects.omitted:
        out.print(plain(f"Not planned, they rest on no rows: {', '.join(found.prospects.omitted)}"), markup=False)
    if found.prospects.undecided:
        named = plain(", ".join(found.prospects.undecided))
        out.print(f"Warning: these rows cannot decide {named}", markup=False, style="yellow")


def _show(title: str, each: list[Prospect]) -> None:
    if not each:
        return
    shown = Table(title=title, title_justify="left", header_style="bold")
    for name in _HEADER:
        shown.add_column(name, overflow="fold")
    for p in sorted(each, key=lambda p: -p.shortfall):
        shown.add_row(*(plain(cell).replace("[", r"\[") for cell in _cells(p)))
    console().print(shown)


def _cells(p: Prospect) -> tuple[str, ...]:
    where = f"{p.groups[0]} against {p.groups[1]}" if p.groups else p.slice
    needs = "" if p.rows_needed is None else f"about {_round(p.rows_needed):,} rows"
    expected = "" if p.expected is None else f"{p.expected:.4g}"
    confirms = _number(p.confirms, p.passes_at)
    if p.margin is not None and p.confirms is not None:
        confirms = f"{p.confirms:.3g} of {p.margin:.3g}"
    limit = "" if p.lack else f"{p.limit:.4g}"
    return (
        p.gate,
        where,
        f"{p.n:,}",
        limit,
        expected,
        confirms,
        _number(p.sees, p.fails_at),
        needs,
        p.lack or p.ground,
    )


def _number(distance: float | None, at: float | None) -> str:
    return "none" if distance is None or at is None else f"{distance:.3g} ({at:.4g})"


def _round(rows: int) -> int:
    """Upwards to two leading digits."""
    unit = int(10 ** max(len(str(rows)) - 2, 0))
    return -(-rows // unit) * unit
