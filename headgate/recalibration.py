"""Recalibration: the slope that would make a model's scores calibrated, of many slices at once.

The slope b of logit P(y = 1) = a + b logit(score), fitted by maximum likelihood (Cox, Biometrika 45 (1958); Van Calster
et al., J. Clinical Epidemiology 74 (2016) and BMC Medicine 17 (2019)). 1 is right; below 1 the scores are too extreme,
above 1 too timid. A score nearer to 0 or 1 than half the grid's first bin counts as that half, as log loss clips.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit, stdtrit

from headgate.bounds import Sides
from headgate.grid import EDGES, Ints, Reals, inner

LEVELS: Reals = logit((EDGES[:-1] + EDGES[1:]) / 2)
"""The logit of the middle of each fine bin."""

_CLIPPED: Reals = logit(np.clip(EDGES, (EDGES[0] + EDGES[1]) / 2, (EDGES[-2] + EDGES[-1]) / 2))

REACHES: Reals = np.maximum(LEVELS - _CLIPPED[:-1], _CLIPPED[1:] - LEVELS)
"""How far from its level the logit of a score in each fine bin may be."""

_ROUNDS = 40
_SETTLED = 1e-7  # a round squares the error: what is left is rounding
_FEW = 48


@dataclass(frozen=True, eq=False)
class Slope:
    """The calibration slope of each slice; in shapes, `...` are the slices.

    Attributes:
        value: shape (...), the slope; NaN where there is none: a label without rows, scores that separate the labels,
            no convergence.
        error: shape (...), its standard error by the sandwich, valid where the logit is not linear in the score's.
        blur: shape (...), to the first order the most by which the slope of the exact scores may differ.
        rows: shape (...), the rows of the smaller label.
    """

    value: Reals
    error: Reals
    blur: Reals
    rows: Reals


def slope(histogram: Ints, levels: Reals = LEVELS, reaches: Reals = REACHES) -> Slope:
    """The calibration slope of histograms, shape (..., 2, bins): label x bin.

    Args:
        levels: shape (bins,) or (..., bins), the logit that stands for the scores of a bin; ascending.
        reaches: the same shape, how far from it the logit of a score in the bin may be.
    """
    counts = histogram.astype(np.float64)
    zeros, ones = counts[..., 0, :], counts[..., 1, :]
    measurable = _overlap(zeros > 0, ones > 0)
    intercept, steepness, settled = _fitted(zeros + ones, ones, levels, measurable)
    value = np.where(settled & measurable, steepness, np.nan)
    error, blur = _spread(zeros, ones, levels, reaches, (intercept, value))
    return Slope(value, error, blur, counts.sum(axis=-1).min(axis=-1))


def slope_bounds(of: Slope, alpha: ArrayLike) -> Sides:
    """Bounds of the slope: Wald's with the blur; NaN where there is no slope.

    Student's quantile, with the smaller label's rows less one as degrees of freedom: they carry the variance.
    """
    width = -stdtrit(np.maximum(of.rows - 1, 1), alpha) * of.error + of.blur
    return of.value - width, of.value + width


def _overlap(zeros: NDArray[np.bool_], ones: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether no threshold separates the labels, either way: only then does the likelihood have a maximum."""
    first = [present.argmax(axis=-1) for present in (zeros, ones)]
    last = [present.shape[-1] - 1 - present[..., ::-1].argmax(axis=-1) for present in (zeros, ones)]
    overlap: NDArray[np.bool_] = (last[0] > first[1]) & (last[1] > first[0])
    return overlap & zeros.any(axis=-1) & ones.any(axis=-1)


def _fitted(
    n: Reals, ones: Reals, levels: Reals, measurable: NDArray[np.bool_]
) -> tuple[Reals, Reals, NDArray[np.bool_]]:
    """Intercept, slope, and whether Newton's method settled.

    A step that would move the logits by m at most is shortened to log(1 + m) / m of itself, so that none overshoots
    however far the start is (Sun and Tran-Dinh, Mathematical Programming 178 (2019)); the last ones are whole.
    """
    farthest = np.where(n > 0, np.abs(levels), 0.0).max(axis=-1)
    intercept, steepness = _start(n, ones, levels, measurable)
    settled = ~measurable
    for _ in range(_ROUNDS):
        chance = expit(intercept[..., None] + steepness[..., None] * levels)
        residual, weights = ones - n * chance, n * chance * (1 - chance)
        middle, spread = _center(weights, levels)
        rise = inner(residual, levels - middle[..., None]) / spread
        shift = residual.sum(axis=-1) / _positive(weights.sum(axis=-1))
        moved = np.abs(shift) + np.abs(rise) * (farthest + np.abs(middle))
        part = np.log1p(moved) / np.maximum(moved, _SETTLED)
        steepness, intercept = steepness + part * rise, intercept + part * (shift - rise * middle)
        settled = moved < _SETTLED
        if (settled | ~measurable).all():
            break
    return intercept, steepness, settled


def _start(n: Reals, ones: Reals, levels: Reals, measurable: NDArray[np.bool_]) -> tuple[Reals, Reals]:
    """The line of a calibrated model; of many bins, that fitted to a few of them together, which is near and cheap."""
    calibrated = np.zeros(n.shape[:-1]), np.ones(n.shape[:-1])
    if n.shape[-1] <= _FEW:
        return calibrated
    starts = np.arange(0, n.shape[-1], _FEW)
    rows, positives, summed = (np.add.reduceat(x, starts, axis=-1) for x in (n, ones, n * levels))
    *line, settled = _fitted(rows, positives, summed / np.maximum(rows, 1), measurable)
    intercept, steepness = (np.where(settled, new, old) for new, old in zip(line, calibrated, strict=True))
    return intercept, steepness


def _spread(zeros: Reals, ones: Reals, levels: Reals, reaches: Reals, line: tuple[Reals, Reals]) -> tuple[Reals, Reals]:
    """The sandwich's standard error of the slope, and its blur.

    A row pulls the slope by lever · (y - chance), lever = (level - middle) / spread. If its level moves by d, then the
    slope by d ((y - chance) / spread - weight · slope · lever): the implicit function theorem on the score equations.
    """
    steepness = line[1][..., None]
    chance = expit(line[0][..., None] + steepness * levels)
    weight = chance * (1 - chance)
    middle, spread = _center((zeros + ones) * weight, levels)
    lever = (levels - middle[..., None]) / spread[..., None]
    squares = inner(lever * lever, ones * (1 - chance) ** 2 + zeros * chance**2)
    steady = weight * steepness * lever
    up, down = (1 - chance) / spread[..., None] - steady, chance / spread[..., None] + steady
    blur: Reals = inner(ones * np.abs(up) + zeros * np.abs(down), reaches)
    return np.sqrt(squares), blur


def _center(weights: Reals, levels: Reals) -> tuple[Reals, Reals]:
    """The weighted mean of the levels, and the weighted sum of squares about it."""
    middle = inner(weights, levels) / _positive(weights.sum(axis=-1))
    apart = levels - middle[..., None]
    return middle, _positive(inner(weights, apart * apart))


def _positive(x: Reals) -> Reals:
    """Numbers to divide by: NaN, which never settles, instead of 0."""
    return np.where(x > 0, x, np.nan)
