"""Judge: from tallies and a serving profile to verdicts.

A gate passes if the bound on the unsafe side is inside its limit. Promotion needs all gates to pass, so it is an
intersection-union test (Berger, Technometrics 24 (1982)) and each is tested at alpha without correction. That a limit
is broken is claimed of any of many, so those claims are corrected by Holm (Scandinavian J. of Statistics 6 (1979)).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from headgate.errors import BadInput
from headgate.estimate import Estimate, Unmeasurable, difference, gaps, measure
from headgate.judgement import Judged, Judgement, Omission
from headgate.policy import RESOURCES, Gate, Policy
from headgate.reasons import Claim, Span, bounds_at, explain, limit_of, rows_needed, span_of
from headgate.serving import ServingProfile
from headgate.slices import ALL, as_tuple, groups_of
from headgate.tally import Tally
from headgate.verdict import Verdict, worst_of

NO_CHAMPION = "there is no champion to compare with"

_SMALLEST_P = 1e-12
_STEPS = 32


@dataclass(frozen=True)
class _Comparison:
    gate: Gate
    slice: str
    claims: tuple[Claim, ...]
    evidence: str | None


def judge(policy: Policy, tally: Tally, serving: ServingProfile | None, *, has_champion: bool) -> Judged:
    """Judge every gate of a policy.

    A gate without slices is judged on all rows; one with "each" on all rows and on every group of every slice of
    `[data]`; one with a list on the groups of those slices. A gap is judged across all pairs of a slice's groups. A
    slice without rows, with an invalid row, or without a row of the class that a metric needs is ERROR; one with
    fewer rows than `min_slice_rows` is INCONCLUSIVE. Bounds inclusive: a bound that equals the limit is inside.

    Raises:
        BadInput: the tally was made with another threshold than the policy's.
    """
    if tally.threshold != policy.threshold:
        raise BadInput(
            "the tally",
            got=f"decisions at threshold {tally.threshold}",
            expected=f"the policy's threshold {policy.threshold}",
            next_step="tally the predictions again",
        )
    omitted = tuple(Omission(gate=g.label, reason=NO_CHAMPION) for g in policy.gate if _omits(g, has_champion))
    judged = [g for g in policy.gate if not _omits(g, has_champion)]
    comparisons = [c for g in judged for c in _comparisons(policy, g, tally, serving, has_champion)]
    alpha = policy.confidence.alpha
    values = [[_harm(claim, span_of(c.gate)) for claim in c.claims] for c in comparisons]
    family = sum(len(each) for each in values)
    broken = iter(holm([1.0 if p is None else p for each in values for p in each], alpha))
    judgements = [
        _judged(c, each, [next(broken) for _ in each], alpha, family)
        for c, each in zip(comparisons, values, strict=True)
    ]
    return Judged(judgements=tuple(judgements), omitted=omitted, family=family, alpha=alpha)


def holm(p_values: Sequence[float], alpha: float) -> list[bool]:
    """Which hypotheses Holm's step-down procedure rejects; the chance of any false rejection is at most alpha."""
    rejected = [False] * len(p_values)
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        if p_values[place] > alpha / (len(p_values) - rank):
            break
        rejected[place] = True
    return rejected


def _omits(gate: Gate, has_champion: bool) -> bool:
    return gate.form == "champion" and not has_champion and gate.without_champion == "omit"


def _comparisons(
    policy: Policy, gate: Gate, tally: Tally, serving: ServingProfile | None, has_champion: bool
) -> list[_Comparison]:
    if gate.metric in RESOURCES:
        estimate = serving.estimate(gate.metric) if serving else Unmeasurable("serving was not measured")
        return [_Comparison(gate, ALL, (Claim(ALL, estimate),), serving.digest if serving else None)]
    least = policy.data.min_slice_rows
    if gate.form == "gap":
        return [
            _Comparison(gate, " & ".join(as_tuple(s)), _gap_claims(tally, gate, s, least), tally.digest)
            for s in gate.gap_across
        ]
    known = has_champion or gate.form == "limit"
    return [
        _Comparison(gate, label, (_claim(tally, gate, label, least, known),), tally.digest)
        for label in _labels(policy, gate, tally)
    ]


def _labels(policy: Policy, gate: Gate, tally: Tally) -> list[str]:
    if gate.slices is None:
        return [ALL]
    wanted = policy.data.slices if gate.slices == "each" else gate.slices
    # A slice without groups stands for itself, and is then found to have no rows.
    found = [label for s in wanted for label in sorted(groups_of(s, tally.slices)) or [" & ".join(as_tuple(s))]]
    return list(dict.fromkeys([ALL, *found] if gate.slices == "each" else found))


def _claim(tally: Tally, gate: Gate, label: str, least: int, known: bool) -> Claim:
    if not known:
        return Claim(label, Unmeasurable(NO_CHAMPION))
    of = difference if gate.form == "champion" else measure
    return _sized(Claim(label, of(tally, gate.metric, label)), tally, (label,), least)


