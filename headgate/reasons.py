"""Reasons: a verdict's arithmetic in a sentence, and the rows that would decide what is undecided."""

from __future__ import annotations

import math
from dataclasses import dataclass

from headgate.bounds import Bounds
from headgate.estimate import Estimate, Unmeasurable
from headgate.gate import NUMBERS, Gate
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
        label: the slice or the scenario; groups: the two groups of a gap or ratio, else empty.
        metric: what was estimated, as the tally knows it.
        span: where the gate wants it to be.
        short: the rows that are demanded where there are too few to decide anything; else None.
        lack: what there is too little of, in words; empty unless short.
    """

    label: str
    metric: str
    span: Span
    estimate: Estimate | Unmeasurable
    groups: tuple[str, ...] = ()
    short: int | None = None
    lack: str = ""


def limit_of(gate: Gate) -> float:
    """The one number of a gate; of a minimum with a maximum, the maximum; of scenarios, the share that may fail."""
    if gate.form == "scenarios":
        return 1.0 - (1.0 if gate.min_pass_rate is None else gate.min_pass_rate)
    given = [getattr(gate, name) for name in NUMBERS[gate.form]]
    return float([x for x in given if x is not None][-1])


_COMPARED = ("champion", "relative", "gap", "ratio", "weakness")

_ENDS = {
    "min": ("low", 1),
    "max": ("high", 1),
    "max_decrease": ("low", -1),
    "max_increase": ("high", 1),
    "min_decrease": ("high", -1),
    "min_increase": ("low", 1),
    "max_relative_decrease": ("low", -1),
    "max_relative_increase": ("high", 1),
    "max_weakness": ("high", 1),
    "suspicious_above": ("high", 1),
    "suspicious_below": ("low", 1),
}
"""Which end of the span each number of a gate is, and with which sign."""


def span_of(gate: Gate) -> Span:
    """Where a gate wants its value to be: the metric, a difference, a share of the champion's, or a ratio."""
    if gate.form == "gap":
        return Span(-limit_of(gate), limit_of(gate))
    if gate.form == "scenarios":
        return Span(-math.inf, limit_of(gate))
    given = {name: getattr(gate, name) for name in _ENDS if getattr(gate, name) is not None}
    ends = {end: sign * given[name] for name, (end, sign) in _ENDS.items() if name in given}
    return Span(ends.get("low", -math.inf), ends.get("high", math.inf))


def excesses(span: Span, bounds: Bounds) -> Bounds:
    """How far the bounds reach beyond the low and the high end; negative inside, minus infinity at a free end."""
    low = span.low - bounds[0] if math.isfinite(span.low) else -math.inf
    return low, bounds[1] - span.high if math.isfinite(span.high) else -math.inf


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
    if room <= 0 or not math.isfinite(width):
        return math.inf
    times = max(shrinking, 0) / room
    return estimate.rows * (times * times)  # `**` would raise where this is infinite


def explain(gate: Gate, claim: Claim, verdict: Verdict, alpha: float, needed: int | None) -> str:
    """The reason of a verdict."""
    if claim.short is not None and verdict is Verdict.INCONCLUSIVE:
        return f"{claim.metric}{_where(claim)} cannot be decided yet: {claim.lack}"
    if isinstance(claim.estimate, Unmeasurable):
        return f"{claim.metric}{_where(claim)} could not be measured: {claim.estimate.reason}"
    if verdict is Verdict.ERROR:
        return f"{claim.metric}{_where(claim)} could not be measured: its bounds are not numbers"
    said = _Said(gate, claim, claim.estimate, claim.estimate.bounds(alpha), verdict, f"{100 * (1 - alpha):.4g}%")
    figures = f"{said.what()} ({said.figures()})"
    if verdict is Verdict.INCONCLUSIVE:
        return f"{figures}: {said.outcome()}; {_more(claim.estimate, needed)}"
    joined = ", which " if gate.form in _COMPARED else " "
    return f"{figures}{joined}{said.outcome()}"


