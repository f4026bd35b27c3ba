"""Power: what the gates of a policy can decide with the rows at hand, before a model is there.

For each gate and slice, the smallest margin that it can confirm (PASS at alpha) and the smallest violation that it can
see (FAIL at Holm's first step, alpha / family), both with probability `POWER`. A bound clears the limit with that
probability if the truth is as far from it as the gate's own interval reaches, at the level of the verdict, plus as far
as the estimate itself strays, which is the reach of the other bound at 1 - `POWER`. For rates it is exact (Clopper and
Pearson's bounds against the binomial distribution). Each claim is planned by itself: several together pass less often.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

from headgate.assumption import Outlook, apart, binomial, over, scaled, shared
from headgate.claims import Comparison, Measured, comparisons
from headgate.estimate import Estimate, Unmeasurable, Who, difference, measure, relative
from headgate.gate import Gate
from headgate.ground import Basis, Place
from headgate.metrics import ONE_CLASS, RESOURCES
from headgate.policy import Policy
from headgate.prospect import POWER, Prospect, Prospects
from headgate.rates import RATES
from headgate.reasons import MOST_ROWS, Claim, Span, limit_of, span_of
from headgate.rest import weakness
from headgate.serving import ServingProfile
from headgate.slices import ALL
from headgate.turning import Levels, exact, reached

_STEPS = 40


def foresee(policy: Policy, basis: Basis) -> Prospects:
    """What every gate of a policy can decide."""
    given = Measured(basis.sample, None, basis.challenges, True)
    compared = [c for gate in policy.gate for c in comparisons(policy, gate, given)]
    family, alpha = sum(len(c.claims) for c in compared), policy.confidence.alpha
    planned = [c for c in compared if not _unknown(policy, basis, c.gate)]
    each = tuple(_Planner(policy, basis, c.gate, alpha, family).prospect(c) for c in planned)
    return Prospects(each, family, alpha, tuple(g.label for g in policy.gate if _unknown(policy, basis, g)))


def _unknown(policy: Policy, basis: Basis, gate: Gate) -> bool:
    """Whether nothing can be said beforehand: scenarios, and what is served where a bound exists but no measurement."""
    if gate.metric not in RESOURCES or basis.serving is not None:
        return gate.form == "scenarios"
    estimate = _numbered(policy, gate.metric or "")
    return isinstance(estimate, Estimate) and all(map(math.isfinite, estimate.bounds(policy.confidence.alpha)))


@dataclass(frozen=True)
class _Planner:
    """One gate, and what is known."""

    policy: Policy
    basis: Basis
    gate: Gate
    alpha: float
    family: int

    def prospect(self, c: Comparison) -> Prospect:
        """The prospect of a gate in one place: of its claims the one that is decided worst."""
        each = [replace(self._of_claim(claim), slice=c.slice) for claim in c.claims]
        return max(each, key=lambda p: (p.decided is False, p.shortfall))

    def _of_claim(self, claim: Claim) -> Prospect:
        blank = Prospect(self.gate.label, claim.metric, claim.label, self.gate.form, claim.groups, limit=self._limit)
        if claim.metric in RESOURCES:
            return self._served(blank, claim)
        if self.gate.across and not claim.groups:
            return replace(blank, lack=claim.estimate.reason if isinstance(claim.estimate, Unmeasurable) else "")
        at = Place(self.basis, claim.metric, self._who, claim.groups or (claim.label,))
        sized = replace(blank, rows=round(at.rows), n=round(at.n))
        lack, needed = at.lack(self.policy.data.min_slice_rows)
        if lack:
            return replace(sized, lack=lack, rows_needed=needed)
        outlook, expected = self._outlook(at)
        if outlook is None:
            return replace(sized, lack=f"nothing is known of the spread of {claim.metric} before a first release")
        return self._decided(replace(sized, expected=expected, ground=outlook.ground), outlook, at.hand)

    def _decided(self, sized: Prospect, outlook: Outlook, hand: float) -> Prospect:
        """The prospect with its figures, and the rows that it needs."""
        now = self._at(sized, outlook, self.basis.factor)
        if now.decided is not False or now.expected is None:
            return now
        low, high = math.log(self.basis.factor), math.log(max(MOST_ROWS / hand, self.basis.factor))
        if not self._at(sized, outlook, math.exp(high)).decided:
            return now
        for _ in range(_STEPS):
            middle = (low + high) / 2
            enough = self._at(sized, outlook, math.exp(middle)).decided
            low, high = (low, middle) if enough else (middle, high)
        return replace(now, rows_needed=math.ceil(hand * math.exp(high)))

    def _at(self, sized: Prospect, outlook: Outlook, factor: float) -> Prospect:
        """The prospect at the end of the span that is decided worse."""
        ends = [(end, high) for end, high in ((self._span.low, False), (self._span.high, True)) if math.isfinite(end)]
        each = [self._edge(sized, outlook, end, high, factor, len(ends)) for end, high in ends]
        return max(each, key=lambda p: (p.decided is False, p.shortfall))

    def _edge(self, sized: Prospect, outlook: Outlook, end: float, high: bool, factor: float, sides: int) -> Prospect:
        # With two ends the estimate may stray beyond either, and the claim of harm is doubled.
        levels = Levels(self.alpha, self.alpha / (self.family * sides), (1 - POWER) / sides, 1 - POWER)
        if outlook.trials is not None and self.gate.form in ("limit", "ceiling"):
            found = exact(sized.metric, outlook.trials * factor, end, high, levels)
        else:
            found = reached(outlook, math.log(end) if self._ratio else end, high, factor, levels)
        passes_at, fails_at = (None if x is None else math.exp(x) if self._ratio else x for x in found)
        low, top = self._range(sized.metric)
        passes_at = passes_at if passes_at is not None and low <= passes_at <= top else None
        fails_at = fails_at if fails_at is not None and low <= fails_at <= top else None
        return replace(sized, limit=end, passes_at=passes_at, fails_at=fails_at)

    def _range(self, metric: str) -> tuple[float, float]:
        """Where the truth can be."""
        if self.gate.form not in ("limit", "ceiling"):
            return -math.inf, math.inf
        name = metric.partition("@")[0]
        known = self.policy.metrics.get(name) or ONE_CLASS[name]
        return known.low, known.high

    @property
    def _ratio(self) -> bool:
        return self.gate.form == "ratio"

    @cached_property
    def _span(self) -> Span:
        return span_of(self.gate)

    @property
    def _limit(self) -> float:
        return limit_of(self.gate)

    @property
    def _who(self) -> Who:
        return "difference" if self.gate.form in ("champion", "relative") else "candidate"

    def _outlook(self, at: Place) -> tuple[Outlook | None, float | None]:
        """What is expected of the estimate, and of the truth."""
        if self.gate.form in ("champion", "relative"):
            return self._against(at)
        if self.gate.across:
            return self._across(at)
        if self.gate.form == "weakness":
            return self._behind(at)
        before = at.before(measure, self.alpha)
        name = at.metric.partition("@")[0]
        if name in RATES or name == "accuracy":
            trials = at.n_hand(at.labels[0], None if before is None else before.n)
            return binomial(name, trials, self._limit), None if before is None else before.value
        if before is not None:
            return at.from_before(before), before.value
        return at.supposed(at.labels[0], self._limit), None

    def _against(self, at: Place) -> tuple[Outlook | None, float | None]:
        # A model as good as the champion is expected, unless a better one is demanded.
        ask = difference if self.gate.form == "champion" else relative
        before = at.before(ask, self.alpha)
        improves = self.gate.min_increase is not None or self.gate.min_decrease is not None
        expected = (None if before is None else before.value) if improves else 0.0
        if before is not None:
            return at.from_before(before), expected
        single = at.single(at.labels[0], None, self.alpha)
        if single is None:
            return None, expected
        change = apart(single, single, f"{single.ground}, as if candidate and champion were independent")
        return shared(change, single.value) if self.gate.form == "relative" else change, expected

    def _behind(self, at: Place) -> tuple[Outlook | None, float | None]:
        # Without a release, a slice like all others is expected, and the other rows are taken for all rows.
        better = self.policy.better(at.metric)
        before = at.before(lambda last, metric, label: weakness(last, metric, label, better), self.alpha)
        if before is not None:
            return at.from_before(before), before.value
        own, rest = (at.single(label, None, self.alpha) for label in (at.labels[0], ALL))
        return (None, None) if own is None or rest is None else (apart(own, rest, own.ground), 0.0)

    def _across(self, at: Place) -> tuple[Outlook | None, float | None]:
        # Groups that are equal are expected, unless both were measured.
        a, b = (at.single(label, None, self.alpha) for label in at.labels)
        if a is None or b is None or (self._ratio and not (a.value > 0 and b.value > 0)):
            return None, None
        known = all(at.before(measure, self.alpha, label) is not None for label in at.labels)
        outlook = over(a, b) if self._ratio else apart(a, b, a.ground)
        equal = 1.0 if self._ratio else 0.0
        return outlook, (a.value / b.value if self._ratio else a.value - b.value) if known else equal

    def _served(self, blank: Prospect, claim: Claim) -> Prospect:
        """What is measured in a process of its own: it rests on requests, not on rows."""
        given = self.basis.serving
        estimate = given.estimate(claim.metric) if given else _numbered(self.policy, claim.metric)
        if isinstance(estimate, Unmeasurable):
            return replace(blank, lack=estimate.reason)
        sized = replace(blank, rows=estimate.rows, n=estimate.n, expected=estimate.value if given else None)
        if not all(map(math.isfinite, estimate.bounds(self.alpha))):
            return replace(sized, lack=f"{estimate.n:,} requests bound no such quantile; raise [serving]")
        return self._at(sized, scaled(estimate, estimate.n, self.basis.name), 1.0)


def _numbered(policy: Policy, metric: str) -> Estimate | Unmeasurable:
    """A profile with nothing in it but its size, to see whether it bounds anything."""
    requests = tuple(range(1, policy.serving.requests + 1))
    some = ServingProfile(
        latencies_us=requests, batch_rows=1, batches_us=requests, loads_ms=tuple(map(float, requests)),
        peak_memory_mib=1.0, model_bytes=1,
    )  # fmt: skip
    return some.estimate(metric)
