"""Ranking: the area under the ROC curve and its bounds, from histograms of the scores of many slices at once.

AUC is the Mann-Whitney statistic with ties counted half; its variance is that of placements (DeLong, DeLong and
Clarke-Pearson, Biometrics 44 (1988)). In a bin with more than one score the order within the bin is unknown: its
pairs count half, and half their mass is added to the bounds.

The bounds serve any area to which a row adds by its label and bin alone; `Ranking.of` makes it.
In shapes, `...` are the slices; there may be none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit, stdtrit

from headgate.bounds import Sides, independent_difference, unskewed, unvarying
from headgate.grid import BINS, COARSE_BINS, COARSE_OF, Ints, Reals, inner

MIN_CLASS = 10
"""With fewer rows of a class, the variance of the placements is no estimate."""

MIN_CLASS_PAIRED = 30
"""The same for a difference of two areas: with 10 rows of a class Wald's bounds missed up to 10% of simulated
differences at alpha 5%; with 30, the bounds below missed at most 6.4%."""

_NO_VARIANCE = 2.0**-90
"""A smaller variance of an area is rounding."""

_SAME = 1e-9
"""The same for the variance of a difference, relative to the two variances that almost cancel in it."""

_COARSE_STARTS = np.searchsorted(COARSE_OF, np.arange(COARSE_BINS))

_BLOCK = 16

_Terms = tuple[Reals, Reals, Reals]
"""Variances, third cumulants and sizes of the independent means that an area is the sum of: shapes (..., terms)."""


@dataclass(frozen=True, eq=False)
class Ranking:
    """How one model ranks the rows of each slice.

    The influence of a row is what one more such row pulls the area by, times the rows of its label; on average over
    the rows of a label it is 0.

    Attributes:
        area: shape (...), in [0, 1]; NaN where a class has no row.
        blur: shape (...), the most by which the area of the exact scores may differ from `area`.
        sizes: shape (..., 2), rows of label 0 and of label 1.
        variances: shape (..., 2), what label 0 and what label 1 adds to the variance of the area, DeLong's for AUC;
            NaN for a label with less than two rows.
        thirds: shape (..., 2), the same of the third cumulant.
        coarse: shape (..., 2, COARSE_BINS), the average influence of a label's rows in each coarse bin.
        tilt: shape (...), the derivative of the area by the share of label 1, which is as random as the rows.
        optimism: shape (...), by how much the area is expected to exceed the true one.
    """

    area: Reals
    blur: Reals
    sizes: Reals
    variances: Reals
    thirds: Reals
    coarse: Reals
    tilt: Reals
    optimism: Reals

    @classmethod
    def of(
        cls,
        counts: Reals,
        area: Reals,
        influences: Reals,
        blur: Reals,
        tilt: Reals | float = 0.0,
        optimism: Reals | float = 0.0,
    ) -> Ranking:
        """The ranking of an area whose influences depend on label and fine bin: counts, influences (..., 2, bins).

        Histograms of another number of bins than the grid's have no coarse bins.
        """
        n, starts = counts.sum(axis=-1), _COARSE_STARTS if counts.shape[-1] == BINS else _COARSE_STARTS[:0]
        weighted = counts * influences
        mass = np.maximum(np.add.reduceat(counts, starts, axis=-1), 1)
        coarse = np.add.reduceat(weighted, starts, axis=-1) / mass
        variances = inner(weighted, influences) / np.where(n > 1, (n - 1) * n, np.nan)
        weighted *= influences
        thirds = inner(weighted, influences) / some(n) ** 3
        return cls(area, blur, n, variances, thirds, coarse, tilt + 0.0 * area, optimism + 0.0 * area)


def ranking(histogram: Ints, blurred: NDArray[np.bool_]) -> Ranking:
    """The AUC of histograms, shape (..., 2, bins): label x bin, bins ascending; NaN where a class has no row.

    Args:
        blurred: shape (bins,) or (..., bins), the bins that may hold more than one score.
    """
    return blockwise(_placed, histogram, blurred)


def _placed(counts: Reals, blurred: Reals) -> Ranking:
    """A row's placement is the share of the other class that it outranks (label 1) or that outranks it (label 0)."""
    totals = some(counts.sum(axis=-1))
    below = counts.cumsum(axis=-1)
    below -= counts / 2
    below /= totals[..., None]
    placements = below[..., ::-1, :]
    np.subtract(1.0, placements[..., 0, :], out=placements[..., 0, :])
    area = inner(counts[..., 1, :], placements[..., 1, :]) / totals[..., 1]
    placements -= area[..., None, None]
    unsure = inner(counts[..., 0, :] * counts[..., 1, :], blurred)
    return Ranking.of(counts, area, placements, blur=unsure / (2 * totals[..., 0] * totals[..., 1]))


