"""Reasons: a verdict's arithmetic in a sentence, and the rows that would decide what is undecided."""

from __future__ import annotations

import math
from dataclasses import dataclass

from headgate.bounds import Bounds
from headgate.estimate import Estimate, Unmeasurable
from headgate.policy import Gate
from headgate.slices import ALL
from headgate.verdict import Verdict

MOST_ROWS = 10**9
"""A larger number of rows is not worth saying."""


@dataclass(frozen=True)
class Span:
    """Where the true value must be, ends included."""

    low: float
    high: float


@dataclass(frozen=True)
class Claim:
    """One estimate that is held against a limit.

    Attributes:
        label: the slice; groups: the two groups of a gap, else empty.
        short: the rows that are demanded where there are too few to decide anything; else None.
        lack: what there is too little of, in words; empty unless short.
    """

    label: str
    estimate: Estimate | Unmeasurable
    groups: tuple[str, ...] = ()
    short: int | None = None
    lack: str = ""


def limit_of(gate: Gate) -> float:
    """The one number of a gate."""
    return next(x for x in (gate.min, gate.max, gate.max_decrease, gate.max_increase) if x is not None)


def span_of(gate: Gate) -> Span:
    """Where a gate wants its value, or its difference, to be."""
    limit = limit_of(gate)
    if gate.form == "gap":
        return Span(-limit, limit)
    if gate.max_decrease is not None:
        return Span(-limit, math.inf)
    return Span(limit, math.inf) if gate.min is not None else Span(-math.inf, limit)


def bounds_at(estimate: Estimate | Unmeasurable, alpha: float) -> Bounds | None:
    """Both one-sided bounds, if there is an estimate."""
    return None if isinstance(estimate, Unmeasurable) else estimate.bounds(alpha)


def rows_needed(estimate: Estimate, span: Span, alpha: float, family: int) -> int | None:
    """Roughly how many rows would decide if the value stayed: half-widths shrink as one over the root of the rows.

    Inside the limit the bound must come inside at alpha; outside it must stay outside at Holm's first step,
    alpha / family. None if the value sits at the limit, or nearer to it than the bounds' constant part.
    """
    inside = span.low <= estimate.value <= span.high
    lower, upper = estimate.bounds(alpha if inside else alpha / family)
    widths = {span.low: estimate.value - lower, span.high: upper - estimate.value}
    if not inside:
        widths = {span.low: widths[span.high]} if estimate.value < span.low else {span.high: widths[span.low]}
    needed = max(_scaled(estimate, abs(limit - estimate.value), width) for limit, width in widths.items())
    return math.ceil(needed) if needed <= MOST_ROWS else None


def _scaled(estimate: Estimate, distance: float, width: float) -> float:
    if math.isinf(distance):
        return 0
    shrinking, room = width - estimate.blur, distance - estimate.blur
    return math.inf if room <= 0 or not math.isfinite(width) else estimate.rows * (max(shrinking, 0) / room) ** 2


def explain(gate: Gate, claim: Claim, verdict: Verdict, alpha: float, needed: int | None) -> str:
    """The reason of a verdict."""
    if claim.short is not None and verdict is Verdict.INCONCLUSIVE:
        return f"{gate.metric}{_where(claim)} cannot be decided yet: {claim.lack}"
    if isinstance(claim.estimate, Unmeasurable):
        return f"{gate.metric}{_where(claim)} could not be measured: {claim.estimate.reason}"
    if verdict is Verdict.ERROR:
        return f"{gate.metric}{_where(claim)} could not be measured: its bounds are not numbers"
    digits = _digits(gate, claim.estimate, alpha)
    figures = f"{_what(gate, claim, claim.estimate, digits)} ({_figures(gate, claim.estimate, verdict, alpha, digits)})"
    outcome = {Verdict.PASS: _inside, Verdict.FAIL: _beyond}.get(verdict, _open)(gate, f"{limit_of(gate):,.{digits}f}")
    if verdict is Verdict.INCONCLUSIVE:
        return f"{figures}: {outcome}; {_more(claim.estimate, needed)}"
    return f"{figures} {outcome}"


def _where(claim: Claim) -> str:
    if claim.groups:
        return f" between {claim.groups[0]} and {claim.groups[1]}"
    return "" if claim.label == ALL else f" in {claim.label}"


def _what(gate: Gate, claim: Claim, estimate: Estimate, digits: int) -> str:
    size = f"{abs(estimate.value):,.{digits}f}"
    way = "lower" if estimate.value < 0 else "higher"
    if gate.form == "gap":
        return f"{gate.metric} is {size} {way} in {claim.groups[0]} than in {claim.groups[1]}"
    if gate.form == "champion":
        return f"{gate.metric}{_where(claim)} is {size} {way} than the champion's"
    return f"{gate.metric}{_where(claim)} {estimate.value:,.{digits}f}"


def _figures(gate: Gate, estimate: Estimate, verdict: Verdict, alpha: float, digits: int) -> str:
    lower, upper = estimate.bounds(alpha)
    sign = "" if gate.form == "limit" else "+"
    confidence = f"{100 * (1 - alpha):.4g}% one-sided bound"
    n = f"n={estimate.n:,}"
    if lower == upper:
        return f"{estimate.method}, {n}"
    if gate.form == "gap":
        return f"{confidence}s {lower:+,.{digits}f} and {upper:+,.{digits}f}, {n}"
    low_matters = (gate.min is not None or gate.max_decrease is not None) == (verdict is not Verdict.FAIL)
    return f"{confidence} {lower if low_matters else upper:{sign},.{digits}f}, {n}"


def _inside(gate: Gate, limit: str) -> str:
    if gate.form == "limit":
        return f"is above the minimum {limit}" if gate.min is not None else f"is below the maximum {limit}"
    return f"is within {_allowed(gate)} {limit}"


def _beyond(gate: Gate, limit: str) -> str:
    if gate.form == "limit":
        return f"is below the minimum {limit}" if gate.min is not None else f"is above the maximum {limit}"
    return f"is beyond {_allowed(gate)} {limit}"


def _open(gate: Gate, limit: str) -> str:
    if gate.form == "limit":
        end = f"does not reach the minimum {limit}" if gate.min is not None else f"exceeds the maximum {limit}"
        return f"the bound {end}"
    return f"the bound is beyond {_allowed(gate)} {limit}"


def _allowed(gate: Gate) -> str:
    if gate.form == "gap":
        return "the allowed gap"
    return "the allowed decrease" if gate.max_decrease is not None else "the allowed increase"


def _more(estimate: Estimate, needed: int | None) -> str:
    if needed is None:
        return "the value is so near the limit that no number of rows can be said to decide"
    return f"about {_round(max(needed - estimate.rows, 1)):,} more rows like these would decide"


def _round(rows: int) -> int:
    """Upwards to two leading digits: more would claim to know more."""
    unit = int(10 ** max(len(str(rows)) - 2, 0))
    return -(-rows // unit) * unit


def _digits(gate: Gate, estimate: Estimate, alpha: float) -> int:
    """Three decimals, or as many as tell the bounds from the limit."""
    numbers = {abs(x) for x in (*estimate.bounds(alpha), limit_of(gate)) if math.isfinite(x)}
    return next((d for d in range(3, 9) if len({f"{x:.{d}f}" for x in numbers}) == len(numbers)), 9)
