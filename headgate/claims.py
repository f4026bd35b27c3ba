"""Claims: what each gate of a policy compares, from the tally, the serving profile and the scenarios' results."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from headgate.challenge import Challenges, Result
from headgate.estimate import Estimate, Gap, Unmeasurable, difference, gaps, measure, relative
from headgate.gate import Gate
from headgate.metrics import FAILURE_SHARE, RESOURCES
from headgate.policy import Policy
from headgate.reasons import Claim, Span, limit_of, span_of
from headgate.rest import weakness
from headgate.serving import ServingProfile
from headgate.slices import ALL, as_tuple, columns_of, escaped, groups_of
from headgate.tally import Tally

NO_CHAMPION = "there is no champion to compare with"

_CASE = "case"


@dataclass(frozen=True)
class Measured:
    """What the gates are judged by; None is what was not measured."""

    tally: Tally
    serving: ServingProfile | None
    challenges: Challenges | None
    has_champion: bool


@dataclass(frozen=True)
class Comparison:
    """A gate in one place: one claim, or one per pair of groups, of which the worst counts.

    Attributes:
        slice: the label of a slice, the columns whose groups are compared, or the name of a scenario.
        groups: those that are compared, sorted; empty for one claim.
        evidence: digest of what the claims rest on; None if there is nothing.
    """

    gate: Gate
    slice: str
    claims: tuple[Claim, ...]
    groups: tuple[str, ...]
    evidence: str | None


def comparisons(policy: Policy, gate: Gate, given: Measured) -> list[Comparison]:
    """Everything that one gate demands, by its form."""
    if gate.form == "scenarios":
        return list(_of_scenarios(gate, given.challenges))
    if gate.metric in RESOURCES:
        return [_of_serving(gate, given.serving)]
    least = policy.data.min_slice_rows
    if gate.across:
        return [_of_groups(given.tally, gate, piece, least) for piece in gate.across]
    return [
        Comparison(gate, label, (_claim(policy, given, gate, label),), (), given.tally.digest)
        for label in _labels(policy, gate, given.tally)
    ]


def _of_scenarios(gate: Gate, challenges: Challenges | None) -> Iterator[Comparison]:
    """One comparison per scenario; named cases are one together where not all of them must pass."""
    if challenges is None:
        yield _of_scenario(gate, ALL, Unmeasurable("the scenarios were not run"), limit_of(gate), None)
        return
    cases = [result for result in challenges.results if result.kind == _CASE] if limit_of(gate) > 0 else []
    if cases:
        yield _of_scenario(gate, "cases", _all_cases(cases), limit_of(gate), challenges.digest)
    for result in challenges.results:
        if result not in cases:
            yield _of_scenario(gate, result.name, result.estimate(), result.limit, challenges.digest)


def _all_cases(cases: Sequence[Result]) -> Estimate | Unmeasurable:
    each = [case.estimate() for case in cases]
    known = [estimate for estimate in each if isinstance(estimate, Estimate)]
    lacking = [estimate.reason for estimate in each if isinstance(estimate, Unmeasurable)]
    if lacking:
        return Unmeasurable("; ".join(lacking))
    n = len(known)
    share = sum(estimate.value for estimate in known) / n
    return Estimate(share, n, n, known[0].method, lambda _: (share, share))


def _of_scenario(
    gate: Gate, name: str, estimate: Estimate | Unmeasurable, limit: float, evidence: str | None
) -> Comparison:
    claim = Claim(name, FAILURE_SHARE, Span(-math.inf, limit), estimate)
    return Comparison(gate, name, (claim,), (), evidence)


def _of_serving(gate: Gate, serving: ServingProfile | None) -> Comparison:
    (metric,) = gate.metrics
    estimate = serving.estimate(metric) if serving else Unmeasurable("serving was not measured")
    return Comparison(
        gate, ALL, (Claim(ALL, metric, span_of(gate), estimate),), (), serving.digest if serving else None
    )


def _labels(policy: Policy, gate: Gate, tally: Tally) -> list[str]:
    if gate.slices is None:
        return [ALL]
    wanted = policy.data.slices if gate.slices == "each" else gate.slices
    # A slice without groups stands for itself, and is then found to have no rows.
    found = [label for s in wanted for label in sorted(groups_of(s, tally.slices)) or [" & ".join(as_tuple(s))]]
    return list(dict.fromkeys([ALL, *found] if gate.slices == "each" and gate.form != "weakness" else found))


def _claim(policy: Policy, given: Measured, gate: Gate, label: str) -> Claim:
    (metric,), span = gate.metrics, span_of(gate)
    if gate.against is not None and not given.has_champion:
        return Claim(label, metric, span, Unmeasurable(NO_CHAMPION))
    if gate.form == "weakness":
        estimate = weakness(given.tally, metric, label, policy.better(metric))
    else:
        estimate = {"champion": difference, "relative": relative}.get(gate.form, measure)(given.tally, metric, label)
    return _sized(Claim(label, metric, span, estimate), given.tally, (label,), policy.data.min_slice_rows)


def _of_groups(tally: Tally, gate: Gate, piece: str | tuple[str, ...], least: int) -> Comparison:
    claims = [claim for metric in gate.metrics for claim in _pairs(tally, gate, metric, piece, least)]
    groups = sorted({group for claim in claims for group in claim.groups})
    return Comparison(gate, _across(gate, piece), tuple(claims), tuple(groups), tally.digest)


def _across(gate: Gate, piece: str | tuple[str, ...]) -> str:
    within = "" if gate.within is None else f" within {' & '.join(as_tuple(gate.within))}"
    return " & ".join(as_tuple(piece)) + within


def _pairs(tally: Tally, gate: Gate, metric: str, piece: str | tuple[str, ...], least: int) -> Iterator[Claim]:
    span, compared = span_of(gate), _compared(tally, gate, metric, piece)
    for gap in compared:
        pair = (gap.first, gap.second)
        yield _sized(Claim(gap.first, metric, span, gap.estimate, pair), tally, pair, least)
    lonely = _lonely(tally, gate, piece)
    for label in lonely:
        alone = Unmeasurable(f"a {gate.form} needs two groups and {label} is alone")
        yield _sized(Claim(label, metric, span, alone), tally, (label,), least)
    if not compared and not lonely:
        yield Claim(
            _across(gate, piece), metric, span, Unmeasurable(f"a {gate.form} needs two groups and there is none")
        )


def _compared(tally: Tally, gate: Gate, metric: str, piece: str | tuple[str, ...]) -> tuple[Gap, ...]:
    return gaps(tally, metric, piece, within=gate.within, ratio=gate.form == "ratio")


def _lonely(tally: Tally, gate: Gate, piece: str | tuple[str, ...]) -> list[str]:
    """The groups that have no other to be compared with: all rows are in one, or all rows of a group of `within`."""
    within = () if gate.within is None else as_tuple(gate.within)
    outer: dict[tuple[str, ...], list[str]] = {}
    for label in sorted(groups_of((*as_tuple(piece), *within), tally.slices)):
        outer.setdefault(_part(label, within), []).append(label)
    return [labels[0] for labels in outer.values() if len(labels) == 1]


def _part(label: str, columns: tuple[str, ...]) -> tuple[str, ...]:
    wanted = {escaped(name) for name in columns}
    return tuple(part for part in label.split(" & ") if columns_of(part)[0] in wanted)


def _sized(claim: Claim, tally: Tally, labels: tuple[str, ...], least: int) -> Claim:
    """The claim, marked as short if all its rows are valid but too few to decide anything."""
    each = [(label, tally.slices[label]) for label in labels if label in tally.slices]
    if len(each) < len(labels) or any(c.invalid or not c.rows for _, c in each):
        return claim
    small = [f"{label} has {_rows(c.rows)} of at least {least:,}" for label, c in each if c.rows < least]
    if small:
        return replace(claim, short=sum(max(c.rows, least) for _, c in each), lack=", ".join(small))
    demand = None if isinstance(claim.estimate, Unmeasurable) else claim.estimate.demand
    lack = f"too few rows of one class, about {demand:,} rows like these would do" if demand else ""
    return replace(claim, short=demand, lack=lack)


def _rows(n: int) -> str:
    return f"{n:,} row{'' if n == 1 else 's'}"