def blockwise(measured: Callable[[Reals, Reals], Ranking], histogram: Ints, blurred: NDArray[np.bool_]) -> Ranking:
    """`measured` of counts and blurred bins as real numbers, a few slices at a time so that they stay in the cache."""
    *slices, labels, bins = histogram.shape
    each = histogram.reshape(-1, labels, bins)
    unsure = np.broadcast_to(blurred, (*slices, bins)).reshape(-1, bins)
    parts = [
        measured(each[i : i + _BLOCK].astype(np.float64), unsure[i : i + _BLOCK].astype(np.float64))
        for i in range(0, max(len(each), 1), _BLOCK)
    ]
    joined = (np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Ranking))
    return Ranking(*(of.reshape((*slices, *of.shape[1:])) for of in joined))


def area(of: Ranking, alpha: ArrayLike) -> Sides:
    """Bounds of one AUC: the wider of Wald on the logit scale and Hall's, no narrower than a perfect separation's.

    Either alone misses more often than alpha where the smaller class is small and the area large. Of
    min(negatives, positives) disjoint pairs all are in order with probability AUC^min at most; that exact bound is
    for an area of 0 or 1, and less perfect data must not have a better one.
    """
    perfect = unvarying(1.0, 0.0, 1.0, of.sizes.min(axis=-1), alpha)[0]
    return no_better_than(of, (perfect, 1 - perfect), alpha)


def no_better_than(of: Ranking, extreme: Sides, alpha: ArrayLike) -> Sides:
    """Bounds of one area: the wider of Wald on the logit scale, Hall's, and `extreme`; then the blur is added.

    The lower bound is made around the area less its optimism. Where nothing varies, as many rows as the smaller class
    has may be unlike the rest: `unvarying`. A class of less than two rows tells nothing: (0, 1).
    """
    fewest, (variances, thirds, sizes) = of.sizes.min(axis=-1), _terms(of)
    varies = (variances.sum(axis=-1) > _NO_VARIANCE) & (of.area > 0) & (of.area < 1)
    value = np.where(varies, of.area, 0.5)
    sober = value - np.where(varies, of.optimism, 0.0)
    width, down, up = _distances(_only(varies, variances, thirds, sizes), alpha)
    low = np.minimum(sober - down, expit(logit(sober) - width / (sober * (1 - sober))))
    high = np.maximum(value + up, expit(logit(value) + width / (value * (1 - value))))
    flat = unvarying(of.area, 0.0, 1.0, fewest, alpha)
    low = np.minimum(np.where(varies, low, flat[0]), np.minimum(extreme[0], of.area))
    high = np.maximum(np.where(varies, high, flat[1]), np.maximum(extreme[1], of.area))
    lower, upper = low - of.blur, high + of.blur
    return np.where(fewest > 1, np.maximum(lower, 0.0), 0.0), np.where(fewest > 1, np.minimum(upper, 1.0), 1.0)


def difference(
    a: Ranking, b: Ranking, joint: Ints, alpha: ArrayLike, alone: Callable[[Ranking, ArrayLike], Sides] = area
) -> Sides:
    """Bounds of the difference of two areas on the same rows: the wider of Wald and Hall's, with DeLong's covariance.

    The covariance and the skewness are those of the placements averaged within the coarse bins of `joint`, shape
    (..., 2, COARSE_BINS, COARSE_BINS): what varies together inside a bin is not credited, so the bounds are slightly
    wide. Without any variance: MOVER of the bounds that each has `alone`.
    """
    value, blur, fewest = a.area - b.area, a.blur + b.blur, a.sizes.min(axis=-1)
    variances, thirds, sizes = _paired_terms(a, b, joint)
    cancelled = _SAME * (_terms(a)[0] + _terms(b)[0]).sum(axis=-1)
    varies = variances.sum(axis=-1) > np.maximum(cancelled, _NO_VARIANCE)
    width, down, up = _distances(_only(varies, variances, thirds, sizes), alpha)
    apart = (value, value) if varies.all() else independent_difference(a.area, alone(a, alpha), b.area, alone(b, alpha))
    optimism = a.optimism - b.optimism
    low = np.where(varies, value - np.maximum(width, down) - np.maximum(optimism, 0.0) - blur, apart[0])
    high = np.where(varies, value + np.maximum(width, up) - np.minimum(optimism, 0.0) + blur, apart[1])
    return np.where(fewest > 1, low, -1.0), np.where(fewest > 1, high, 1.0)


