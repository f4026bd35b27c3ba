"""Estimate: a metric's value with its bounds, computed from a tally.

Four questions are asked of a tally: `measure` one slice, take the paired `difference` of candidate and champion or the
`relative` one, and take the `gaps` between the groups of a slice. `survey` asks the first of all slices at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from headgate import bounds
from headgate.bounds import Bounds, Sides
from headgate.figures import Figures, part
from headgate.quality import figures_of, known, needs, sufficient
from headgate.slices import as_tuple, columns_of, escaped, groups_of
from headgate.tally import Tally

Who = Literal["candidate", "champion", "difference"]
WHO: Mapping[Who, int] = {"candidate": 0, "champion": 1, "difference": 2}


@dataclass(frozen=True)
class Estimate:
    """A value and its one-sided bounds.

    Attributes:
        value: the metric, or the difference of two.
        n: rows it rests on: positives for a true positive rate, negatives for a false positive rate, else all.
        rows: rows of its slices, whatever the metric.
        method: how the bounds were made.
        sides: alpha in (0, 0.5] -> (lower, upper), monotone in alpha; as arrays where the method takes arrays.
        blur: how much of the bounds' width does not shrink with more rows.
        demand: rows that would allow a bound at all, where these rows do not; else None.
    """

    value: float
    n: int
    rows: int
    method: str
    sides: Callable[[float], tuple[ArrayLike, ArrayLike]] = field(compare=False, repr=False)
    blur: float = 0.0
    demand: int | None = None

    def bounds(self, alpha: float) -> Bounds:
        """Both one-sided bounds, each at error `alpha`."""
        lower, upper = self.sides(alpha)
        return float(np.asarray(lower)), float(np.asarray(upper))

    def lower(self, alpha: float) -> float:
        """What the true value is above, with probability 1 - alpha."""
        return self.bounds(alpha)[0]

    def upper(self, alpha: float) -> float:
        """What the true value is below, with probability 1 - alpha."""
        return self.bounds(alpha)[1]


@dataclass(frozen=True)
class Unmeasurable:
    """Why there is no estimate."""

    reason: str


@dataclass(frozen=True)
class Gap:
    """Two groups compared: first minus second, or first over second."""

    first: str
    second: str
    estimate: Estimate | Unmeasurable


@dataclass(frozen=True, eq=False)
class Survey:
    """A metric in every slice where it can be measured.

    Attributes:
        labels: those slices; `figures` holds an entry for each. lacking: the other slices, and why.
    """

    labels: tuple[str, ...]
    figures: Figures
    lacking: Mapping[str, str]


def measure(tally: Tally, metric: str, label: str, who: Who = "candidate") -> Estimate | Unmeasurable:
    """One metric of one model in one slice; with "difference", candidate minus champion on the same rows.

    Args:
        metric: a name of `headgate.metrics`; of one class against the rest, `name@class`.
    """
    problem = _problem(tally, metric, label, who)
    if problem:
        return Unmeasurable(problem)
    found = part(tally, tally.place[label])
    return _estimate(figures_of(found, metric, WHO[who]), tally.slices[label].rows, label)


def difference(tally: Tally, metric: str, label: str) -> Estimate | Unmeasurable:
    """Candidate minus champion on the same rows of one slice.

    Paired, except where a metric's docstring says that its two bounds are combined as if independent (conservative).
    """
    return measure(tally, metric, label, "difference")


def relative(tally: Tally, metric: str, label: str) -> Estimate | Unmeasurable:
    """(candidate - champion) / champion on the same rows of one slice."""
    change, base = difference(tally, metric, label), measure(tally, metric, label, "champion")
    if isinstance(change, Unmeasurable) or isinstance(base, Unmeasurable):
        return change if isinstance(change, Unmeasurable) else base
    if base.value <= 0:
        return Unmeasurable(f"the champion's {metric} is {base.value:.6g}, of which there is no share")
    demands = [e.demand for e in (change, base) if e.demand is not None]
    return Estimate(
        value=change.value / base.value,
        n=change.n,
        rows=change.rows,
        method=f"quotient of: {change.method}",
        sides=lambda a: bounds.relative_change(change.value, change.bounds(a), base.value, base.bounds(a)),
        blur=change.blur / base.value,
        demand=max(demands, default=None),
    )


def survey(tally: Tally, metric: str, who: Who = "candidate", labels: Sequence[str] | None = None) -> Survey:
    """One metric in all slices, or in some, at once."""
    asked = tally.labels if labels is None else labels
    sound = _sound(tally, metric, who)
    lacking = {
        label: problem for label in asked if label not in sound and (problem := _problem(tally, metric, label, who))
    }
    kept = tuple(label for label in asked if label not in lacking)
    some = np.array([tally.place[label] for label in kept], dtype=np.intp)
    places = slice(None) if kept == tally.labels else some
    return Survey(kept, figures_of(part(tally, places), metric, WHO[who]), lacking)


def gaps(
    tally: Tally,
    metric: str,
    slice_: str | tuple[str, ...],
    *,
    within: str | tuple[str, ...] | None = None,
    ratio: bool = False,
) -> tuple[Gap, ...]:
    """The candidate's metric in every pair of a slice's groups, labels in the order of the tally's.

    Args:
        within: compare only groups of the intersection with this slice that agree in it.
        ratio: first over second, in both orders, instead of the difference.
    """
    inner = () if within is None else as_tuple(within)
    labels = sorted(groups_of((*inner, *as_tuple(slice_)), tally.slices))
    each = {label: measure(tally, metric, label) for label in labels}
    pairs = [(a, b) for a, b in combinations(labels, 2) if _values(a, inner) == _values(b, inner)]
    if ratio:
        return tuple(Gap(a, b, _ratio(each[a], each[b])) for one in pairs for a, b in (one, one[::-1]))
    return tuple(Gap(a, b, _minus(each[a], each[b])) for a, b in pairs)


def _values(label: str, columns: Sequence[str]) -> tuple[str, ...]:
    """A label's parts of some columns."""
    parts = dict(zip(columns_of(label), label.split(" & "), strict=True))
    return tuple(parts[escaped(column)] for column in columns)


