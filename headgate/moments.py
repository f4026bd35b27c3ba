"""Moments: means of per-row numbers with their bounds, from the sums of x, x² and x³ of many slices at once.

Of a regression also quantiles of the absolute error, from its histogram.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtr, bdtrc

from headgate import bounds
from headgate.arithmetic import cube, dot, log
from headgate.bounds import Sides
from headgate.crossing import Array
from headgate.grid import FINE, QUANTUM, UNIT, Ints, Reals
from headgate.regression import ERROR_EDGES

NO_VARIANCE = 2.0**-33
"""A smaller variance of numbers that were rounded to 2^-36 is within the rounding of the sums of their squares."""

NO_FINE_VARIANCE = 2.0**-50
"""The same where rests were kept, relative to the mean of the squares: double precision; see also `_DUST`."""

_DUST = 2.0**-60
"""The same, whatever the mean: the rest is rounded to 2^-66."""

SPARSE = 4.0
"""Rows per squared skewness under which Hall's transformation is not trusted: of a share, about 4 of the rarer kind."""

_MIDDLES = np.square((ERROR_EDGES[1:] + ERROR_EDGES[:-1]) / 2)

_TELLING = 8.0
"""Bins that a standard deviation must span for a histogram to tell the skewness."""


@dataclass(frozen=True, eq=False)
class Moments:
    """Of numbers in [-1, 1], per slice: shape (...).

    Attributes:
        mean, variance (n - 1), skewness: of the rows; variance 0 where it is within rounding.
        n: rows.
        doubt: by how much rounding may have changed the skewness.
    """

    mean: Reals
    variance: Reals
    skewness: Reals
    n: Reals
    doubt: Reals

    @property
    def deviation(self) -> Reals:
        """The standard deviation of the rows."""
        return np.sqrt(self.variance)


def moments(sums: Array, n: ArrayLike, *, fine: bool = False) -> Moments:
    """The moments of rows. They are differences of nearly equal numbers, and so are made of integers.

    Args:
        sums: shape (..., 3), Python integers in `grid.UNIT`: of x, x², x³.
        n: shape (...), rows.
        fine: whether rests were kept.
    """
    rows = np.asarray(n, dtype=np.float64)
    scaled = scaled_by(rows)
    one, two, three = np.moveaxis(sums, -1, 0)
    mean, square = real(one, scaled), real(two, scaled)
    spread = real(two * scaled - one * one, scaled**2)
    third = real(three * scaled**2 - 3 * one * two * scaled + 2 * one**3, scaled**3)
    # A power is rounded to the unit of the sums, and before that as every float is.
    rounding = 2.0 ** -(QUANTUM + FINE + 1) + 2.0**-52 * square if fine else 2.0 ** -(QUANTUM + 1)
    least = np.maximum(NO_FINE_VARIANCE * square, _DUST) if fine else NO_VARIANCE
    varies = (rows > 1) & (spread > least)
    safe = np.where(varies, spread, 1.0)
    cubed = safe * np.sqrt(safe)  # of the standard deviation
    sure = safe + rounding * (1 + 2 * np.abs(mean))
    return Moments(
        mean,
        np.where(varies, sure * rows / np.maximum(rows - 1, 1), 0.0),
        np.where(varies, third / cubed, 0.0),
        rows,
        np.where(varies, rounding * (1 + 3 * np.abs(mean) + 9 * mean * mean) / cubed, 0.0),
    )


def scaled_by(rows: Reals) -> Any:
    """The rows, at least 1, in the unit of the sums, as Python integers."""
    return np.maximum(rows, 1).astype(np.int64).astype(object) * round(1 / UNIT)


def real(over: Any, under: Any) -> Reals:
    """The quotient of two arrays of Python integers, correctly rounded."""
    return np.asarray(over / under, dtype=np.float64)


def averages(sums: Array, n: ArrayLike) -> Reals:
    """Sums of numbers in [-1, 1] divided by n; 0 where n is 0."""
    totals = np.array([total * UNIT for total in sums.ravel().tolist()], dtype=np.float64).reshape(sums.shape)
    return np.asarray(totals / np.maximum(n, 1))


def mean(of: Moments, low: ArrayLike, high: ArrayLike, alpha: ArrayLike) -> Sides:
    """Bounds of the mean: Hall's; where rows are few for their skewness or agree, those of any rows in [low, high]."""
    least, most = np.minimum(low, of.mean), np.maximum(high, of.mean)
    agreed = bounds.unvarying(of.mean, least, most, of.n, alpha)
    varies, sparse = of.variance > 0, of.n < SPARSE * of.skewness**2
    lower, upper = hall(of, alpha)
    if sparse.any():  # the costliest of the three, and seldom needed
        free = _free(of, least, most, alpha)
        lower, upper = np.where(sparse, free[0], lower), np.where(sparse, free[1], upper)
    return np.where(varies, lower, agreed[0]), np.where(varies, upper, agreed[1])


def hall(of: Moments, alpha: ArrayLike) -> Sides:
    """The wider of Hall's bounds (see `bounds.mean`) and Student's; infinite where nothing varies.

    Hall's alone missed up to 10% of simulated differences of losses at alpha 5% where one class has few rows, Student's
    up to 12% of losses, and the wider of them 5.9% of both with 30 rows of the smaller class.

    A sample's skewness is at most about sqrt(n) (Wilkins, Annals of Mathematical Statistics 15 (1944)), and that of a
    long tail is seen only in part. Towards the tail it is therefore enlarged by 1 + 2 |skewness| / sqrt(n), which
    vanishes with more rows: ours, checked by simulation. What rounding may have changed counts to the unsafe side.
    """
    root = np.sqrt(np.maximum(of.n, 1))
    low, high = ((of.skewness + sign * of.doubt).clip(-root, root) for sign in (-1, 1))
    down = low * (1 + 2 * np.maximum(-low, 0) / root)
    up = high * (1 + 2 * np.maximum(high, 0) / root)
    each = [bounds.mean((of.mean, of.deviation, s), of.n, alpha) for s in (down, up, 0.0)]
    return np.minimum(each[0][0], each[2][0]), np.maximum(each[1][1], each[2][1])


