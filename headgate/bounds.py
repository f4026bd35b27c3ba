"""Bounds: interval methods on numbers. Each function returns two one-sided bounds, each at error `alpha`.

The true value is above the lower bound with probability 1 - alpha, and below the upper one with the same probability;
the two together hold with 1 - 2 alpha. No method here gives a width of zero to a sample that does not vary.

Every argument may be a number or an array, one entry per slice, `alpha` too: they broadcast.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtr, bdtrc, betaincinv, ndtri, stdtrit

from headgate.arithmetic import cbrt, expm1, log

Reals = NDArray[np.float64]

Bounds = tuple[float, float]
"""Lower and upper bound of one slice."""

Sides = tuple[Reals, Reals]
"""Lower and upper bounds of many slices."""

_Pair = Sequence[ArrayLike]

_STRAIGHT = 1e-6
_STEPS = 0.5 ** np.arange(48)


def normal(alpha: ArrayLike) -> Reals:
    """The standard normal quantile that is exceeded with probability alpha."""
    quantiles: Reals = np.negative(ndtri(alpha))
    return quantiles


def proportion(successes: ArrayLike, n: ArrayLike, alpha: ArrayLike) -> Sides:
    """Exact binomial bounds: Clopper and Pearson, Biometrika 26 (1934). Nothing is known from n = 0."""
    k, failures = _real(successes), _real(n) - _real(successes)
    # With no success (no failure) there is no such beta distribution: 1 stands in, and is not used.
    lower = np.where(k > 0, betaincinv(np.maximum(k, 1), failures + 1, alpha), 0.0)
    upper = np.where(failures > 0, 1 - betaincinv(np.maximum(failures, 1), k + 1, alpha), 1.0)
    return lower, upper


def paired_proportions(more: ArrayLike, less: ArrayLike, n: ArrayLike, alpha: ArrayLike) -> Sides:
    """Difference of two proportions on the same n rows: Tango's score bounds, Statistics in Medicine 17 (1998).

    Nothing is known from n = 0.

    Args:
        more, less: rows where only the first, and only the second, of the pair is 1.
    """
    a, b, rows, z = np.broadcast_arrays(_real(more), _real(less), _real(n), normal(alpha))
    whole = np.maximum(rows, 1)
    # The upper bound is minus the lower bound of the pair's second minus its first.
    refuted = _tango(np.stack([a, b]) / whole, np.stack([b, a]) / whole, z * z / whole)
    lower = np.full((2, *a.shape), -1.0)
    for step in _STEPS:
        lower += step * refuted(lower + step)
    return np.where(rows > 0, lower[0], -1.0), np.where(rows > 0, -lower[1], 1.0)


def _tango(more: Reals, less: Reals, squared: Reals) -> Callable[[Reals], NDArray[np.bool_]]:
    """Whether Tango's score is above z for a true difference d; it falls as d rises. `squared` is z² / n."""
    gap, total, slope, scale = more - less, more + less, 2 - more + less, 8 * less

    def refuted(d: Reals) -> NDArray[np.bool_]:
        spread, linear = d - d * d, slope * d - total
        # The likeliest share of `less` is q = (root - linear) / 4, the variance (2 q + spread) / n.
        root = np.sqrt(np.maximum(linear * linear + scale * spread, 0.0))
        above: NDArray[np.bool_] = (gap > d) & ((gap - d) ** 2 > squared * ((root - linear) / 2 + spread))
        return above

    return refuted


def independent_difference(a: ArrayLike, of_a: _Pair, b: ArrayLike, of_b: _Pair) -> Sides:
    """Bounds of a - b from each one's own bounds: MOVER.

    Newcombe's method 10, Statistics in Medicine 17 (1998); for any measure Zou and Donner, ibid. 27 (2008). For
    positively correlated a and b it is conservative.
    """
    return weighted_sum((a, b), (of_a, of_b), (1, -1))


def weighted_sum(values: Sequence[ArrayLike], bounds: Sequence[_Pair], weights: Sequence[ArrayLike]) -> Sides:
    """Bounds of the weighted sum of independent estimates from each one's own bounds: MOVER.

    Zou and Donner, Statistics in Medicine 27 (2008). E.g. balanced accuracy: both classes' rates, weights ½ and ½.
    """
    total, below, above = _reaches(values, bounds, weights)
    return total - np.sqrt((below**2).sum(axis=0)), total + np.sqrt((above**2).sum(axis=0))


