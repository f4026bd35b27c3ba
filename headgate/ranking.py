"""Ranking: the area under the ROC curve and its bounds, from histograms of the scores.

AUC is the Mann-Whitney statistic with ties counted half; its variance is that of placements (DeLong, DeLong and
Clarke-Pearson, Biometrics 44 (1988)). In a bin with more than one score the order within the bin is unknown: its
pairs count half, and half their mass is added to the bounds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import expit, logit, stdtrit

from headgate.bounds import Bounds, independent_difference, unskewed, unvarying
from headgate.grid import COARSE_BINS, COARSE_OF, Ints, Reals

MIN_CLASS = 10
"""With fewer rows of a class, the variance of the placements is no estimate."""

MIN_CLASS_PAIRED = 30
"""The same for a difference of two areas: with 10 rows of a class Wald's bounds missed up to 10% of simulated
differences at alpha 5%; with 30, the bounds below missed at most 6.4%."""


@dataclass(frozen=True)
class Ranking:
    """One model's AUC.

    Attributes:
        area: the AUC, in [0, 1].
        blur: the most by which the AUC of the exact scores may differ from `area`.
        placements: per label, the placement of a row in each fine bin: the share of the other class that it outranks
            (label 1) or that outranks it (label 0), ties half.
        histogram: int64 (2, bins), rows per label and fine bin.
    """

    area: float
    blur: float
    placements: tuple[Reals, Reals]
    histogram: Ints

    @cached_property
    def sizes(self) -> tuple[int, int]:
        """Rows of label 0 and of label 1."""
        negatives, positives = self.histogram.sum(axis=1).tolist()
        return negatives, positives

    @cached_property
    def variances(self) -> tuple[float, float]:
        """DeLong's variance of the area, what label 0 and what label 1 adds to it; needs two rows of each."""
        zero, one = (
            float(counts @ (of - self.area) ** 2) / (n - 1) / n
            for counts, of, n in zip(self.histogram, self.placements, self.sizes, strict=True)
        )
        return zero, one

    @cached_property
    def thirds(self) -> tuple[float, float]:
        """The third cumulant of the area, what label 0 and what label 1 adds to it."""
        zero, one = (
            float(counts @ (of - self.area) ** 3) / n**3
            for counts, of, n in zip(self.histogram, self.placements, self.sizes, strict=True)
        )
        return zero, one


def ranking(histogram: Ints, blurred: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Ranking:
    """The AUC of a histogram, shape (2, bins): label x bin, bins ascending; both classes have rows.

    Args:
        blurred: shape (bins,), the bins that may hold more than one score.
    """
    negatives, positives = histogram
    n, p = int(negatives.sum()), int(positives.sum())
    above = 1 - (np.cumsum(positives) - positives / 2) / p
    below = (np.cumsum(negatives) - negatives / 2) / n
    unsure = float(negatives[blurred] @ positives[blurred])
    return Ranking(float(positives @ below) / p, unsure / (2 * n * p), (above, below), histogram)


def area(of: Ranking, alpha: float) -> Bounds:
    """Bounds of one AUC: the wider of Wald on the logit scale and Hall's, no narrower than a perfect separation's.

    Either alone misses more often than alpha where the smaller class is small and the area large. Of
    min(negatives, positives) disjoint pairs all are in order with probability AUC^min at most; that exact bound is
    for an area of 0 or 1, and less perfect data must not have a better one.
    """
    low, high = unvarying(of.area, 0.0, 1.0, min(of.sizes), alpha)
    if sum(of.variances) > 0 and 0 < of.area < 1:
        step = half_width(of.variances, of.sizes, alpha) / (of.area * (1 - of.area))
        perfect = unvarying(1.0, 0.0, 1.0, min(of.sizes), alpha)[0]
        hall = _hall(of.area, of.variances, of.thirds, of.sizes, alpha)
        low = min(float(expit(logit(of.area) - step)), hall[0], perfect)
        high = max(float(expit(logit(of.area) + step)), hall[1], 1 - perfect)
    return max(min(low, of.area) - of.blur, 0.0), min(max(high, of.area) + of.blur, 1.0)


def difference(a: Ranking, b: Ranking, joint: Ints, alpha: float) -> Bounds:
    """Bounds of the difference of two AUCs on the same rows: the wider of Wald and Hall's, with DeLong's covariance.

    The covariance and the skewness are those of the placements averaged within the coarse bins of `joint`, shape
    (2, 50, 50): what varies together inside a bin is not credited, so the bounds are slightly wide. Without any
    variance: MOVER.
    """
    value, shared = a.area - b.area, covariances(a, b, joint)
    variances = [v + w - 2 * c for v, w, c in zip(a.variances, b.variances, shared, strict=True)]
    if sum(variances) <= 0:
        return independent_difference(a.area, area(a, alpha), b.area, area(b, alpha))
    width, blur = half_width(variances, a.sizes, alpha), a.blur + b.blur
    low, high = _hall(value, variances, _joint_thirds(a, b, joint), a.sizes, alpha)
    return min(low, value - width) - blur, max(high, value + width) + blur


def _hall(
    value: float, variances: Sequence[float], thirds: Sequence[float], sizes: Sequence[int], alpha: float
) -> Bounds:
    """Hall's transformation for a sum of one mean per class (Zhou and Dinh, Biostatistics 6 (2005))."""
    error = math.sqrt(sum(variances))
    t, skewness = half_width(variances, sizes, alpha) / error, sum(thirds) / error**3
    return value - error * unskewed(t, skewness, 1), value - error * unskewed(-t, skewness, 1)


def half_width(variances: Sequence[float], sizes: Sequence[int], alpha: float) -> float:
    """Student's quantile times the standard error, of a sum of one mean per class.

    The degrees of freedom are Welch's (Biometrika 34 (1947)): with few rows of a class the normal quantile is short.
    """
    freedom = sum(variances) ** 2 / sum(v**2 / (n - 1) for v, n in zip(variances, sizes, strict=True))
    return -float(stdtrit(freedom, alpha)) * math.sqrt(sum(variances))


def covariances(a: Ranking, b: Ranking, joint: Ints) -> tuple[float, float]:
    """DeLong's covariance of two areas, per label, from placements averaged within coarse bins."""
    zero, one = (
        float((_coarse(a, label) - a.area) @ joint[label] @ (_coarse(b, label) - b.area)) / (n - 1) / n
        for label, n in enumerate(a.sizes)
    )
    return zero, one


def _joint_thirds(a: Ranking, b: Ranking, joint: Ints) -> tuple[float, float]:
    zero, one = (
        float((joint[label] * np.subtract.outer(_coarse(a, label) - a.area, _coarse(b, label) - b.area) ** 3).sum())
        / n**3
        for label, n in enumerate(a.sizes)
    )
    return zero, one


def _coarse(of: Ranking, label: int) -> Reals:
    counts = of.histogram[label]
    mass = np.bincount(COARSE_OF, weights=counts, minlength=COARSE_BINS)
    summed = np.bincount(COARSE_OF, weights=counts * of.placements[label], minlength=COARSE_BINS)
    return np.divide(summed, mass, out=np.zeros(COARSE_BINS), where=mass > 0)
