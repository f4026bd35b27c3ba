"""Explained: of a regression, the root of the mean squared error and R², smooth functions of means, and differences.

Errors and labels are shares of the policy's range.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from headgate import bounds
from headgate.bounds import Sides
from headgate.crossing import Array
from headgate.grid import Reals
from headgate.moments import NO_FINE_VARIANCE, Moments, hall, mean, real, scaled_by

SETTLED = 25.0
"""Cochran's rule for what is nearly normal: rows per squared skewness (Sampling Techniques (1977), section 2.15)."""

_LEAST_SPREAD = 2.0**-28
"""With a smaller variance of the labels, as a share of the range squared, their fourth power is within rounding."""

_FAR = 2.0**30
"""Instead of an infinite distance to a bound."""


@dataclass(frozen=True, eq=False)
class Smooth:
    """A smooth function of means, per slice: shape (...).

    Attributes:
        value: of the rows; NaN where it is not defined.
        deviation: the standard deviation of what one row pulls it by, times the rows (the delta method's).
        sides: alpha -> its bounds.
        skewness: the largest of the means that it is made of.
    """

    value: Reals
    deviation: Reals
    sides: Callable[[ArrayLike], Sides]
    skewness: Reals


def root(of: Moments) -> Smooth:
    """The root of a mean of squares; its bounds are the roots of the mean's."""
    value = np.sqrt(of.mean)

    def sides(alpha: ArrayLike) -> Sides:
        low, high = mean(of, 0.0, 1.0, alpha)
        return np.sqrt(np.maximum(low, 0.0)), np.sqrt(high)

    return Smooth(value, of.deviation / np.where(value > 0, 2 * value, np.inf), sides, of.skewness)


def root_change(a: Moments, b: Moments, change: Moments) -> Reals:
    """`Smooth.deviation` of the difference of two roots; `change` is the moments of the differences of the squares."""
    covariance = (a.variance + b.variance - change.variance) / 2
    mixed = a.mean * b.mean
    some = (change.variance > 0) & (mixed > 0)
    first, second = (np.where(some, m.mean, 1.0) for m in (a, b))
    variance = (a.variance / first + b.variance / second - 2 * covariance / np.sqrt(first * second)) / 4
    return np.sqrt(np.where(some, np.maximum(variance, 0.0), 0.0))


def of_roots(change: Reals, both: Reals) -> Reals:
    """What a difference of two mean squares makes of the difference of their roots; `both` is the sum of the roots."""
    size = np.abs(change)
    return np.asarray(np.sign(change) * np.minimum(np.sqrt(size), size / np.where(both > 0, both, 2.0**-1000)))


def smooth_difference(a: Smooth, b: Smooth, change: Moments, n: Reals, alpha: ArrayLike) -> Sides:
    """Bounds of a - b on the same rows.

    With enough rows for the skewness the wider of Wald's and Hall's, else MOVER with the correlation of the two (Zou,
    Psychological Methods 12 (2007) 399), which either one's bounds shape; two that never differ count as uncorrelated.

    Args:
        change: as if of the mean whose deviation is that of the difference; its mean is a - b.
    """
    product = a.deviation * b.deviation
    shared = (a.deviation**2 + b.deviation**2 - change.variance) / np.where(product > 0, 2 * product, np.inf)
    correlation = np.where(change.variance > 0, shared.clip(-1, 1), 0.0)
    (low_a, high_a), (low_b, high_b) = a.sides(alpha), b.sides(alpha)
    down = _correlated(a.value - low_a, high_b - b.value, correlation)
    up = _correlated(high_a - a.value, b.value - low_b, correlation)
    settled = (n > SETTLED * np.maximum(a.skewness**2, b.skewness**2)) & (change.variance > 0)
    least, most = hall(change, alpha)
    wald = bounds.normal(alpha) * change.deviation / np.sqrt(np.maximum(n, 1))
    lower = np.where(settled, np.minimum(least, change.mean - wald), change.mean - down)
    return lower, np.where(settled, np.maximum(most, change.mean + wald), change.mean + up)


def _correlated(one: Reals, other: Reals, correlation: Reals) -> Reals:
    known = np.isfinite(one) & np.isfinite(other)
    x, y = np.where(known, one, 0.0), np.where(known, other, 0.0)
    return np.where(known, np.sqrt(np.maximum(x * x + y * y - 2 * correlation * x * y, 0.0)), np.inf)


