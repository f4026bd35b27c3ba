"""Consistency: what the numbers of a tally owe each other, so that a forged one is told from a counted one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from headgate import grid
from headgate.arithmetic import dot
from headgate.crossing import Array
from headgate.regression import ERROR_EDGES
from headgate.scheme import Scheme

_ONE = round(1 / grid.UNIT)
_SLACK = round(2.0 ** -(grid.QUANTUM - 1) / grid.UNIT)
"""By how much rounding may change what a row adds to a sum; twice that, as floats are rounded before."""

_NEAR = 2.0**-30
"""By how much the sums of a row's numbers and the edges of its bins may differ, as a share of the range."""

_COARSE_STARTS = np.searchsorted(grid.COARSE_OF, np.arange(grid.COARSE_BINS))


def demand_consistent(scheme: Scheme, arrays: Mapping[str, Array]) -> None:
    """Raise ValueError unless no count is negative and all that count the same rows agree.

    Args:
        arrays: as in `tally.Tally`, the first axis being that of the slices.
    """
    valid = arrays["rows"] - arrays["invalid"]
    if any(arrays[name].min(initial=0) < 0 for name in ("rows", "invalid", *scheme.counts)) or valid.min() < 0:
        raise ValueError("counts that are negative")
    for what, total in _totals(scheme, arrays):
        if not (np.moveaxis(total, 0, -1) == valid).all():
            raise ValueError(f"{what} that does not add up to the rows")
    if not all(_agreements(scheme, arrays)):
        raise ValueError("decisions and histograms that disagree")
    for what, sound in _sums(scheme, arrays, valid.astype(object)):
        if not np.all(sound):
            raise ValueError(f"sums of {what} that no such rows have")


def _totals(scheme: Scheme, arrays: Mapping[str, Array]) -> Iterator[tuple[str, Array]]:
    """Sums that must be the number of valid rows, the slices on the first axis."""
    axes = {"cells": 3, "confusion": 3, "histogram": 2, "joint": 3, "errors": 1}
    for name in scheme.counts:
        array = arrays[name]
        yield name, array.sum(axis=tuple(range(array.ndim - axes[name], array.ndim)))


def _agreements(scheme: Scheme, arrays: Mapping[str, Array]) -> Iterator[bool]:
    if "histogram" not in scheme.counts:
        return
    histogram = arrays["histogram"]
    classes = histogram.sum(axis=-1)  # (slices[, classes], models, 2)
    if scheme.task == "binary":
        labels = arrays["cells"].sum(axis=(2, 3))
        yield bool((classes == labels[:, None, :]).all())
    else:
        labels = arrays["confusion"].sum(axis=(2, 3))
        yield bool((classes[..., 1] == labels[..., None]).all())
    if scheme.models == 2:
        coarse = np.add.reduceat(histogram, _COARSE_STARTS, axis=-1)
        joint = arrays["joint"]
        yield bool((joint.sum(axis=-1) == coarse[..., 0, :, :]).all())
        yield bool((joint.sum(axis=-2) == coarse[..., 1, :, :]).all())


def _sums(scheme: Scheme, arrays: Mapping[str, Array], n: Array) -> Iterator[tuple[str, Any]]:
    """What sums of powers of numbers in [-1, 1] owe the rows, each other, and the counts. `n`: Python integers."""
    if not scheme.sums:
        return
    means, slack = arrays["means"], n * _SLACK
    for place, score in enumerate(scheme.means):
        each = np.moveaxis(means[:, place], 0, -1)  # (contrasts, 3, slices)
        for contrast, powers in enumerate(each):
            signed = contrast == 2 or score.low == -score.high
            yield score.name, _powers(powers, n, slack) & (signed | (powers[0] + slack >= powers[1]))
        if scheme.models == 2:
            unit = 2 if score.low == -score.high else 1
            yield f"the differences of {score.name}", abs(unit * each[2, 0] - each[0, 0] + each[1, 0]) <= 4 * slack
    if "reliability" in scheme.sums:
        yield from _residuals(scheme, arrays["reliability"], means, n, slack)
    if scheme.task == "regression":
        yield from _labels(arrays["labels"], means, n, slack)
        yield from _errors(arrays["errors"], means, n.astype(np.float64))


def _powers(powers: Array, n: Array, slack: Array) -> Array:
    """Whether x, x² and x³ of n rows can have these sums; the first axis is the power's."""
    one, two, three = powers
    bounded = (abs(one) <= n * _ONE + slack) & (two >= 0) & (two <= n * _ONE + slack) & (abs(three) <= two + slack)
    return np.asarray(bounded & (one * one <= n * _ONE * (two + 3 * slack)))


def _residuals(scheme: Scheme, each: Array, means: Array, n: Array, slack: Array) -> Iterator[tuple[str, Any]]:
    for model in range(scheme.models):
        powers = np.moveaxis(each[:, model], 0, -1)  # (bins, 3, slices)
        for tenth in powers:
            yield "residuals", _powers(tenth, n, slack)
        squares = powers[:, 1].sum(axis=0)
        yield "squared residuals", squares <= n * _ONE + slack
        if scheme.task == "binary":
            yield "squared residuals", abs(squares - means[:, 1, model, 0]) <= slack


def _labels(labels: Array, means: Array, n: Array, slack: Array) -> Iterator[tuple[str, Any]]:
    """Powers of a share of the range fall, and so do those that a squared error is multiplied by."""
    first, *rest = np.moveaxis(labels, -1, 0)
    chains = [[n * _ONE, first, *rest[:3]]]
    chains += [[means[:, 2, model, 0], *rest[3 + 2 * model : 5 + 2 * model]] for model in range(len(rest[3:]) // 2)]
    for chain in chains:
        for more, less in pairwise(chain):
            yield "labels", (less >= 0) & (less <= more + slack)


def _errors(errors: Array, means: Array, n: Array) -> Iterator[tuple[str, Any]]:
    """The mean errors lie within the edges of the errors' bins; and the mean of both signs within that without."""
    for model in range(errors.shape[1]):
        bias, size, square = ((means[:, place, model, 0] * grid.UNIT).astype(np.float64) for place in range(3))
        for total, power in ((size, 1), (square, 2)):
            low, high = (dot(errors[:, model], edges**power) for edges in (ERROR_EDGES[:-1], ERROR_EDGES[1:]))
            yield "errors", (low - n * _NEAR <= total) & (total <= high + n * _NEAR)
        yield "errors", np.abs(bias) <= size + n * _NEAR