def _free(of: Moments, low: Reals, high: Reals, alpha: ArrayLike) -> Sides:
    """Bounds of the mean of any numbers in [low, high]; of numbers with two signs, their squares tell how far they go.

    Not negative: those of a binomial share at alpha / e (Bentkus, Annals of Probability 32 (2004), theorem 1.2).
    Else Bernstein's inequality at alpha / 2, the variance being below the mean square's own bound at alpha / 2.
    """
    width = np.where(high > low, high - low, 1.0)
    total = of.n * np.clip((of.mean - low) / width, 0, 1)
    share = np.asarray(alpha, dtype=np.float64) / math.e
    least, most = (bounds.proportion(f(total), of.n, share)[i] for i, f in enumerate((np.floor, np.ceil)))
    reach = np.maximum(np.maximum(np.abs(low), np.abs(high)), 2.0**-60)
    second = np.clip((of.variance + of.mean**2) / reach**2, 0, 1)
    square = bounds.proportion(np.ceil(of.n * second), of.n, share / 2)[1]
    odds = log(2 / np.asarray(alpha)) / np.maximum(of.n, 1)
    step = reach * (np.sqrt(2 * square * odds) + 2 * odds / 3)
    signed = low < 0
    return (
        np.where(signed, np.maximum(of.mean - step, low), low + width * least),
        np.where(signed, np.minimum(of.mean + step, high), low + width * most),
    )


def squares(sums: Array, histogram: Ints, n: ArrayLike) -> Moments:
    """The moments of squared errors as shares of the squared range.

    The sixth power of an error that is a small share of a generous range is within rounding. There the histogram's
    bins tell variance and skewness, if the errors spread over enough of them.

    Args:
        histogram: shape (..., bins), of |error|, as `error_quantile` takes it.
    """
    exact = moments(sums, n, fine=True)
    weights = histogram / np.maximum(histogram.sum(axis=-1, keepdims=True), 1)
    gaps = _MIDDLES - dot(weights, _MIDDLES)[..., None]
    spread, third = (dot(weights, power) for power in (gaps * gaps, cube(gaps)))
    bin_ = 2 * np.sqrt(exact.mean) * ERROR_EDGES[1]
    told = (exact.doubt > 0.1) | (exact.variance == 0)
    told &= (exact.n > 1) & (spread > (_TELLING * bin_) ** 2) & (spread > 0)
    safe = np.where(told, spread, 1.0)
    return replace(
        exact,
        variance=np.where(told, safe * exact.n / np.maximum(exact.n - 1, 1), exact.variance),
        skewness=np.where(told, third / (safe * np.sqrt(safe)), exact.skewness),
        doubt=np.where(told, 0.0, exact.doubt),
    )


def error_quantile(histogram: Ints, share: float, alpha: ArrayLike) -> Sides:
    """Bounds of a quantile of |error| as a share of the range, from the histogram's bins: order statistics.

    The k-th smallest error is known to lie in its bin, so the lower bound is the bin's lower edge and the upper one
    its upper edge: the binning is inside the interval.

    Args:
        histogram: shape (..., bins).
    """
    below = histogram.cumsum(axis=-1)
    n = below[..., -1]
    a = np.asarray(alpha, dtype=np.float64)
    upper, lower = _ranks(n, share, a)
    low = np.where(lower > 0, ERROR_EDGES[:-1][_bin(below, np.maximum(lower, 1))], 0.0)
    high = np.where(upper <= n, ERROR_EDGES[1:][_bin(below, np.clip(upper, 1, np.maximum(n, 1)))], 1.0)
    return low, high


def error_value(histogram: Ints, share: float) -> Reals:
    """The quantile itself: the middle of the bin that holds the error of rank ceil(share n)."""
    below = histogram.cumsum(axis=-1)
    place = _bin(below, np.maximum(np.ceil(share * below[..., -1]), 1))
    return np.asarray((ERROR_EDGES[place] + ERROR_EDGES[place + 1]) / 2)


def _bin(below: Ints, rank: ArrayLike) -> Ints:
    found = (below < np.asarray(rank)[..., None]).sum(axis=-1)
    return np.asarray(np.minimum(found, below.shape[-1] - 1))


def _ranks(n: Ints, share: float, alpha: Reals) -> tuple[Ints, Ints]:
    """The smallest rank that is above the quantile, and the largest below it, each but for a chance of alpha.

    By bisection: the order statistic of rank k is below the quantile with the probability that at least k of n rows
    are.
    """
    size, level = np.broadcast_arrays(np.asarray(n, dtype=np.int64), alpha)
    ends = [_first(lambda k: bdtrc(k - 1, size, share) <= level, size)]
    ends.append(_first(lambda k: bdtr(k - 1.0, size, share) > level, size) - 1)
    return ends[0], ends[1]


def _first(holds: Callable[[Ints], NDArray[np.bool_]], n: Ints) -> Ints:
    """The least rank in 1..n+1 for which a condition that stays true holds."""
    low, high = np.ones_like(n), n + 1
    for _ in range(64):
        middle = (low + high) // 2
        true = holds(np.minimum(middle, n)) & (middle <= n)
        done = low >= high
        low, high = np.where(done | true, low, middle + 1), np.where(done | ~true, high, middle)
    return np.asarray(high)
