"""Estimate: a metric's value with its bounds, computed from a tally.

Three questions are asked of a tally: `measure` one slice, take the paired `difference` of candidate and champion, and
take the `gaps` between all pairs of a column's groups.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Literal

import numpy as np

from headgate import bounds, grid
from headgate.bounds import Bounds
from headgate.counts import Counts
from headgate.grid import Ints
from headgate.ranking import MIN_CLASS, MIN_CLASS_PAIRED, Ranking, area, ranking
from headgate.ranking import difference as area_difference
from headgate.slices import groups_of
from headgate.tally import DIFFERING, Tally

Who = Literal["candidate", "champion"]

RATES = ("accuracy", "true_positive_rate", "false_positive_rate", "selection_rate")
LOSSES = {"log_loss": (0, grid.LARGEST_LOG_LOSS), "brier_score": (1, 1.0)}
METRICS = (*RATES, "roc_auc", *LOSSES, "expected_calibration_error")

NO_VARIANCE = 2.0**-30
"""A smaller variance of the losses is within the rounding of their sums."""


@dataclass(frozen=True)
class Estimate:
    """A value and its one-sided bounds.

    Attributes:
        value: the metric, or the difference of two.
        n: rows it rests on: positives for a true positive rate, negatives for a false positive rate, else all.
        rows: rows of its slices, whatever the metric.
        method: how the bounds were made.
        bounds: alpha in (0, 0.5] -> (lower, upper), monotone in alpha.
        blur: how much of the bounds' width does not shrink with more rows.
        demand: rows that would allow a bound at all, where these rows do not; else None.
    """

    value: float
    n: int
    rows: int
    method: str
    bounds: Callable[[float], Bounds] = field(compare=False, repr=False)
    blur: float = 0.0
    demand: int | None = None

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
    """The signed difference of two groups, first minus second; labels in the order of the tally's bytes."""

    first: str
    second: str
    estimate: Estimate | Unmeasurable


def measure(tally: Tally, metric: str, label: str, who: Who = "candidate") -> Estimate | Unmeasurable:
    """One metric of one model in one slice."""
    model = 0 if who == "candidate" else 1
    problem = _problem(tally, metric, label, model)
    if problem:
        return Unmeasurable(problem)
    counts = tally.slices[label]
    if metric in RATES:
        return _rate(counts, metric, model)
    if metric == "roc_auc":
        return _area(tally, counts, model)
    return _loss(counts, metric, model) if metric in LOSSES else _calibration(counts, model)


def difference(tally: Tally, metric: str, label: str) -> Estimate | Unmeasurable:
    """Candidate minus champion on the same rows of one slice.

    Paired, except the calibration error, whose two bounds are combined as if independent (conservative).
    """
    problem = _problem(tally, metric, label, 1)
    if problem:
        return Unmeasurable(problem)
    counts = tally.slices[label]
    if metric in RATES:
        return _rate_difference(counts, metric)
    if metric == "roc_auc":
        return _area_difference(tally, counts)
    return _loss(counts, metric, 2) if metric in LOSSES else _minus(*(_calibration(counts, m) for m in (0, 1)), rows=1)


def gaps(tally: Tally, metric: str, slice_: str | tuple[str, ...]) -> tuple[Gap, ...]:
    """The candidate's metric in every unordered pair of a slice's groups."""
    labels = sorted(groups_of(slice_, tally.slices))
    each = {label: measure(tally, metric, label) for label in labels}
    return tuple(Gap(a, b, _gap(each[a], each[b])) for a, b in combinations(labels, 2))


def _gap(a: Estimate | Unmeasurable, b: Estimate | Unmeasurable) -> Estimate | Unmeasurable:
    if isinstance(a, Unmeasurable):
        return a
    if isinstance(b, Unmeasurable):
        return b
    return _minus(a, b, rows=2)


def _minus(a: Estimate, b: Estimate, *, rows: int) -> Estimate:
    demands = [e.demand or e.rows for e in (a, b)]
    return Estimate(
        value=a.value - b.value,
        n=a.n + b.n if rows == 2 else a.n,
        rows=a.rows + b.rows if rows == 2 else a.rows,
        method=f"MOVER of: {a.method}",
        bounds=lambda alpha: bounds.independent_difference(a.value, a.bounds(alpha), b.value, b.bounds(alpha)),
        blur=math.hypot(a.blur, b.blur),
        demand=None if a.demand is b.demand is None else sum(demands) if rows == 2 else max(demands),
    )


def _problem(tally: Tally, metric: str, label: str, model: int) -> str:
    counts = tally.slices.get(label)
    if metric not in METRICS:
        return f"{metric} is no metric of a tally"
    if model and not tally.has_champion:
        return "the champion did not score these rows"
    if counts is None or counts.valid == 0:
        return f"{label} has no valid row" if counts and counts.rows else f"{label} has no row"
    if counts.invalid:
        return f"{counts.invalid:,} of {counts.rows:,} rows have a score outside [0, 1] or a label that is not 0 or 1"
    needed = {"true_positive_rate": (1,), "false_positive_rate": (0,), "roc_auc": (0, 1)}.get(metric, ())
    absent = [str(c) for c in needed if counts.classes[c] == 0]
    return f"{label} has no row with label {' or '.join(absent)}" if absent else ""


