"""Assumption: what is expected of an estimate before it is made: its value, and how far its bounds will lie from it.

The best ground is an earlier estimate of the same metric (`scaled`): half-widths shrink as one over the root of the
rows. Without one, `supposed` takes what is usual or worst for the metric's value, and says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from headgate import bounds
from headgate.bounds import Bounds
from headgate.estimate import Estimate
from headgate.figures import Part
from headgate.grid import CALIBRATION_BINS
from headgate.rates import RATES
from headgate.scheme import Score

Reach = Callable[[float, float], Bounds]


@dataclass(frozen=True)
class Outlook:
    """What is expected of an estimate.

    Attributes:
        value: the metric, about which the reaches are.
        reach: (factor, alpha) -> how far its bounds, each at error alpha, will lie below and above it with `factor`
            times the rows at hand.
        ground: what that rests on, in words.
        trials: of a rate, its rows at hand: then it is binomial and nothing else need be known of it.
    """

    value: float
    reach: Reach
    ground: str
    trials: float | None = None


def scaled(estimate: Estimate, rows: float, ground: str) -> Outlook:
    """What an earlier estimate lets expect of as many rows as are at hand, in terms of what the estimate's `n` counts.

    Args:
        rows: such rows at hand. ground: which estimate it was.
    """

    known: dict[float, Bounds] = {}

    def reach(factor: float, alpha: float) -> Bounds:
        if alpha not in known:
            known[alpha] = estimate.bounds(alpha)
        lower, upper = known[alpha]
        shrunk = math.sqrt(estimate.n / (rows * factor))
        below, above = (
            _shrunk(width, estimate.blur, shrunk) for width in (estimate.value - lower, upper - estimate.value)
        )
        return below, above

    return Outlook(estimate.value, reach, ground)


def _shrunk(width: float, blur: float, shrunk: float) -> float:
    constant = min(width, blur)
    return constant + (width - constant) * shrunk


def supposed(metric: str, of: Part, n: float, value: float | None) -> Outlook | None:
    """What may be supposed of a metric that was never estimated; None if nothing may.

    Args:
        of: the slice at hand, for its rows and classes. n: rows that the metric rests on.
        value: what the metric is supposed to be; None for the default of the metric.
    """
    name, _, one = metric.partition("@")
    if name in RATES:
        return binomial(name, n, 0.5 if value is None else value)
    if name == "accuracy":
        return binomial(name, n, 0.5 if value is None else value)
    if name == "balanced_accuracy" or name.startswith("macro_"):
        return _averaged(name, of, value)
    if name == "expected_calibration_error":
        return _calibrated(n, 0.03 if value is None else value)
    return _spread(name, one, of, n, value)


def binomial(name: str, n: float, value: float) -> Outlook:
    """A rate of so many rows; F1 is a function of one."""
    v = min(max(value, 0.0), 1.0)
    share = v / (2 - v) if name == "f1" else v

    def reach(factor: float, alpha: float) -> Bounds:
        rows = n * factor
        lower, upper = (float(x) for x in bounds.proportion(share * rows, rows, alpha))
        return (v - f1_of(lower), f1_of(upper) - v) if name == "f1" else (v - lower, upper - v)

    return Outlook(v, reach, f"a rate near {v:.4g}", n)


def f1_of(share: float) -> float:
    """F1 of Jaccard's share."""
    return 2 * share / (1 + share)


def _averaged(name: str, of: Part, value: float | None) -> Outlook:
    """The mean of every class's metric."""
    metric = "true_positive_rate" if name == "balanced_accuracy" else name.removeprefix("macro_")
    binary = of.scheme.task == "binary"
    classes = of.scheme.classes or ("0", "1")
    sizes = of.classes("") if binary or metric != "roc_auc" else np.full(len(classes), of.n)
    named = classes if metric == "roc_auc" else ("",) * len(classes)
    each = [supposed(f"{metric}@{c}", of, float(n), value) for c, n in zip(named, sizes, strict=True)]
    known = [outlook for outlook in each if outlook is not None]
    sum_up = bounds.weighted_sum if name == "balanced_accuracy" else bounds.correlated_sum
    v, ground = known[0].value, known[0].ground

    def reach(factor: float, alpha: float) -> Bounds:
        reaches = [outlook.reach(factor, alpha) for outlook in known]
        pairs = [(v - below, v + above) for below, above in reaches]
        lower, upper = sum_up([v] * len(known), pairs, [1 / len(known)] * len(known))
        return v - float(lower), float(upper) - v

    return Outlook(v, reach, f"in every class {ground}")


def _calibrated(n: float, value: float) -> Outlook:
    """The widest that residuals of probabilities can make it: scores of one half, spread over all bins."""

    def reach(factor: float, alpha: float) -> Bounds:
        each = np.full(CALIBRATION_BINS, 0.25 / CALIBRATION_BINS)
        lower, upper = bounds.calibration_error(value, each, n * factor, alpha)
        return value - float(lower), float(upper) - value

    return Outlook(value, reach, "scores so uncertain that nothing is wider")


