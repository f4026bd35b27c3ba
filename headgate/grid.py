"""Where a score falls and how a real number is added: the fixed grids that make tallies exact.

Sums of floating-point numbers depend on their order. Everything here is therefore an integer, and the logarithm is
made of operations that IEEE 754 rounds in one way only, so that the same rows give the same tally on any machine.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Reals = NDArray[np.float64]
Ints = NDArray[np.int64]
Cells = NDArray[np.int32]

_UNIT = 2**16
_END = np.concatenate([np.arange(128), np.arange(128, 1024, 8), np.arange(1024, 3072, 32)])
_FINE = np.concatenate([_END, np.arange(3072, _UNIT - 3071, 64), (_UNIT - _END)[::-1]])
_COARSE_END = np.array([0, 16, 32, 64, 128, 256, 512, 1024, 1536])
_COARSE = np.concatenate([_COARSE_END, np.arange(3072, _UNIT - 3071, 1856), (_UNIT - _COARSE_END)[::-1]])

EDGES: Reals = _FINE / _UNIT
"""Edges of the fine bins (lo, hi] of [0, 1]: steps of 1/1024, and down to 1/65536 in the first and last twentieth,
where the scores of rare events crowd. Multiples of a power of two, so that no score is put in the wrong bin."""

BINS = len(EDGES) - 1
COARSE_BINS = len(_COARSE) - 1
CALIBRATION_BINS = 10

# Of 16 bits, so that the table stays in the cache.
_BIN_OF = (np.searchsorted(_FINE, np.arange(_UNIT + 1)) - 1).clip(0).astype(np.int16)

COARSE_OF: Cells = (np.searchsorted(_COARSE, _FINE[1:]) - 1).astype(np.int32)
"""The coarse bin of each fine bin, for the joint histogram of two models."""

CLIP = 2.0**-52
"""Scores are held this far from 0 and 1 in the log loss, as scikit-learn does for float64."""

LARGEST_LOG_LOSS = 52 * float(np.log(2.0))

QUANTUM, FINE = 36, 30
"""A number in [-1, 1] counts as a whole number of 2^-36 and, where it may be very small, a rest in 2^-66."""

UNIT = 2.0 ** -(QUANTUM + FINE)
"""The unit of every sum."""

BATCH = 2**16
"""Rows whose sums are added as floats: whole numbers up to 2^36 each stay exact below 2^53."""

_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_SERIES = tuple(1.0 / k for k in range(21, 0, -2))
_STEPS = 8192


def inner(a: Reals, b: Reals) -> Reals:
    """The sums of products along the last axis, added in numpy's own order.

    A BLAS adds in an order of its own for each kind of processor, and an auditor has another one than the pipeline.
    """
    total: Reals = (a * b).sum(axis=-1)
    return total


def bins_of(scores: Reals) -> Cells:
    """The fine bin of each score in [0, 1]: bin k is (EDGES[k], EDGES[k + 1]], and 0 belongs to bin 0."""
    bins: Cells = _BIN_OF[np.ceil(scores * _UNIT).astype(np.int32)].astype(np.int32)
    return bins


def tenths_of(scores: Reals) -> Cells:
    """The calibration bin of each score in [0, 1]: ten equal bins (lo, hi], and 0 belongs to the first."""
    upper = np.maximum(np.ceil(scores * CALIBRATION_BINS), 1.0)
    return upper.astype(np.int32) - np.int32(1)


def _artanh_series(m: Reals) -> Reals:
    """ln m for m near 1: 2 artanh((m - 1) / (m + 1))."""
    t = (m - 1) / (m + 1)
    square, total = t * t, np.zeros_like(t)
    for coefficient in _SERIES:
        total = total * square + coefficient
    return np.asarray(2 * t * total)


_MANTISSA, _HALF = 2**52 - 1, 1022 << 52

_MIDDLE = (np.arange(_STEPS // 2, _STEPS) + 0.5) / _STEPS
_INVERSE: Reals = 1 / _MIDDLE
_LOG_OF_MIDDLE: Reals = _artanh_series(np.where(np.sqrt(0.5) > _MIDDLE, 2 * _MIDDLE, _MIDDLE))
_LOG_OF_MIDDLE = _LOG_OF_MIDDLE - np.where(np.sqrt(0.5) > _MIDDLE, _LN2_HIGH + _LN2_LOW, 0.0)


def logarithm(x: Reals) -> Reals:
    """The natural logarithm of numbers in (0, 1], within 4e-16 relative to 1, the same bits on every IEEE 754 machine.

    Not of subnormal numbers. x = m 2^e with m in [½, 1); ln m = ln c + ln(1 + r), c the middle of m's of 4096 steps,
    r = m / c - 1 by its series.
    """
    bits = x.view(np.int64)  # taken apart by hand: `frexp` alone would take longer than all the rest
    e, step = (bits >> 52) - 1022, (bits >> 40) & 4095
    m = (bits & _MANTISSA | _HALF).view(np.float64)
    m *= _INVERSE[step]
    m -= 1.0
    total = np.multiply(m, -1 / 4)
    for coefficient in (1 / 3, -1 / 2, 1.0):
        total += coefficient
        total *= m
    total += e * _LN2_LOW
    total += _LOG_OF_MIDDLE[step]
    result: Reals = np.add(total, e * _LN2_HIGH)
    return result


def log_losses(labels: ArrayLike, scores: Reals) -> Reals:
    """The log loss of each row, natural logarithm, scores clipped to [2^-52, 1 - 2^-52]."""
    chosen = np.where(np.asarray(labels) == 1, scores, 1 - scores)
    return log_losses_of(chosen)


def log_losses_of(chosen: Reals) -> Reals:
    """The log loss of rows to whose true class the given probabilities were assigned."""
    losses = logarithm(np.clip(chosen, CLIP, 1 - CLIP))
    return np.negative(losses, out=losses)


def powers(x: Reals, out: Reals) -> None:
    """Write x, x² and x³ of numbers in [-1, 1], in units of 2^-36 and not yet rounded, into `out`, shape (3, n)."""
    np.multiply(x, 2.0**QUANTUM, out=out[0])
    np.multiply(out[0], x, out=out[1])
    np.multiply(out[1], x, out=out[2])


def whole(scaled: Reals) -> Reals:
    """What is left after rounding, in units of 2^-66; the numbers themselves are rounded in place."""
    rest = scaled.copy()
    np.rint(scaled, out=scaled)
    rest -= scaled
    rest *= 2.0**FINE
    return np.rint(rest, out=rest)