def correlated_sum(values: Sequence[ArrayLike], bounds: Sequence[_Pair], weights: Sequence[ArrayLike]) -> Sides:
    """Bounds of the weighted sum of estimates that depend on each other in a way that is not known.

    The distances from value to bound add. A sum's standard deviation is at most the sum of the standard deviations
    (Minkowski), whatever the correlations, so what misses with probability alpha each, in proportion to the standard
    deviation, misses no more often together; all at the same alpha, with no correction.
    """
    total, below, above = _reaches(values, bounds, weights)
    return total - below.sum(axis=0), total + above.sum(axis=0)


def _reaches(
    values: Sequence[ArrayLike], bounds: Sequence[_Pair], weights: Sequence[ArrayLike]
) -> tuple[Reals, Reals, Reals]:
    """The weighted sum, and how far below and above it each term may be, shape (terms, ...)."""
    lows, highs = zip(*bounds, strict=True)
    parts = np.broadcast_arrays(*map(_real, (*values, *lows, *highs, *weights)))
    v, low, high, w = np.stack(parts).reshape(4, len(values), *parts[0].shape)
    with np.errstate(invalid="ignore"):  # an infinite bound of a term with weight 0
        down, up = np.where(w == 0, 0.0, np.abs(w) * (v - low)), np.where(w == 0, 0.0, np.abs(w) * (high - v))
    return (v * w).sum(axis=0), np.where(w > 0, down, up), np.where(w > 0, up, down)


def ratio(a: ArrayLike, of_a: _Pair, b: ArrayLike, of_b: _Pair) -> Sides:
    """Bounds of a / b, both independent and not negative, from each one's own bounds: MOVER-R.

    Donner and Zou, Statistical Methods in Medical Research 21 (2012), equation 9: the ratios r for which MOVER's
    bounds of a - r b hold 0. Below the lower bound, a - r b is above 0, and above the upper one, below. The upper
    bound is infinite where b may be 0; the lower one is 0 where a may be.
    """
    x, y = _real(a), _real(b)
    (low_x, high_x), (low_y, high_y) = ((np.maximum(low, 0.0), _real(high)) for low, high in (of_a, of_b))
    product = x * y
    # Each end is a root of A r² - 2 product r + C; the smaller one is written so that A may be 0 or negative.
    end, start = high_y * (2 * y - high_y), low_x * (2 * x - low_x)
    with np.errstate(divide="ignore", invalid="ignore"):
        lower = np.where(start > 0, start / (product + np.sqrt(np.maximum(product**2 - end * start, 0.0))), 0.0)
        end, start = low_y * (2 * y - low_y), high_x * (2 * x - high_x)
        upper = (product + np.sqrt(np.maximum(product**2 - end * start, 0.0))) / end
    return lower, np.where(end > 0, upper, np.inf)


def relative_change(difference: ArrayLike, of_difference: _Pair, base: ArrayLike, of_base: _Pair) -> Sides:
    """Bounds of difference / base for a base above 0, e.g. (candidate - champion) / champion: the worst quotient.

    The two estimates come from the same rows and their correlation is not known. The lower bound is the r at which
    `correlated_sum` of difference - r base has the lower bound 0: below it, difference - r base is significantly above
    0 however the two depend on each other. Unbounded where the base may be 0 or less.
    """
    (low, high), (least, most) = ((_real(x), _real(y)) for x, y in (of_difference, of_base))
    positive = (_real(base) > 0) & (least > 0)
    least, most = np.where(positive, least, 1.0), np.where(positive, most, 1.0)
    lower, upper = np.where(low > 0, low / most, low / least), np.where(high > 0, high / least, high / most)
    measured = positive & ~np.isnan(_real(difference))
    return np.where(measured, lower, -np.inf), np.where(measured, upper, np.inf)


def unvarying(value: ArrayLike, low: ArrayLike, high: ArrayLike, n: ArrayLike, alpha: ArrayLike) -> Sides:
    """Bounds of a mean in [low, high] when all n rows agree on `value`.

    Rows that differ have a share below 1 - alpha^(1/n), else a sample without them had probability below alpha; the
    bound lets them be as bad as they can be. For AUC 1 this is alpha^(1/n) with n disjoint pairs of rows.
    """
    v, rows, down, up = _real(value), _real(n), _real(low), _real(high)
    share = np.where(rows > 0, -expm1(log(alpha) / np.maximum(rows, 1)), 1.0)
    return v - share * (v - down), v + share * (up - v)


