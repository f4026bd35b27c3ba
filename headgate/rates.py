"""Rates: metrics that are a share of rows, by decision and label, and what is made of them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from headgate import bounds
from headgate.bounds import Sides
from headgate.figures import Figures, Part, difference
from headgate.grid import Ints, Reals

_ALL = ((1, 1), (1, 1))

RATES: Mapping[str, tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]] = {
    "accuracy": (((1, 0), (0, 1)), _ALL),
    "precision": (((0, 0), (0, 1)), ((0, 1), (0, 1))),
    "true_positive_rate": (((0, 0), (0, 1)), ((0, 0), (1, 1))),
    "true_negative_rate": (((1, 0), (0, 0)), ((1, 1), (0, 0))),
    "false_positive_rate": (((0, 1), (0, 0)), ((1, 1), (0, 0))),
    "false_negative_rate": (((0, 0), (1, 0)), ((0, 0), (1, 1))),
    "selection_rate": (((0, 1), (0, 1)), _ALL),
    "f1": (((0, 0), (0, 1)), ((0, 1), (1, 1))),
}
"""Which cells, label x decision, are counted, and of which. F1 is 2 J / (1 + J), J being Jaccard's share."""

UNPAIRED = ("precision", "f1")
"""Rates of rows that depend on the decision, so that two models' shares are not of the same rows."""


def rate(cells: Ints, metric: str) -> Figures:
    """A rate with Clopper and Pearson's exact bounds; F1 by the same, of the share that it is a function of.

    Of the rows that are labelled or decided 1, those that are both are binomial, so that bounds of F1 follow from
    those of that share: they are exact too.

    Args:
        cells: shape (..., 2, 2), label x decision.
    """
    counted, among = (np.array(mask) for mask in RATES[metric])
    k, n = ((cells * mask).sum(axis=(-1, -2)).astype(np.float64) for mask in (counted, among))
    of = _harmonic if metric == "f1" else _same

    def limits(alpha: ArrayLike) -> Sides:
        lower, upper = bounds.proportion(k, n, alpha)
        return of(lower), of(upper)

    value = of(np.divide(k, n, out=np.full_like(k, np.nan), where=n > 0))
    return Figures(value, n, "Clopper-Pearson", limits)


def rate_difference(cells: Ints, metric: str) -> Figures:
    """Candidate minus champion on the same rows, by Tango's score; of `UNPAIRED` rates as if independent.

    Args:
        cells: shape (..., 2, 2, 2), label x candidate's decision x champion's decision.
    """
    if metric in UNPAIRED:
        return difference(rate(cells.sum(axis=-1), metric), rate(cells.sum(axis=-2), metric))
    counted, among = (np.array(mask) for mask in RATES[metric])
    only_first = counted[:, :, None] * (1 - counted[:, None, :]) * among[:, :1, None]
    more, less = ((cells * mask).sum(axis=(-1, -2, -3)) for mask in (only_first, only_first.swapaxes(1, 2)))
    n = (cells * among[:, :1, None]).sum(axis=(-1, -2, -3))
    return paired(more, less, n)


def paired(more: Ints, less: Ints, n: Ints) -> Figures:
    """The difference of two shares of the same n rows, by Tango's score, half a row wider.

    Tango's own bounds miss up to 6.7% at alpha 5% where few rows differ; half a row to either side, the correction for
    a count's steps, brings every case that was computed exactly to 5% or less.
    """
    rows = np.asarray(n, dtype=np.float64)
    value = np.divide(more - less, rows, out=np.full_like(rows, np.nan), where=rows > 0)

    def limits(alpha: ArrayLike) -> Sides:
        lower, upper = bounds.paired_proportions(more, less, rows, alpha)
        step = 0.5 / np.maximum(rows, 1)
        return np.maximum(lower - step, -1.0), np.minimum(upper + step, 1.0)

    return Figures(value, rows, "Tango", limits)


def average(each: list[Figures], *, independent: bool) -> Figures:
    """The mean of several figures of the same slices: MOVER, or where they may depend on each other, wider."""
    share = [1 / len(each)] * len(each)
    combine = bounds.weighted_sum if independent else bounds.correlated_sum
    values = [f.value for f in each]
    return Figures(
        value=np.asarray(np.mean(values, axis=0)),
        n=np.asarray(np.sum([f.n for f in each], axis=0)),
        method=f"{'MOVER' if independent else 'summed half-widths'} of: {each[0].method}",
        bounds=lambda alpha: combine(values, [f.bounds(alpha) for f in each], share),
        blur=np.mean([np.asarray(f.blur, dtype=np.float64) for f in each], axis=0),
        fewest=np.min([np.asarray(f.fewest, dtype=np.float64) for f in each], axis=0),
        least=max(f.least for f in each),
    )


def balanced_accuracy(of: Part, who: int) -> Figures:
    """The mean of the true positive rates of all classes, which rest on different rows and so are independent.

    Args:
        who: 0 for the candidate, 1 for the champion, 2 for their paired difference.
    """
    if of.scheme.task == "binary":
        names = ("true_positive_rate", "true_negative_rate")
        return average([decided(of.cells(""), name, who) for name in names], independent=True)
    return average([decided(of.cells(c), "true_positive_rate", who) for c in of.scheme.classes], independent=True)


def decided(cells: Ints, metric: str, who: int) -> Figures:
    """A rate of the candidate (0), of the champion (1), or their paired difference (2)."""
    if who == 2:
        return rate_difference(cells, metric)
    return rate(cells.sum(axis=-1 if who == 0 else -2), metric)


def multiclass_accuracy(of: Part, who: int) -> Figures:
    """The share of rows whose decision is their class."""
    confusion = of.arrays["confusion"]
    k, models = confusion.shape[-2], confusion.shape[-1]
    right = np.eye(k, dtype=np.int64)
    hit = (right[:, :, None], right[:, None, :] if models > 1 else np.zeros((k, 1, 1), dtype=np.int64))
    n = confusion.sum(axis=(-1, -2, -3))
    if who == 2:
        more, less = ((confusion * a * (1 - b)).sum(axis=(-1, -2, -3)) for a, b in (hit, hit[::-1]))
        return paired(more, less, n)
    found = (confusion * hit[who]).sum(axis=(-1, -2, -3)).astype(np.float64)
    rows = n.astype(np.float64)
    value = np.divide(found, rows, out=np.full_like(rows, np.nan), where=rows > 0)
    return Figures(value, rows, "Clopper-Pearson", lambda alpha: bounds.proportion(found, rows, alpha))


def _harmonic(share: Reals) -> Reals:
    return np.asarray(2 * share / (1 + share))


def _same(share: Reals) -> Reals:
    return share
