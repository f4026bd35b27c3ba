"""Quality: which figures a metric's name stands for, task by task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from headgate import bounds, explained, moments
from headgate.bounds import Sides
from headgate.explained import Smooth
from headgate.figures import MIN_ROWS, Figures, Part, difference, mean, part, scarcest
from headgate.grid import Reals
from headgate.moments import Moments
from headgate.ranked import RANKED, ranked, recalibrated
from headgate.rates import RATES, average, balanced_accuracy, decided, multiclass_accuracy
from headgate.scheme import Scheme
from headgate.tally import Tally

QUANTILES = {"absolute_error_p50": 0.5, "absolute_error_p90": 0.9, "absolute_error_p95": 0.95}
"""Quantiles of a regression's absolute error."""

DECIDED = (*RATES, "balanced_accuracy")
"""What decisions alone tell of a binary task."""

_CHOOSING = ("precision", "macro_precision")
"""Metrics that are not defined where no row is decided for a class."""

_ONE_CLASS = frozenset({*RATES, *RANKED} - {"accuracy"})


def known(scheme: Scheme, metric: str) -> bool:
    """Whether a tally under this scheme can tell of a metric."""
    name, _, of = metric.partition("@")
    if scheme.detail == "decisions":
        return metric in DECIDED
    if of:
        return scheme.task == "multiclass" and name in _ONE_CLASS and of in scheme.classes
    return name in _OF_TASK[scheme.task] or any(score.name == name for score in scheme.means)


def metrics_of(scheme: Scheme) -> tuple[str, ...]:
    """Every metric that a tally under this scheme tells of, those of one class against the rest left out."""
    if scheme.detail == "decisions":
        return DECIDED
    own = (score.name for score in scheme.means if score.name != "mean_squared_error")
    return (*_OF_TASK[scheme.task], *own)


def figures_of(of: Part, metric: str, who: int) -> Figures:
    """The figures of a metric that is `known`.

    Args:
        metric: of one class against the rest, `name@class`.
        who: 0 for the candidate, 1 for the champion, 2 for candidate minus champion on the same rows.
    """
    name, _, one = metric.partition("@")
    if one:
        return decided(of.cells(one), name, who) if name in RATES else ranked(of, name, one, who)
    if name in _OF_TASK[of.scheme.task]:
        return _OF_TASK[of.scheme.task][name](of, name, who)
    place = next(place for place, score in enumerate(of.scheme.means) if score.name == name)
    return mean(of, place, who)


def sufficient(of: Part, metric: str) -> NDArray[np.bool_]:
    """Which of many slices surely lack nothing for a metric; of the others `needs` says what, if anything."""
    name, _, one = metric.partition("@")
    enough: NDArray[np.bool_] = (of.arrays["rows"] > 0) & (of.arrays["invalid"] == 0)
    if of.scheme.task not in ("binary", "multiclass"):
        return enough
    counts = of.classes(one)
    for place in _classes(of, name, one):
        enough &= counts[..., place] > 0
    return enough & (name not in _CHOOSING)


def needs(tally: Tally, metric: str, label: str, who: int) -> str:
    """What a slice lacks for a metric to be defined, in words; empty if nothing."""
    name, _, one = metric.partition("@")
    if tally.scheme.task not in ("binary", "multiclass"):
        return ""
    of = part(tally, tally.place[label])
    absent = [_spelled(of, one, c) for c in _classes(of, name, one) if of.classes(one)[..., c] == 0]
    if absent:
        return f"{label} has no row with label {' or '.join(absent)}"
    undefined = name in _CHOOSING and bool(np.isnan(figures_of(of, metric, who).value))
    return f"in {label} no row is decided for a class" if undefined else ""


