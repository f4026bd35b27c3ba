"""Foresee: show what the gates of a policy can decide with the rows at hand."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from flows.show import console
from headgate.markdown import plain
from headgate.prospect import POWER, Prospect

if TYPE_CHECKING:
    from tasks.foresee import Foresight

_HEADER = ("gate", "rows", "n", "limit", "expected", "margin", "confirms", "sees", "needs")
_NAMES = _HEADER[:2]


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
    """The comparisons that cannot be decided, those of which nothing is expected, how many are decided, what to do."""
    out, each = console(), found.prospects.each
    ground = f"release {found.release}" if found.release else "no release yet, so the spread is supposed"
    alpha, family = found.prospects.alpha, found.prospects.family
    _say(
        f"Planned for {found.rows:,} evaluation rows ({found.origin}; {ground}): PASS at {alpha:g}, FAIL at Holm's "
        f"first step {alpha:g}/{family}, each with probability {POWER:g}."
    )
    _show("Cannot be decided with these rows", [p for p in each if p.decided is False])
    _show("Decided if the truth is far enough from the limit", [p for p in each if p.decided is None])
    if any(not p.decided for p in each):
        _say(
            "margin: how far the expected truth is from the limit; confirms: the smallest that passes; sees: the "
            "smallest violation that fails; needs: about how many rows of the slice would decide."
        )
    decided = sum(bool(p.decided) for p in each)
    _say(f"{decided} of {len(each)} comparisons can be decided for the truth that is expected.")
    if found.prospects.omitted:
        _say(f"Not planned, they rest on no rows: {', '.join(found.prospects.omitted)}")
    if found.prospects.undecided:
        named = plain(", ".join(found.prospects.undecided))
        out.print(f"Warning: these rows cannot decide {named}", markup=False, style="yellow")
        _say(
            "Next: evaluate on as many rows as are needed; or widen the margin to one that is confirmed, or leave the "
            "slice out, each with a reason in the policy and before the next release."
        )


def _say(text: str) -> None:
    console().print(plain(text), markup=False, highlight=False)


def _show(title: str, each: list[Prospect]) -> None:
    if not each:
        return
    shown = Table(title=title, title_justify="left", header_style="bold", box=SIMPLE_HEAD, padding=0, pad_edge=False)
    for name in _HEADER:
        shown.add_column(name + " " * (name in _NAMES), overflow="fold", justify="left" if name in _NAMES else "right")
    for p in sorted(each, key=lambda p: -p.shortfall):
        shown.add_row(*(plain(cell).replace("[", r"\[") for cell in _cells(p)))
    console().print(shown)
    for ground in dict.fromkeys(p.lack or p.ground for p in each):
        told = dict.fromkeys(p.gate for p in each if (p.lack or p.ground) == ground)
        _say(f"  {', '.join(told)}: {ground}")


def _cells(p: Prospect) -> tuple[str, ...]:
    where = f"{p.groups[0]} against {p.groups[1]}" if p.groups else p.slice
    needs = "" if p.rows_needed is None else f"{_round(p.rows_needed):,}"
    figures = (None if p.lack else p.limit, p.expected)
    distances = (p.margin, p.confirms, p.sees)
    numbers = [*(_number(x, ".4g") for x in figures), *(_number(x, ".3g") for x in distances)]
    return (p.gate, where, f"{p.n:,}", *numbers, needs)


def _number(x: float | None, form: str) -> str:
    return "" if x is None else f"{x:{form}}"


def _round(rows: int) -> int:
    """Upwards to two leading digits."""
    unit = int(10 ** max(len(str(rows)) - 2, 0))
    return -(-rows // unit) * unit
