"""Judge: from tallies and a serving profile to verdicts.

A gate passes if the bound on the unsafe side is inside its limit. Promotion needs all gates to pass, so it is an
intersection-union test (Berger, Technometrics 24 (1982)) and each is tested at alpha without correction. That a limit
is broken is claimed of any of many, so those claims are corrected by Holm (Scandinavian J. of Statistics 6 (1979)).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from headgate.bounds import Bounds
from headgate.challenge import Challenges
from headgate.claims import NO_CHAMPION, Comparison, Measured, comparisons
from headgate.errors import BadInput
from headgate.estimate import Estimate, Unmeasurable
from headgate.gate import Gate
from headgate.judgement import Judged, Judgement, Omission, Tested
from headgate.policy import Policy
from headgate.reasons import Claim, Span, bounds_at, excesses, explain, limit_of, rows_needed
from headgate.serving import ServingProfile
from headgate.tally import Tally
from headgate.verdict import Verdict, worst_of

_SMALLEST_P = 1e-12
_STEPS = 32


def judge(
    policy: Policy,
    tally: Tally,
    serving: ServingProfile | None,
    *,
    has_champion: bool,
    challenges: Challenges | None = None,
) -> Judged:
    """Judge every gate of a policy.

    A gate without slices is judged on all rows; one with "each" on all rows and on every group of every slice of
    `[data]`; one with a list on the groups of those slices. A gap or ratio is judged across all pairs of a slice's
    groups, with `within` only of the same group of that slice; a criterion of fairness in each of its metrics. A slice
    without rows, with an invalid row, or without a row of the class that a metric needs is ERROR; one with fewer rows
    than `min_slice_rows` is INCONCLUSIVE. Bounds inclusive: a bound that equals the limit is inside.

    Args:
        serving: None if it was not measured: its gates are ERROR.
        challenges: what came of the scenarios; None if they were not run: their gate is ERROR.

    Raises:
        BadInput: the tally was made with another threshold, other classes or another range than the policy's.
    """
    _demand_same(policy, tally)
    given = Measured(tally, serving, challenges, has_champion)
    omitted = tuple(Omission(gate=g.label, reason=NO_CHAMPION) for g in policy.gate if _omits(g, has_champion))
    judged = [g for g in policy.gate if not _omits(g, has_champion)]
    compared = [c for g in judged for c in comparisons(policy, g, given)]
    alpha = policy.confidence.alpha
    values = [[_harm(claim) for claim in c.claims] for c in compared]
    family = sum(len(each) for each in values)
    broken = iter(holm([1.0 if p is None else p for each in values for p in each], alpha))
    judgements = [
        _judged(c, each, [next(broken) for _ in each], alpha, family) for c, each in zip(compared, values, strict=True)
    ]
    tested = tuple(_tested(c) for c in compared)
    return Judged(judgements=tuple(judgements), omitted=omitted, family=family, tested=tested, alpha=alpha)


def _demand_same(policy: Policy, tally: Tally) -> None:
    scheme, data = tally.scheme, policy.data
    pairs = {
        "threshold": (scheme.threshold, policy.threshold if scheme.task == "binary" else scheme.threshold),
        "classes": (scheme.classes, data.classes or ()),
        "range": (scheme.span, data.range),
    }
    for what, (got, expected) in pairs.items():
        if got != expected:
            raise BadInput(
                "the tally",
                got=f"one made with {what} {got}",
                expected=f"the policy's {what} {expected}",
                next_step="tally the predictions again",
            )


def holm(p_values: Sequence[float], alpha: float) -> list[bool]:
    """Which hypotheses Holm's step-down procedure rejects; the chance of any false rejection is at most alpha."""
    rejected = [False] * len(p_values)
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        if p_values[place] > alpha / (len(p_values) - rank):
            break
        rejected[place] = True
    return rejected


def _omits(gate: Gate, has_champion: bool) -> bool:
    return gate.against is not None and not has_champion and gate.without_champion == "omit"


def _tested(c: Comparison) -> Tested:
    metrics = tuple(dict.fromkeys(claim.metric for claim in c.claims))
    return Tested(gate=c.gate.label, metrics=metrics, slice=c.slice, groups=c.groups, claims=len(c.claims))


def _harm(claim: Claim) -> float | None:
    """The smallest alpha at which the limit is claimed to be broken; doubled where it can break on two sides."""
    estimate, span = claim.estimate, claim.span
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


def _verdict(claim: Claim, bounds: Bounds, broken: bool) -> Verdict:
    if claim.short is not None:
        return Verdict.INCONCLUSIVE
    lower, upper = bounds
    if not lower <= upper:
        return Verdict.ERROR
    if claim.span.low <= lower and upper <= claim.span.high:
        return Verdict.PASS
    return Verdict.FAIL if broken else Verdict.INCONCLUSIVE


def _judged(c: Comparison, harms: list[float | None], broken: list[bool], alpha: float, family: int) -> Judgement:
    bounds = [bounds_at(claim.estimate, alpha) or (math.nan, math.nan) for claim in c.claims]
    verdicts = [_verdict(*each) for each in zip(c.claims, bounds, broken, strict=True)]
    lead = max(range(len(c.claims)), key=lambda i: (verdicts[i], _excess(c.claims[i], bounds[i])))
    claim, (lower, upper), verdict = c.claims[lead], bounds[lead], worst_of(verdicts)
    needed = _needed(claim, verdict, alpha, family)
    note = f" ({_p(harms[lead])}, Holm in a family of {family})" if verdict is Verdict.FAIL and lower < upper else ""
    known = None if isinstance(claim.estimate, Unmeasurable) else claim.estimate
    return Judgement(
        gate=c.gate.label,
        metric=claim.metric,
        slice=c.slice,
        groups=claim.groups,
        form=c.gate.form,
        verdict=verdict,
        reason=explain(c.gate, claim, verdict, alpha, needed) + note + _of_many(c),
        value=None if known is None else _finite(known.value),
        lower=_finite(lower),
        upper=_finite(upper),
        n=0 if known is None else known.n,
        limit=_limit(c.gate, claim),
        floor=_finite(claim.span.low),
        ceiling=_finite(claim.span.high),
        alpha=alpha,
        p_harm=harms[lead],
        method="" if known is None else known.method,
        rows_needed=needed,
        evidence=c.evidence,
    )


def _p(harm: float | None) -> str:
    return f"p={harm:.2g}" if harm else f"p<{_SMALLEST_P:g}"


def _needed(claim: Claim, verdict: Verdict, alpha: float, family: int) -> int | None:
    if verdict is not Verdict.INCONCLUSIVE or claim.short is not None or isinstance(claim.estimate, Unmeasurable):
        return claim.short
    return rows_needed(claim.estimate, claim.span, alpha, family)


def _limit(gate: Gate, claim: Claim) -> float:
    return claim.span.high if gate.form == "scenarios" else limit_of(gate)


def _excess(claim: Claim, bounds: Bounds) -> float:
    """How far the bounds reach beyond the limit; negative inside it, infinite where there are none."""
    return math.inf if math.isnan(bounds[0]) or math.isnan(bounds[1]) else max(excesses(claim.span, bounds))


def _of_many(c: Comparison) -> str:
    if len(c.claims) == 1:
        return ""
    metrics = len({claim.metric for claim in c.claims})
    of = f" in {metrics} metrics" if metrics > 1 else ""
    return f"; the worst of {len(c.claims)} {'ratios' if c.gate.form == 'ratio' else 'pairs'}{of}"


def _finite(x: float) -> float | None:
    return x if math.isfinite(x) else None