def _classes(of: Part, name: str, one: str) -> tuple[int, ...]:
    """The classes without which a metric is not defined."""
    if name in ("true_positive_rate", "false_negative_rate", "f1"):
        return (1,)
    if name in ("true_negative_rate", "false_positive_rate"):
        return (0,)
    if name in ("roc_auc", "average_precision", "calibration_slope"):
        return (0, 1)
    every = name in ("balanced_accuracy", "macro_precision", "macro_f1", "macro_roc_auc")
    return tuple(range(max(len(of.scheme.classes), 2))) if every else ()


def _spelled(of: Part, one: str, place: int) -> str:
    if of.scheme.task == "binary":
        return str(place)
    return f"other than {one}" if one and not place else one or of.scheme.classes[place]


def _rate(of: Part, name: str, who: int) -> Figures:
    return decided(of.cells(""), name, who)


def _balanced(of: Part, _: str, who: int) -> Figures:
    return balanced_accuracy(of, who)


def _ranked(of: Part, name: str, who: int) -> Figures:
    return ranked(of, name, "", who)


def _macro(of: Part, name: str, who: int) -> Figures:
    metric = name.removeprefix("macro_")
    each = [figures_of(of, f"{metric}@{c}", who) for c in of.scheme.classes]
    return replace(average(each, independent=False), n=of.n)


def _unpaired(make: Callable[[Part, str, int], Figures]) -> Callable[[Part, str, int], Figures]:
    """Figures whose difference between the models is taken as if they were independent (conservative)."""

    def figures(of: Part, name: str, who: int) -> Figures:
        return difference(make(of, name, 0), make(of, name, 1)) if who == 2 else make(of, name, who)

    return figures


def _reliability(of: Part, model: int) -> Reals:
    """Sums of the residual's powers per tenth, over all rows: shape (..., 10, 3)."""
    return moments.averages(of.arrays["reliability"][..., model, :, :], of.n[..., None, None])


def _calibration_error(of: Part, _: str, model: int) -> Figures:
    """Expected calibration error with ten equal bins (lo, hi], each weighted by its rows."""
    signed, squares, _cubes = np.moveaxis(_reliability(of, model), -1, 0)
    value, n = np.abs(signed).sum(axis=-1), of.n
    return Figures(
        value=value,
        n=n,
        method="signed bins and Gaussian concentration",
        bounds=lambda alpha: bounds.calibration_error(value, squares, n, alpha),
        fewest=scarcest(of),
        least=MIN_ROWS,
    )


def _in_the_large(of: Part, _: str, model: int) -> Figures:
    """Calibration in the large: the mean label minus the mean score (Cox 1958)."""
    sums = of.arrays["reliability"][..., model, :, :].sum(axis=-2)
    found = moments.moments(sums, of.n)
    return Figures(
        found.mean, of.n, "Hall", lambda a: moments.mean(found, -1.0, 1.0, a), fewest=scarcest(of), least=MIN_ROWS
    )


def _squares(of: Part, model: int) -> Moments:
    return moments.squares(of.sums(2, model), of.arrays["errors"][..., model, :], of.n)


def _root(of: Part, _: str, who: int) -> Figures:
    """The root of the mean squared error; its bounds are the roots of Hall's."""
    scale = float(np.sqrt(of.scheme.means[2].high))
    each = [_squares(of, model) for model in range(of.scheme.models)]
    if who < 2:
        return _smooth(of, explained.root(each[who]), "root of Hall", scale, MIN_ROWS)
    change = moments.moments(of.sums(2, 2), of.n, fine=True)
    a, b = (explained.root(found) for found in each)
    row = _as_of_rows(a.value - b.value, explained.root_change(each[0], each[1], change), change, 1)
    return _apart(of, a, b, row, lambda end: explained.of_roots(end, a.value + b.value), scale)