def _estimate(found: Figures, rows: int, label: str) -> Estimate | Unmeasurable:
    value = float(found.value)
    if not math.isfinite(value):
        return Unmeasurable(f"{label} has no value that is defined: {found.method}")
    short = bool(np.asarray(found.fewest) < found.least)
    return Estimate(
        value=value,
        n=int(found.n),
        rows=rows,
        method=found.method,
        sides=_unknown if short else found.bounds,
        blur=float(np.asarray(found.blur)),
        demand=math.ceil(rows * found.least / max(float(np.asarray(found.fewest)), 1.0)) if short else None,
    )


def _unknown(alpha: ArrayLike) -> Sides:
    nothing = np.full(np.shape(alpha), np.inf)
    return -nothing, nothing


def _both(
    a: Estimate | Unmeasurable,
    b: Estimate | Unmeasurable,
    value: Callable[[float, float], float],
    combine: Callable[[float, Bounds, float, Bounds], Sides],
    how: str,
) -> Estimate | Unmeasurable:
    if isinstance(a, Unmeasurable) or isinstance(b, Unmeasurable):
        return a if isinstance(a, Unmeasurable) else b
    demands = [e.demand or e.rows for e in (a, b)]
    return Estimate(
        value=value(a.value, b.value),
        n=a.n + b.n,
        rows=a.rows + b.rows,
        method=f"{how} of: {a.method}",
        sides=lambda alpha: combine(a.value, a.bounds(alpha), b.value, b.bounds(alpha)),
        blur=math.hypot(a.blur, b.blur),
        demand=None if a.demand is b.demand is None else sum(demands),
    )


def _minus(a: Estimate | Unmeasurable, b: Estimate | Unmeasurable) -> Estimate | Unmeasurable:
    return _both(a, b, lambda x, y: x - y, bounds.independent_difference, "MOVER")


def _ratio(a: Estimate | Unmeasurable, b: Estimate | Unmeasurable) -> Estimate | Unmeasurable:
    if isinstance(b, Estimate) and b.value == 0:
        zero = isinstance(a, Estimate) and a.value == 0
        return Unmeasurable("a ratio of nothing to nothing" if zero else "a ratio to a group in which it is 0")
    return _both(a, b, lambda x, y: x / y, bounds.ratio, "MOVER-R")


def _sound(tally: Tally, metric: str, who: Who) -> set[str]:
    """The slices that surely have no problem, told all at once."""
    if not known(tally.scheme, metric) or (who != "candidate" and not tally.has_champion):
        return set()
    enough = sufficient(part(tally, slice(None)), metric)
    return {label for label, holds in zip(tally.labels, enough.tolist(), strict=True) if holds}


def _problem(tally: Tally, metric: str, label: str, who: Who) -> str:
    size = tally.slices.get(label)
    if not known(tally.scheme, metric):
        return f"{metric} is no metric of a tally of this task"
    if who != "candidate" and not tally.has_champion:
        return "the champion did not score these rows"
    if size is None or size.valid == 0:
        return f"{label} has no valid row" if size and size.rows else f"{label} has no row"
    if size.invalid:
        return f"{size.invalid:,} of {size.rows:,} rows have a label or a prediction that is out of range or missing"
    return needs(tally, metric, label, WHO[who])