def mean(moments: Sequence[ArrayLike], n: ArrayLike, alpha: ArrayLike) -> Sides:
    """Bounds of a mean of skew values: Hall's monotone transformation of Student's t.

    P. Hall, J. Royal Statistical Society B 54 (1992) 221. Correct to the second order, as Johnson's (1978), but
    monotone in alpha however skew the sample. Infinite where n < 2 or nothing varies: see `unvarying`.

    Args:
        moments: mean, standard deviation (n - 1), and skewness of the sample.
    """
    center, deviation, skewness = (_real(x) for x in moments)
    rows = np.maximum(_real(n), 2)
    t = stdtrit(rows - 1, alpha)
    low, high = (center - deviation * unskewed(x, skewness, rows) for x in (-t, t))
    known = (_real(n) > 1) & (deviation > 0)
    return np.where(known, np.minimum(low, center), -np.inf), np.where(known, np.maximum(high, center), np.inf)


def unskewed(t: ArrayLike, skewness: ArrayLike, n: ArrayLike) -> Reals:
    """Where Hall's transformation of (estimate - truth) / deviation equals t / sqrt(n)."""
    skew, rows = _real(skewness), _real(n)
    straight = np.abs(skew) < _STRAIGHT
    x, divisor = t / np.sqrt(rows) - skew / (6 * rows), np.where(straight, 1.0, skew)
    return np.where(straight, x, 3 / divisor * (cbrt(1 + divisor * x) - 1))


def calibration_error(value: ArrayLike, variances: ArrayLike, n: ArrayLike, alpha: ArrayLike) -> Sides:
    """Bounds of the expected calibration error, sum over bins of |mean of e in the bin|, e = label - score.

    The estimate is biased upwards, so the two sides differ. Upper: the error is the largest of the signed sums of the
    bins' true means, and with the true signs the estimated sum is a mean that is never above the estimate. Lower:
    noise adds at most sum of E|N(0, v/n)| = sqrt(2 v / (pi n)) to the expectation, and the rest is Gaussian
    concentration of a Lipschitz function (Borell; Tsirelson, Ibragimov and Sudakov).

    Args:
        variances: shape (..., bins): per bin, the mean over all n rows of e² in the bin.
    """
    v, each, rows = _real(value), _real(variances), np.maximum(_real(n), 1)
    noise = normal(alpha) * np.sqrt(each.sum(axis=-1) / rows)
    bias = np.sqrt(2 / (math.pi * rows)) * np.sqrt(each).sum(axis=-1)
    return np.maximum(v - bias - noise, 0.0), np.maximum(v + noise, unvarying(v, 0.0, 1.0, n, alpha)[1])


def total_variation(value: ArrayLike, cells: ArrayLike, n: ArrayLike, alpha: ArrayLike) -> Sides:
    """Bounds of the total variation distance between what n rows were drawn from and a distribution that is known.

    Lower: a sample is at most w away from what it was drawn from, and distances obey the triangle inequality. That w is
    the smaller of two, both of which depend on no observation: a union of Hoeffding's bound over all sets of cells
    (Bretagnolle, Huber and Carol; van der Vaart and Wellner, Weak Convergence (1996), A.6.6), which is better for few
    cells; and the expected distance, at most sqrt((cells - 1) / n) / 2 (Cauchy and Schwarz), with McDiarmid's deviation
    (Surveys in Combinatorics (1989) 148), as one row moves the distance by 1 / n at most. Upper: the distance is convex
    in the sample, so its expectation is never below the truth (Jensen), and McDiarmid's deviation remains.

    Args:
        value: the distance of the sample. cells: how many there are, fixed before a row was seen.
    """
    v, k, rows, rare = _real(value), _real(cells), np.maximum(_real(n), 1), -log(alpha)
    deviation = np.sqrt(rare / (2 * rows))
    away = np.minimum(np.sqrt((k * log(2.0) + rare) / (2 * rows)), np.sqrt((k - 1) / rows) / 2 + deviation)
    known = _real(n) > 0
    return np.where(known, np.maximum(v - away, 0.0), 0.0), np.where(known, np.minimum(v + deviation, 1.0), 1.0)


def quantile(ascending: Sequence[float], share: float, alpha: float) -> Bounds:
    """Bounds of one quantile from order statistics, free of any distribution; infinite where n is too small.

    E.g. David and Nagaraja, Order Statistics (2003), section 7.1.
    """
    n = len(ascending)
    ranks = range(1, n + 1)
    above = bisect_left(ranks, True, key=lambda k: bool(bdtrc(k - 1, n, share) <= alpha))
    below = bisect_left(ranks, True, key=lambda k: bool(bdtr(k - 1, n, share) > alpha))
    return (ascending[below - 1] if below else -math.inf, ascending[above] if above < n else math.inf)


def _real(x: ArrayLike) -> Reals:
    return np.asarray(x, dtype=np.float64)