@dataclass(frozen=True, eq=False)
class Spread:
    """How the labels of a regression spread, as shares of the range: shape (...).

    Attributes:
        squares: the moments of (y - mean y)². Nothing tells their skewness; a gamma distribution of the same variation
            stands in for it, as it is of a normal distribution's squares.
        known: where they are not within rounding.
        first: sums of y, and n in the unit of the sums: integers.
    """

    squares: Moments
    known: NDArray[np.bool_]
    first: Any
    scaled: Any

    def covariance(self, e: Any, joint: Any, of: Moments) -> Reals:
        """The covariance of (y - mean y)² with squares, from the sums of e², and of e² y and e² y²."""
        one, two = np.moveaxis(joint, -1, 0)
        crossed = two * self.scaled**2 - 2 * self.first * one * self.scaled + self.first**2 * e
        return real(crossed, self.scaled**3) - of.mean * self.squares.mean


def spread_of(labels: Array, n: ArrayLike) -> Spread:
    """The spread of labels from the sums of y, y², y³, y⁴, shape (..., 4 or more), Python integers."""
    rows = np.asarray(n, dtype=np.float64)
    scaled = scaled_by(rows)
    one, two, three, four = np.moveaxis(labels[..., :4], -1, 0)
    value = real(two * scaled - one * one, scaled**2)
    fourth = four * scaled**3 - 4 * one * three * scaled**2 + 6 * one**2 * two * scaled - 3 * one**4
    # Two labels in equal shares vary as much as any, to the first order; the second order is about 1 / n.
    variance = np.maximum(real(fourth, scaled**4) - value**2, value**2 / np.maximum(rows, 1))
    known = value > _LEAST_SPREAD
    skewness = 2 * np.sqrt(variance) / np.where(known, value, 1.0)
    sound = value > NO_FINE_VARIANCE * real(two, scaled)
    squares_ = Moments(np.where(sound, value, np.nan), variance, skewness, rows, np.zeros_like(value))
    return Spread(squares_, known, one, scaled)


def explained(errors: Moments, e: Any, joint: Any, spread: Spread) -> Smooth:
    """R² = 1 - A / V, A the mean squared error, V the variance of the labels.

    One row's influence is -((e² - A) - (A / V) ((y - m)² - V)) / V, m the mean of y.

    Args:
        errors, e: the moments of e² and its sum. joint: shape (..., 2), sums of e² y and e² y².
    """
    covariance = spread.covariance(e, joint, errors)
    product = errors.deviation * spread.squares.deviation
    correlation = (covariance / np.where(product > 0, product, np.inf)).clip(-1, 1)

    def sides(alpha: ArrayLike) -> Sides:
        of_errors, of_spread = mean(errors, 0.0, 1.0, alpha), hall(spread.squares, alpha)
        low, high = _ratio((errors.mean, *of_errors), (spread.squares.mean, *of_spread), correlation)
        return np.where(spread.known, 1 - high, -np.inf), np.where(spread.known, 1 - low, 1.0)

    skewness = np.maximum(errors.skewness, spread.squares.skewness)
    deviation = _explained_deviation(errors, covariance, spread)
    return Smooth(1 - errors.mean / spread.squares.mean, deviation, sides, skewness)


def explained_change(change: Moments, e: Any, joint: Any, spread: Spread) -> Reals:
    """`Smooth.deviation` of the difference of two R²; as `explained`, of e² of the one minus e² of the other."""
    deviation = _explained_deviation(change, spread.covariance(e, joint, change), spread)
    return np.where(change.variance > 0, deviation, 0.0)


def _explained_deviation(errors: Moments, covariance: Reals, spread: Spread) -> Reals:
    value = np.where(spread.known, spread.squares.mean, 1.0)
    share = errors.mean / value
    variance = errors.variance - 2 * share * covariance + share**2 * spread.squares.variance
    return np.asarray(np.sqrt(np.maximum(variance, 0.0)) / value)


def _ratio(a: tuple[Reals, Reals, Reals], b: tuple[Reals, Reals, Reals], correlation: Reals) -> Sides:
    """Bounds of the ratio of two means that are not negative, from each one's value and bounds.

    As `bounds.ratio`, with the correlation of the two: the ratios r at which MOVER's bounds (Zou 2007) of a - r b
    hold 0, the roots of (b² - v²) r² - 2 (a b - c u v) r + a² - u², u and v the distances from value to bound.
    """
    (x, low_x, high_x), (y, low_y, high_y) = a, b

    def halves(u: Reals, v: Reals) -> tuple[Reals, Reals, Reals]:
        lead, middle, rest = y * y - v * v, x * y - correlation * u * v, x * x - u * u
        return lead, rest, middle + np.sqrt(np.maximum(middle**2 - lead * rest, 0.0))

    _, rest, sum_ = halves(np.minimum(x - low_x, x), np.minimum(high_y - y, _FAR))
    lower = np.where(sum_ > 0, rest / np.where(sum_ > 0, sum_, 1.0), 0.0)
    lead, _, sum_ = halves(high_x - x, np.minimum(y - low_y, _FAR))
    upper = np.where(lead > 0, sum_ / np.where(lead > 0, lead, 1.0), np.inf)
    return np.minimum(lower.clip(0), x / y), np.maximum(upper, x / y)