def _explained(of: Part, _: str, who: int) -> Figures:
    """R²; its bounds are those of a ratio of two correlated means."""
    labels, spread = of.arrays["labels"], explained.spread_of(of.arrays["labels"], of.n)
    joint = [labels[..., 4 + 2 * m : 6 + 2 * m] for m in range(of.scheme.models)]
    each = [explained.explained(_squares(of, m), of.sums(2, m)[..., 0], j, spread) for m, j in enumerate(joint)]
    if who < 2:
        return _smooth(of, each[who], "MOVER-R of Hall", 1.0, 3 * MIN_ROWS)
    change, (a, b) = moments.moments(of.sums(2, 2), of.n, fine=True), each
    deviation = explained.explained_change(change, of.sums(2, 2)[..., 0], joint[0] - joint[1], spread)
    row = _as_of_rows(a.value - b.value, deviation, change, -1)
    return _apart(of, a, b, row, lambda end: -end / spread.squares.mean, 1.0)


def _smooth(of: Part, found: Smooth, method: str, scale: float, least: int) -> Figures:
    def limits(alpha: ArrayLike) -> Sides:
        low, high = found.sides(alpha)
        return scale * low, scale * high

    return Figures(scale * found.value, of.n, method, limits, fewest=of.n, least=least)


def _as_of_rows(value: Reals, deviation: Reals, change: Moments, sign: int) -> Moments:
    """A difference as if it were a mean of rows, as skew as those of the mean squared error's difference."""
    return replace(change, mean=value, variance=deviation**2, skewness=sign * change.skewness)


def _apart(of: Part, a: Smooth, b: Smooth, row: Moments, through: Callable[[Reals], Reals], scale: float) -> Figures:
    """The paired difference of two functions of the mean squared error.

    Two models that agree in every row have no standard error, and still a difference that is not proved to be 0:
    theirs are the bounds of the mean squared error's difference, carried through.
    """
    squares, unit = mean(of, 2, 2), of.scheme.means[2].high

    def limits(alpha: ArrayLike) -> Sides:
        low, high = explained.smooth_difference(a, b, row, of.n, alpha)
        ends = [row.mean + through(end / unit) for end in squares.bounds(alpha)]
        low = np.where(row.variance > 0, low, np.minimum(*ends))
        return scale * low, scale * np.where(row.variance > 0, high, np.maximum(*ends))

    method = "Wald and Hall or MOVER, paired"
    return Figures(scale * row.mean, of.n, method, limits, fewest=of.n, least=3 * MIN_ROWS)


def _error_quantile(of: Part, name: str, model: int) -> Figures:
    """A quantile of the absolute error, by order statistics over bins; the bins' widths are inside the bounds."""
    histogram, width = of.arrays["errors"][..., model, :], of.scheme.means[1].high

    def limits(alpha: ArrayLike) -> Sides:
        low, high = moments.error_quantile(histogram, QUANTILES[name], alpha)
        return width * low, width * high

    return Figures(width * moments.error_value(histogram, QUANTILES[name]), of.n, "order statistics", limits)


_Makers = Mapping[str, Callable[[Part, str, int], Figures]]

_CALIBRATION: _Makers = {"expected_calibration_error": _unpaired(_calibration_error)}

_OF_TASK: Mapping[str, _Makers] = {
    "binary": {
        **dict.fromkeys(RATES, _rate),
        **dict.fromkeys(RANKED, _ranked),
        **_CALIBRATION,
        "balanced_accuracy": _balanced,
        "calibration_in_the_large": _unpaired(_in_the_large),
        "calibration_slope": _unpaired(recalibrated),
    },
    "multiclass": {
        **_CALIBRATION,
        "accuracy": lambda of, _, who: multiclass_accuracy(of, who),
        "balanced_accuracy": _balanced,
        **dict.fromkeys(("macro_precision", "macro_f1", "macro_roc_auc"), _macro),
    },
    "regression": {
        "root_mean_squared_error": _root,
        "r2": _explained,
        **dict.fromkeys(QUANTILES, _unpaired(_error_quantile)),
    },
    "scored": {},
}
"""Every metric beside the means of scores."""