def _spread(name: str, one: str, of: Part, n: float, value: float | None) -> Outlook | None:
    """A mean, or what behaves as one: its reach is a normal quantile of its standard error."""
    own = next((score for score in of.scheme.scores if score.name == name), None)
    if own is not None:
        v = (own.low + own.high) / 2 if value is None else value
        return _normal(v, _widest(own, v), n, "per-row scores as far apart as their range allows")
    default = _DEFAULTS.get(name)
    center = default if value is None else value
    if center is None or name not in _ERRORS:
        return None
    error, ground = _ERRORS[name](center, of, one, n)
    return _normal(center, error * math.sqrt(n), n, ground)


def _normal(value: float, deviation: float, n: float, ground: str) -> Outlook:
    def reach(factor: float, alpha: float) -> Bounds:
        width = float(bounds.normal(alpha)) * deviation / math.sqrt(n * factor)
        return width, width

    return Outlook(value, reach, ground)


def _widest(score: Score, mean: float) -> float:
    """The largest standard deviation of numbers in a range with this mean (Bhatia and Davis 2000)."""
    return math.sqrt(max(mean - score.low, 0.0) * max(score.high - mean, 0.0))


def _area(v: float, of: Part, one: str, _: float) -> tuple[float, str]:
    """The standard error of an AUC of exponential scores: Hanley and McNeil, Radiology 143 (1982)."""
    n0, n1 = (float(x) for x in of.classes(one))
    a = min(max(v, 0.5), 1 - 1e-6)
    q1, q2 = a / (2 - a), 2 * a * a / (1 + a)
    variance = (a * (1 - a) + (n1 - 1) * (q1 - a * a) + (n0 - 1) * (q2 - a * a)) / (n0 * n1)
    return math.sqrt(variance), f"exponential scores with an area of {a:.4g}"


def _precision(v: float, of: Part, one: str, _: float) -> tuple[float, str]:
    """Boyd, Eng and Page, ECML PKDD 2013: as a rate among the rows of label 1."""
    return math.sqrt(max(v * (1 - v), 0.0) / float(of.classes(one)[1])), f"an area near {v:.4g} that varies as a rate"


def _as_mean(scale: Callable[[float], float], ground: str) -> Callable[[float, Part, str, float], tuple[float, str]]:
    return lambda v, _of, _one, n: (scale(v) / math.sqrt(n), ground)


_ERRORS: Mapping[str, Callable[[float, Part, str, float], tuple[float, str]]] = {
    "roc_auc": _area,
    "average_precision": _precision,
    "log_loss": _as_mean(abs, "losses that vary as much as their mean"),
    "brier_score": _as_mean(lambda v: math.sqrt(max(v * (1 - v), 0.0)), "losses as far apart as they can be"),
    "calibration_in_the_large": _as_mean(lambda _: 0.5, "scores of one half"),
    "mean_absolute_error": _as_mean(abs, "errors with Laplace's distribution"),
    "root_mean_squared_error": _as_mean(lambda v: math.sqrt(5) / 2 * abs(v), "errors with Laplace's distribution"),
    "r2": _as_mean(lambda v: 2 * math.sqrt(max(v, 0.0)) * (1 - v), "normal errors"),
}
"""Standard error of a metric at a value, and what is supposed there."""

_DEFAULTS: Mapping[str, float] = {
    "roc_auc": 0.75, "average_precision": 0.5, "log_loss": 0.5, "brier_score": 0.2, "calibration_in_the_large": 0.0,
    "r2": 0.5,
}  # fmt: skip


def apart(a: Outlook, b: Outlook, ground: str) -> Outlook:
    """The difference of two metrics as if they were independent (MOVER)."""

    def reach(factor: float, alpha: float) -> Bounds:
        (below_a, above_a), (below_b, above_b) = a.reach(factor, alpha), b.reach(factor, alpha)
        return math.hypot(below_a, above_b), math.hypot(above_a, below_b)

    return Outlook(a.value - b.value, reach, ground)


def over(a: Outlook, b: Outlook) -> Outlook:
    """The logarithm of the ratio of two independent metrics: its reaches are those of MOVER-R as factors."""
    ratio = a.value / b.value

    def reach(factor: float, alpha: float) -> Bounds:
        of_a, of_b = (_ends(outlook, factor, alpha) for outlook in (a, b))
        lower, upper = (float(x) for x in bounds.ratio(a.value, of_a, b.value, of_b))
        return math.log(ratio / lower) if lower > 0 else math.inf, math.log(upper / ratio)

    return Outlook(math.log(ratio), reach, a.ground)


def shared(change: Outlook, base: float) -> Outlook:
    """A difference as a share of a value."""

    def reach(factor: float, alpha: float) -> Bounds:
        below, above = change.reach(factor, alpha)
        return below / base, above / base

    return Outlook(change.value / base, reach, change.ground)


def _ends(outlook: Outlook, factor: float, alpha: float) -> Sequence[float]:
    below, above = outlook.reach(factor, alpha)
    return outlook.value - below, outlook.value + above
