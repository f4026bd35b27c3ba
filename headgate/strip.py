"""The verdicts as lines of text: per gate its worst comparison, with the interval and the limit on one scale.

    PASS         roc-auc                      ┃           ──◆──   0.8492 (≥ 0.8)
    FAIL         overlooked-by-group            ┃     ───────◆──  +0.2887 (≤ 0.15) in race=black

Each line has its own scale, since metrics have different units. What is strictly inside or beyond a limit is never
drawn on it, however near it is: the order of the signs is the order of the numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from headgate.card import confidence, demand
from headgate.judgement import Judged, Judgement
from headgate.markdown import plain
from headgate.slices import ALL
from headgate.verdict import Verdict

WIDTH, GATE, LINE = 20, 26, 100
"""Characters of a strip, of a gate's name and of a whole line."""

VALUE, BAR, LIMIT, CROSSED, MET, LEFT, RIGHT = "◆", "─", "┃", "╂", "◈", "◂", "▸"
"""Signs of the value, the bar, the limit, a limit within the bar, a value on the limit, and a bar without an end."""

_SIGNED = ("champion", "relative", "gap", "weakness")


def strip(j: Judgement, width: int = WIDTH) -> str:
    """The interval of one comparison in `width` characters, at least 12; blank if there is no value."""
    if j.value is None:
        return " " * width
    known = [x for x in (j.lower, j.value, j.upper) if x is not None]
    cell, limits = _scale(known, _limits(j), width)
    low, high = 0 if j.lower is None else cell(j.lower), width - 1 if j.upper is None else cell(j.upper)
    signs = [BAR if low <= at <= high else " " for at in range(width)]
    signs[low], signs[high] = LEFT if j.lower is None else signs[low], RIGHT if j.upper is None else signs[high]
    for at in limits:
        signs[at] = CROSSED if low < at < high else LIMIT
    at = cell(j.value)
    signs[at] = MET if at in limits else VALUE
    return "".join(signs)


def lines(judged: Judged) -> list[str]:
    """One line per gate, in the order of the policy, that begins with the verdict; then those that were not judged."""
    omitted = [f"{'not judged':<12} {_name(o.gate)} {plain(o.reason)}" for o in judged.omitted]
    return [_cut(line, LINE) for line in (*map(_line, worst_by_gate(judged)), *omitted)]


def worst_by_gate(judged: Judged) -> list[Judgement]:
    """Of each gate the comparison that is worst, in the order of the policy."""
    gates: dict[str, list[Judgement]] = {}
    for j in judged.judgements:
        gates.setdefault(j.gate, []).append(j)
    return [max(each, key=_badness) for each in gates.values()]


def legend(judged: Judged) -> str:
    """What the signs mean."""
    return (
        f"{VALUE} value   {BAR * 3} one-sided bounds at {confidence(judged)}   {LIMIT} limit   {MET} both   "
        f"{LEFT} {RIGHT} unbounded"
    )


def _line(j: Judgement) -> str:
    place = "" if j.slice == ALL else plain(f" {'across' if j.groups else 'in'} {j.slice}")
    return f"{j.verdict.name:<12} {_name(j.gate)} {strip(j)}  {_figures(j)}{place}"


def _name(gate: str) -> str:
    return f"{_cut(plain(gate), GATE):<{GATE}}"


def _figures(j: Judgement) -> str:
    return f"{number(j)} ({demand(j)})"


def number(j: Judgement) -> str:
    """The value of a comparison; a difference has its sign."""
    sign = "+" if j.form in _SIGNED else ""
    return "not measured" if j.value is None else f"{j.value:{sign}.4g}"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _badness(j: Judgement) -> tuple[Verdict, float]:
    """The verdict, and how far the bounds reach beyond the limit: least of all what is known exactly."""
    if j.verdict is Verdict.PASS and j.lower == j.upper:
        return j.verdict, -math.inf
    low = -math.inf if j.floor is None else math.inf if j.lower is None else j.floor - j.lower
    high = -math.inf if j.ceiling is None else math.inf if j.upper is None else j.upper - j.ceiling
    return j.verdict, max(low, high)


def _limits(j: Judgement) -> list[float]:
    return sorted({x for x in (j.floor, j.ceiling) if x is not None})


def _scale(known: list[float], limits: list[float], width: int) -> tuple[Callable[[float], int], list[int]]:
    """Where each number stands, and where the limits do; the edges are left to bars without an end."""
    # Halved, because the distance of two large numbers may be infinite.
    low, high = min(known + limits) / 2, max(known + limits) / 2

    def near(x: float) -> int:
        return 2 + round((width - 5) * ((x / 2 - low) / (high - low) if high > low else 0.5))

    places = [near(x) for x in limits]
    if len(places) == 2 and places[1] - places[0] < 2:
        first = min(places[0], width - 5)
        places = [first, first + 2]  # what lies between them needs a place

    def cell(x: float) -> int:
        at = near(x)
        for limit, place in zip(limits, places, strict=True):
            at = place if x == limit else min(at, place - 1) if x < limit else max(at, place + 1)
        return at

    return cell, places