@dataclass(frozen=True)
class _Said:
    """One estimate and what is to be said of it."""

    gate: Gate
    claim: Claim
    estimate: Estimate
    bounds: Bounds
    verdict: Verdict
    confidence: str

    def what(self) -> str:
        """The value, and what it is a value of."""
        name, value = f"{self.claim.metric}{_where(self.claim)}", self.estimate.value
        way = "lower" if value < 0 else "higher"
        if self.gate.form == "gap":
            first, second = self.claim.groups
            return f"{self.claim.metric} is {self._number(abs(value))} {way} in {first} than in {second}"
        if self.gate.form == "ratio":
            first, second = self.claim.groups
            return f"{self.claim.metric} in {first} is {self._number(value)} times that in {second}"
        if self.gate.form in ("champion", "relative"):
            return f"{name} is {self._number(abs(value))} {way} than the champion's"
        if self.gate.form == "weakness":
            return f"{name} is {self._number(abs(value))} {'better' if value < 0 else 'worse'} than in the other rows"
        return f"{name} {self._number(value)}"

    def figures(self) -> str:
        """The bound that decides, and the rows."""
        (lower, upper), n = self.bounds, f"n={self.estimate.n:,}"
        if lower == upper:
            return f"{self.estimate.method}, {n}"
        if self.gate.form == "gap":
            shown = f"{self._number(lower, '+')} and {self._number(upper, '+')}"
            return f"{self.confidence} one-sided bounds {shown}, {n}"
        sign = "+" if self.gate.form in ("champion", "relative", "weakness") else ""
        bound = lower if self._low == (self.verdict is not Verdict.FAIL) else upper
        if not math.isfinite(bound):
            return f"no {self.confidence} one-sided bound yet, {n}"
        return f"{self.confidence} one-sided bound {self._number(bound, sign)}, {n}"

    def outcome(self) -> str:
        """How the bound stands to the limit."""
        limit = self._number(self._limit)
        if self.gate.form == "ceiling":
            return self._suspicion(limit)
        within = {Verdict.PASS: "is within", Verdict.FAIL: "is beyond"}.get(self.verdict, "the bound is beyond")
        if self.gate.form == "gap":
            return f"{within} the allowed gap {limit}"
        if self.gate.form in ("champion", "relative", "weakness"):
            return self._improvement(limit) if self._improves else f"{within} {self._margin()} {limit}"
        return f"{self._side()} the {self._end()} {limit}"

    @property
    def _low(self) -> bool:
        """Whether the lower end of the span is the one that matters: the one reached beyond, or nearly."""
        low, high = excesses(self.claim.span, self.bounds)
        return low >= high

    @property
    def _limit(self) -> float:
        end = self.claim.span.low if self._low else self.claim.span.high
        return end if self.gate.form in ("limit", "ceiling", "ratio", "scenarios") else abs(end)

    @property
    def _improves(self) -> bool:
        return self.gate.min_increase is not None or self.gate.min_decrease is not None

    def _side(self) -> str:
        if self.verdict is Verdict.INCONCLUSIVE:
            return "the bound does not reach" if self._low else "the bound exceeds"
        if self._limit in self.bounds and self.verdict is Verdict.PASS:
            return "is at"
        return "is above" if self._low == (self.verdict is Verdict.PASS) else "is below"

    def _end(self) -> str:
        if self.gate.form == "ratio":
            return "minimum ratio"
        return "minimum" if self._low else "maximum"

    def _margin(self) -> str:
        if self.gate.form == "weakness":
            return "the allowed weakness"
        relative = "relative " if self.gate.form == "relative" else ""
        return f"the allowed {relative}{'decrease' if self._low else 'increase'}"

    def _improvement(self, limit: str) -> str:
        way = "increase" if self._low else "decrease"
        told = {Verdict.PASS: "reaches", Verdict.FAIL: "misses"}.get(self.verdict, "the bound does not reach")
        return f"{told} the required {way} {limit}"

    def _suspicion(self, limit: str) -> str:
        side = "below" if self._low else "above"
        if self.verdict is Verdict.PASS:
            return f"is not {side} the suspicious {limit}"
        if self.verdict is Verdict.FAIL:
            return f"is {side} the suspicious {limit}: too good to be true: look for a leak"
        return f"the bound is {side} the suspicious {limit}"

    def _number(self, x: float, sign: str = "") -> str:
        if self.gate.form == "relative":
            return f"{x:{sign},.{max(self._digits - 2, 1)}%}"
        return f"{x:{sign},.{self._digits}f}"

    @property
    def _digits(self) -> int:
        """Three decimals, or as many as tell the bounds from the limit."""
        numbers = {abs(x) for x in (*self.bounds, self._limit) if math.isfinite(x)}
        return next((d for d in range(3, 9) if len({f"{x:.{d}f}" for x in numbers}) == len(numbers)), 9)


def _where(claim: Claim) -> str:
    if claim.groups:
        return f" between {claim.groups[0]} and {claim.groups[1]}"
    return "" if claim.label == ALL else f" in {claim.label}"


def _more(estimate: Estimate, needed: int | None) -> str:
    if needed is None:
        return "the value is so near the limit that no number of rows can be said to decide"
    return f"about {_round(max(needed - estimate.rows, 1)):,} more rows like these would decide"


def _round(rows: int) -> int:
    """Upwards to two leading digits: more would claim to know more."""
    unit = int(10 ** max(len(str(rows)) - 2, 0))
    return -(-rows // unit) * unit