def half_width(variances: Reals, sizes: Reals, alpha: ArrayLike) -> Reals:
    """Student's quantile times the standard error, of a sum of one mean per class; classes on the last axis.

    The degrees of freedom are Welch's (Biometrika 34 (1947)): with few rows of a class the normal quantile is short.
    """
    total = variances.sum(axis=-1)
    freedom = total**2 / (variances**2 / (sizes - 1)).sum(axis=-1)
    width: Reals = -stdtrit(freedom, alpha) * np.sqrt(total)
    return width


def covariances(a: Ranking, b: Ranking, joint: Ints) -> Reals:
    """DeLong's covariance of two areas, per label, from placements averaged within coarse bins: shape (..., 2)."""
    return _shared(a, b, joint)[0]


def _distances(terms: _Terms, alpha: ArrayLike) -> tuple[Reals, Reals, Reals]:
    """Wald's half-width, and Hall's distances below and above.

    Hall's transformation is that for a sum of one mean per class (Zhou and Dinh, Biostatistics 6 (2005)).
    """
    variances, thirds, sizes = terms
    error, width = np.sqrt(variances.sum(axis=-1)), half_width(variances, sizes, alpha)
    t, skewness = width / error, thirds.sum(axis=-1) / error**3
    return width, error * unskewed(t, skewness, 1), -error * unskewed(-t, skewness, 1)


def _terms(of: Ranking) -> _Terms:
    return _with_share(of.variances, of.thirds, of.sizes, of.tilt)


def _paired_terms(a: Ranking, b: Ranking, joint: Ints) -> _Terms:
    shared, thirds = _shared(a, b, joint)
    return _with_share(a.variances + b.variances - 2 * shared, thirds, a.sizes, a.tilt - b.tilt)


def _with_share(variances: Reals, thirds: Reals, sizes: Reals, tilt: Reals) -> _Terms:
    """The terms of both labels and that of the share of label 1: shapes (..., 3)."""
    n = some(sizes.sum(axis=-1))
    share = sizes[..., 1] / n
    spread = share * (1 - share) / n
    more = (tilt**2 * spread, tilt**3 * spread * (1 - 2 * share) / n, n)
    first, second, third = (
        np.concatenate([old, new[..., None]], axis=-1)
        for old, new in zip((variances, thirds, sizes), more, strict=True)
    )
    return first, second, third


def _shared(a: Ranking, b: Ranking, joint: Ints) -> tuple[Reals, Reals]:
    """Per label the covariance of two areas, and the third cumulant of their difference."""
    u, v, n = a.coarse, b.coarse, a.sizes
    # Row sums of the joint counts times 1, v, v² and v³: all moments of both.
    counts = joint.astype(np.float64)
    none, (one, two, three) = counts.sum(axis=-1), (inner(counts, x[..., None, :]) for x in (v, v * v, v * v * v))
    cubes = inner(u, u * u * none - 3 * u * one + 3 * two) - three.sum(axis=-1)
    return inner(u, one) / np.where(n > 1, (n - 1) * n, np.nan), cubes / some(n) ** 3


def some(n: Reals) -> Reals:
    """Numbers to divide by: NaN instead of 0."""
    return np.where(n > 0, n, np.nan)


def _only(where: NDArray[np.bool_], *terms: Reals) -> _Terms:
    """The terms, with stand-ins of variance 1 and many rows for slices whose result is not used."""
    first, second, third = (np.where(where[..., None], term, 2.0) for term in terms)
    return first, second, third