def _gap_claims(tally: Tally, gate: Gate, slice_: str | tuple[str, ...], least: int) -> tuple[Claim, ...]:
    found = gaps(tally, gate.metric, slice_)
    if not found:
        count = len(groups_of(slice_, tally.slices))
        return (Claim(" & ".join(as_tuple(slice_)), Unmeasurable(f"a gap needs two groups and there are {count}")),)
    return tuple(
        _sized(Claim(g.first, g.estimate, (g.first, g.second)), tally, (g.first, g.second), least) for g in found
    )


def _sized(claim: Claim, tally: Tally, labels: tuple[str, ...], least: int) -> Claim:
    """The claim, marked as short if all its rows are valid but too few to decide anything."""
    each = [(label, tally.slices[label]) for label in labels if label in tally.slices]
    if len(each) < len(labels) or any(c.invalid or not c.rows for _, c in each):
        return claim
    small = [f"{label} has {c.rows:,} rows of at least {least:,}" for label, c in each if c.rows < least]
    if small:
        return replace(claim, short=sum(max(c.rows, least) for _, c in each), lack=", ".join(small))
    demand = None if isinstance(claim.estimate, Unmeasurable) else claim.estimate.demand
    lack = f"too few rows of one class, about {demand:,} rows like these would do" if demand else ""
    return replace(claim, short=demand, lack=lack)


def _harm(claim: Claim, span: Span) -> float | None:
    """The smallest alpha at which the limit is claimed to be broken; doubled where it can break on two sides."""
    estimate = claim.estimate
    if isinstance(estimate, Unmeasurable) or claim.short is not None:
        return None
    sides = 2 if math.isfinite(span.low) and math.isfinite(span.high) else 1
    if not _outside(estimate, span, 0.5):
        return 1.0
    if _outside(estimate, span, _SMALLEST_P):
        return 0.0
    low, high = math.log(_SMALLEST_P), math.log(0.5)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if _outside(estimate, span, math.exp(middle)) else (middle, high)
    return min(1.0, sides * math.exp(high))


def _outside(estimate: Estimate, span: Span, alpha: float) -> bool:
    lower, upper = estimate.bounds(alpha)
    return lower > span.high or upper < span.low


def _verdict(claim: Claim, span: Span, broken: bool, alpha: float) -> Verdict:
    if claim.short is not None:
        return Verdict.INCONCLUSIVE
    lower, upper = bounds_at(claim.estimate, alpha) or (math.nan, math.nan)
    if not lower <= upper:
        return Verdict.ERROR
    if span.low <= lower and upper <= span.high:
        return Verdict.PASS
    return Verdict.FAIL if broken else Verdict.INCONCLUSIVE


def _judged(c: _Comparison, harms: list[float | None], broken: list[bool], alpha: float, family: int) -> Judgement:
    span = span_of(c.gate)
    verdicts = [_verdict(claim, span, b, alpha) for claim, b in zip(c.claims, broken, strict=True)]
    lead = max(range(len(c.claims)), key=lambda i: (verdicts[i], _excess(c.claims[i], span, alpha)))
    claim, estimate, verdict = c.claims[lead], c.claims[lead].estimate, worst_of(verdicts)
    needed = claim.short
    if verdict is Verdict.INCONCLUSIVE and needed is None and isinstance(estimate, Estimate):
        needed = rows_needed(estimate, span, alpha, family)
    lower, upper = bounds_at(estimate, alpha) or (math.nan, math.nan)
    note = f" (p={harms[lead]:.2g}, Holm in a family of {family})" if verdict is Verdict.FAIL and lower < upper else ""
    return Judgement(
        gate=c.gate.label,
        metric=c.gate.metric,
        slice=c.slice,
        groups=claim.groups,
        form=c.gate.form,
        verdict=verdict,
        reason=explain(c.gate, claim, verdict, alpha, needed) + note + _pairs(c),
        value=None if isinstance(estimate, Unmeasurable) else _finite(estimate.value),
        lower=_finite(lower),
        upper=_finite(upper),
        n=0 if isinstance(estimate, Unmeasurable) else estimate.n,
        limit=limit_of(c.gate),
        floor=_finite(span.low),
        ceiling=_finite(span.high),
        alpha=alpha,
        p_harm=harms[lead],
        method="" if isinstance(estimate, Unmeasurable) else estimate.method,
        rows_needed=needed,
        evidence=c.evidence,
    )


def _excess(claim: Claim, span: Span, alpha: float) -> float:
    """How far the bounds reach beyond the limit; negative inside it."""
    bounds = bounds_at(claim.estimate, alpha)
    return max(span.low - bounds[0], bounds[1] - span.high) if bounds else math.inf


def _pairs(c: _Comparison) -> str:
    return f"; the worst of {len(c.claims)} pairs" if len(c.claims) > 1 else ""


def _finite(x: float) -> float | None:
    return x if math.isfinite(x) else None
