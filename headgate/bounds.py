"""Bounds: interval methods on numbers. Each function returns two one-sided bounds, each at error `alpha`.

The true value is above the lower bound with probability 1 - alpha, and below the upper one with the same probability;
the two together hold with 1 - 2 alpha. No method here gives a width of zero to a sample that does not vary.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence

from scipy.special import bdtr, bdtrc, betaincinv, ndtri, stdtrit

Bounds = tuple[float, float]


def normal(alpha: float) -> float:
    """The standard normal quantile that is exceeded with probability alpha."""
    return -float(ndtri(alpha))


def proportion(successes: int, n: int, alpha: float) -> Bounds:
    """Exact binomial bounds: Clopper and Pearson, Biometrika 26 (1934). Nothing is known from n = 0."""
    failures = n - successes
    lower = float(betaincinv(successes, failures + 1, alpha)) if successes else 0.0
    upper = 1 - float(betaincinv(failures, successes + 1, alpha)) if failures else 1.0
    return lower, upper


def paired_proportions(more: int, less: int, n: int, alpha: float) -> Bounds:
    """Difference of two proportions on the same n rows: Tango's score bounds, Statistics in Medicine 17 (1998).

    Args:
        more, less: rows where only the first, and only the second, of the pair is 1.
    """
    z = normal(alpha)
    return (
        _root(lambda d: _tango(more, less, n, d) - z, -1.0, 1.0)[0],
        _root(lambda d: _tango(more, less, n, d) + z, -1.0, 1.0)[1],
    )


def _tango(more: int, less: int, n: int, difference: float) -> float:
    """The score statistic of a true difference; it falls as the difference rises."""
    b = (2 * n - more + less) * difference - more - less
    c = -less * difference * (1 - difference)
    q = (math.sqrt(max(b * b - 8 * n * c, 0.0)) - b) / (4 * n)
    variance = n * (2 * q + difference * (1 - difference))
    gap = more - less - n * difference
    return gap / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, gap) if gap else 0.0


def _root(falling: Callable[[float], float], low: float, high: float) -> Bounds:
    """The two ends of a short interval that holds the sign change of a falling function."""
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if falling(middle) > 0 else (low, middle)
    return low, high


def independent_difference(a: float, of_a: Bounds, b: float, of_b: Bounds) -> Bounds:
    """Bounds of a - b from each one's own bounds: MOVER.

    Newcombe's method 10, Statistics in Medicine 17 (1998); for any measure Zou and Donner, ibid. 27 (2008). For
    positively correlated a and b it is conservative.
    """
    lower = a - b - math.hypot(a - of_a[0], of_b[1] - b)
    upper = a - b + math.hypot(of_a[1] - a, b - of_b[0])
    return lower, upper


def unvarying(value: float, low: float, high: float, n: int, alpha: float) -> Bounds:
    """Bounds of a mean in [low, high] when all n rows agree on `value`.

    Rows that differ have a share below 1 - alpha^(1/n), else a sample without them had probability below alpha; the
    bound lets them be as bad as they can be. For AUC 1 this is alpha^(1/n) with n disjoint pairs of rows.
    """
    share = -math.expm1(math.log(alpha) / n) if n else 1.0
    return value - share * (value - low), value + share * (high - value)


def mean(moments: Sequence[float], n: int, alpha: float) -> Bounds:
    """Bounds of a mean of skew values: Hall's monotone transformation of Student's t.

    P. Hall, J. Royal Statistical Society B 54 (1992) 221. Correct to the second order, as Johnson's (1978), but
    monotone in alpha however skew the sample.

    Args:
        moments: mean, standard deviation (n - 1) > 0, and skewness of the sample.
    """
    center, deviation, skewness = moments
    t = float(stdtrit(n - 1, alpha))
    ends = [center - deviation * unskewed(x, skewness, n) for x in (-t, t)]
    return min(ends[0], center), max(ends[1], center)


def unskewed(t: float, skewness: float, n: int) -> float:
    """Where Hall's transformation of (estimate - truth) / deviation equals t / sqrt(n)."""
    x = t / math.sqrt(n)
    if abs(skewness) < 1e-6:
        return x - skewness / (6 * n)
    return 3 / skewness * (math.cbrt(1 + skewness * (x - skewness / (6 * n))) - 1)


def calibration_error(value: float, variances: Sequence[float], n: int, alpha: float) -> Bounds:
    """Bounds of the expected calibration error, sum over bins of |mean of e in the bin|, e = label - score.

    The estimate is biased upwards, so the two sides differ. Upper: the error is the largest of the signed sums of the
    bins' true means, and with the true signs the estimated sum is a mean that is never above the estimate. Lower:
    noise adds at most sum of E|N(0, v/n)| = sqrt(2 v / (pi n)) to the expectation, and the rest is Gaussian
    concentration of a Lipschitz function (Borell; Tsirelson, Ibragimov and Sudakov).

    Args:
        variances: per bin, the mean over all n rows of e² in the bin.
    """
    noise = normal(alpha) * math.sqrt(sum(variances) / n)
    bias = sum(math.sqrt(2 * v / (math.pi * n)) for v in variances)
    return max(value - bias - noise, 0.0), max(value + noise, unvarying(value, 0.0, 1.0, n, alpha)[1])


def quantile(ascending: Sequence[float], share: float, alpha: float) -> Bounds:
    """Bounds of a quantile from order statistics, free of any distribution; infinite where n is too small.

    E.g. David and Nagaraja, Order Statistics (2003), section 7.1.
    """
    n = len(ascending)
    ranks = range(1, n + 1)
    above = bisect_left(ranks, True, key=lambda k: bool(bdtrc(k - 1, n, share) <= alpha))
    below = bisect_left(ranks, True, key=lambda k: bool(bdtr(k - 1, n, share) > alpha))
    return (ascending[below - 1] if below else -math.inf, ascending[above] if above < n else math.inf)
