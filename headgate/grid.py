"""Where a score falls and how a real number is added: the fixed grids that make tallies exact.

Sums of floating-point numbers depend on their order. Everything here is therefore an integer, and the logarithm is
made of operations that IEEE 754 rounds in one way only, so that the same rows give the same tally on any machine.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Reals = NDArray[np.float64]
Ints = NDArray[np.int64]

_UNIT = 40_000
_FINE = np.concatenate([np.arange(2_000), np.arange(2_000, 38_000, 20), np.arange(38_000, _UNIT + 1)])
_END = np.array([0, 10, 20, 40, 80, 160, 320, 560, 880, 1_360])
_COARSE = np.concatenate([_END, np.arange(2_000, 38_001, 1_200), (_UNIT - _END)[::-1]])

EDGES: Reals = _FINE / _UNIT
"""Edges of the fine bins (lo, hi] of [0, 1]: steps of 1/2000, and of 1/40000 in the first and last twentieth, where
the scores of rare events crowd."""

BINS = len(EDGES) - 1
COARSE_BINS = len(_COARSE) - 1
CALIBRATION_BINS = 10

COARSE_OF: Ints = np.searchsorted(_COARSE, _FINE[1:]) - 1
"""The coarse bin of each fine bin, for the joint histogram of two models."""

CALIBRATION_OF: Ints = np.searchsorted(np.arange(11) * (_UNIT // 10), _FINE[1:]) - 1
"""The calibration bin of each fine bin: ten equal bins (lo, hi]."""

CLIP = 2.0**-52
"""Scores are held this far from 0 and 1 in the log loss, as scikit-learn does for float64."""

LARGEST_LOG_LOSS = 52 * float(np.log(2.0))

QUANTA = (40, 36, 35)
"""A row's loss x counts as an integer number of 2^-40, x² of 2^-36 and x³ of 2^-35."""

SCORE_QUANTUM = 40
"""Scores and their squares in the calibration sums count as integer numbers of 2^-40."""

BATCH = 4_096
"""Rows added at once: every integer sum of so many rows stays within 64 bits, every calibration sum within 53."""

_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_SERIES = tuple(1.0 / k for k in range(21, 0, -2))


def bins_of(scores: Reals) -> Ints:
    """The fine bin of each score in [0, 1]: bin k is (EDGES[k], EDGES[k + 1]], and 0 belongs to bin 0."""
    return np.maximum(np.searchsorted(EDGES, scores, side="left") - 1, 0)


def logarithm(x: Reals) -> Reals:
    """The natural logarithm of positive numbers, within 3 ulp, with the same bits on every IEEE 754 machine.

    x = m 2^e with m in [√½, √2); ln m = 2 artanh((m - 1) / (m + 1)), by its series.
    """
    mantissa, exponent = np.frexp(x)
    low = mantissa < np.sqrt(0.5)
    m, e = np.where(low, 2 * mantissa, mantissa), (exponent - low).astype(np.float64)
    t = (m - 1) / (m + 1)
    square, total = t * t, np.zeros_like(t)
    for coefficient in _SERIES:
        total = total * square + coefficient
    result: Reals = np.add(e * _LN2_HIGH, e * _LN2_LOW + 2 * t * total)
    return result


def log_losses(labels: ArrayLike, scores: Reals) -> Reals:
    """The log loss of each row, natural logarithm, scores clipped to [2^-52, 1 - 2^-52]."""
    clipped = np.clip(scores, CLIP, 1 - CLIP)
    chosen: Reals = np.where(np.asarray(labels) == 1, clipped, 1 - clipped)
    return np.negative(logarithm(chosen))


def powers(x: Reals) -> list[Ints]:
    """x, x² and x³ as integers, in units of `QUANTA`."""
    return [fixed(each, quantum) for each, quantum in zip((x, x * x, x * x * x), QUANTA, strict=True)]


def fixed(x: Reals, quantum: int) -> Ints:
    """Each number as an integer multiple of 2^-quantum, rounded half to even."""
    return np.rint(x * 2.0**quantum).astype(np.int64)