def _rate(counts: Counts, metric: str, model: int) -> Estimate:
    cells = counts.cells.sum(axis=2 if model == 0 else 1)
    k, n = {
        "accuracy": (cells[0, 0] + cells[1, 1], cells.sum()),
        "true_positive_rate": (cells[1, 1], cells[1].sum()),
        "false_positive_rate": (cells[0, 1], cells[0].sum()),
        "selection_rate": (cells[:, 1].sum(), cells.sum()),
    }[metric]
    of, total = int(k), int(n)
    return Estimate(of / total, total, counts.rows, "Clopper-Pearson", lambda a: bounds.proportion(of, total, a))


def _rate_difference(counts: Counts, metric: str) -> Estimate:
    negative, positive = counts.cells
    table = {
        "accuracy": positive + negative[::-1, ::-1],
        "true_positive_rate": positive,
        "false_positive_rate": negative,
        "selection_rate": positive + negative,
    }[metric]
    more, less, n = int(table[1, 0]), int(table[0, 1]), int(table.sum())
    value = (more - less) / n
    return Estimate(value, n, counts.rows, "Tango", lambda a: bounds.paired_proportions(more, less, n, a))


def _scarce(counts: Counts, least: int) -> int | None:
    fewest = min(counts.classes)
    return None if fewest >= least else math.ceil(counts.rows * least / max(fewest, 1))


def _area(tally: Tally, counts: Counts, model: int) -> Estimate:
    of, demand = _ranking(tally, counts, model), _scarce(counts, MIN_CLASS)
    limits = (lambda _: (0.0, 1.0)) if demand else (lambda alpha: area(of, alpha))
    return Estimate(of.area, counts.rows, counts.rows, "DeLong, logit and Hall", limits, of.blur, demand)


def _area_difference(tally: Tally, counts: Counts) -> Estimate:
    a, b = (_ranking(tally, counts, model) for model in (0, 1))
    demand, joint = _scarce(counts, MIN_CLASS_PAIRED), counts.joint
    limits = (lambda _: (-1.0, 1.0)) if demand else (lambda alpha: area_difference(a, b, joint, alpha))
    return Estimate(
        a.area - b.area, counts.rows, counts.rows, "DeLong, paired, Wald and Hall", limits, a.blur + b.blur, demand
    )


def _ranking(tally: Tally, counts: Counts, model: int) -> Ranking:
    return ranking(counts.histograms[model], tally.ties[model] == DIFFERING)


def _loss(counts: Counts, metric: str, who: int) -> Estimate:
    place, largest = LOSSES[metric]
    models = len(counts.histograms)
    start = 3 * (place * (2 * models - 1) + who)
    sums = counts.losses[start : start + 3]
    center, variance, skewness = _moments(sums, counts.rows)
    demand = _scarce(counts, MIN_CLASS)
    reach = _worst(counts.histograms, metric) if who == 2 else largest
    low = -reach if who == 2 else 0.0

    def limits(alpha: float) -> Bounds:
        if demand:
            return (-largest if who == 2 else 0.0), largest
        if variance <= NO_VARIANCE:
            return bounds.unvarying(center, min(low, center), max(reach, center), counts.rows, alpha)
        return bounds.mean((center, math.sqrt(variance), skewness), counts.rows, alpha)

    method = "Hall, paired" if who == 2 else "Hall"
    return Estimate(center, counts.rows, counts.rows, method, limits, demand=demand)


def _moments(sums: Sequence[int], n: int) -> tuple[float, float, float]:
    """Mean, variance (n - 1) and skewness, from integer sums of x, x² and x³ in `grid.QUANTA`."""
    one, two, three = (math.ldexp(total / n, -quantum) for total, quantum in zip(sums, grid.QUANTA, strict=True))
    spread = two - one * one
    if n < 2 or spread <= NO_VARIANCE:
        return one, 0.0, 0.0
    return one, spread * n / (n - 1), (three - 3 * one * two + 2 * one**3) / spread**1.5


def _worst(histograms: Ints, metric: str) -> float:
    """At least the worst loss of any row that either model was seen to make: what identical models might differ by."""
    filled = histograms.sum(axis=0) > 0
    lowest, highest = grid.EDGES[:-1][filled[1]], grid.EDGES[1:][filled[0]]
    scores = np.concatenate([lowest[:1], highest[-1:]])
    labels = np.array([1] * len(lowest[:1]) + [0] * len(highest[-1:]))
    losses = grid.log_losses(labels, scores) if metric == "log_loss" else (scores - labels) ** 2
    return float(losses.max())


def _calibration(counts: Counts, model: int) -> Estimate:
    """Expected calibration error with ten equal bins (lo, hi], each weighted by its rows."""
    sums = np.array(counts.calibration, dtype=np.float64).reshape(-1, 2, grid.CALIBRATION_BINS, 2)[model]
    scores, squares = np.moveaxis(sums, -1, 0) * 2.0**-grid.SCORE_QUANTUM
    ones = np.bincount(grid.CALIBRATION_OF, weights=counts.histograms[model][1], minlength=grid.CALIBRATION_BINS)
    n, demand = counts.rows, _scarce(counts, MIN_CLASS)
    value = float(np.abs(ones - scores.sum(axis=0)).sum()) / n
    variances = (np.maximum(ones - 2 * scores[1] + squares.sum(axis=0), 0) / n).tolist()
    limits = (lambda _: (0.0, 1.0)) if demand else (lambda a: bounds.calibration_error(value, variances, n, a))
    return Estimate(value, n, n, "signed bins and Gaussian concentration", limits, demand=demand)
