"""Loop: what a binary task's rows add to a tally, row by row, compiled by Numba.

Only `headgate.compiled` imports this, and only where Numba is installed. Each line computes what its NumPy counterpart
in `grid`, `binary` and `contribution` computes, in the same order: Numba reorders and contracts nothing by itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit

from headgate import grid
from headgate.scheme import LOG_LOSS_SCALE

_UNIT, _ONE, _COARSE = grid.SCORE_UNIT, 2.0**grid.QUANTUM, grid.COARSE_BINS
_MANTISSA, _HALF, _LOW, _HIGH = grid.MANTISSA, grid.HALF, grid.LN2_LOW, grid.LN2_HIGH
_CLIP, _PER_UNIT = grid.CLIP, 1 / LOG_LOSS_SCALE
NO_ROW, DIFFERING = grid.NO_ROW, grid.DIFFERING
F = TypeVar("F", bound=Callable[..., object])


def _compile(function: F) -> F:
    """Compiled when it is first called, and kept on disk if there is a place; it runs without Python's lock."""
    try:
        return cast(F, njit(nogil=True, cache=True)(function))
    except RuntimeError:  # neither beside this file nor in a user's cache: it is compiled in each process
        return cast(F, njit(nogil=True)(function))


@_compile
def rank(codes: Any, starts: Any, labels: Any, scores: Any, bin_of: Any, histogram: Any, ties: Any) -> None:
    """Count one model's scores by label and bin, and tell its ties.

    Args:
        codes: (crossings, n), each row's group. starts: (crossings,), which group is a crossing's first.
        labels: (n,), 0 or 1. scores: (n,). bin_of: `grid.BIN_OF`.
        histogram: (groups, 2, BINS), added to. ties: (BINS,), of `Tally.ties`, told further.
    """
    for i in range(len(labels)):
        score = scores[i]
        b = bin_of[math.ceil(score * _UNIT)]
        if ties[b] != score:
            ties[b] = score + 0.0 if ties[b] == NO_ROW else DIFFERING
        label = int(labels[i])
        for k in range(len(codes)):
            histogram[starts[k] + codes[k, i], label, b] += 1


@_compile
def decide(codes: Any, starts: Any, labels: Any, scores: Any, threshold: float, tables: Any, counts: Any) -> None:
    """Count the decisions of all models, and the coarse bins of two together.

    Args:
        scores: per model (n,). tables: `grid.BIN_OF` and `grid.COARSE_OF`.
        counts: (groups, 8) and (groups, 2 · COARSE_BINS²), added to.
    """
    bin_of, coarse_of = tables
    cells, joint = counts
    for i in range(len(labels)):
        label = int(labels[i])
        cell, pair = 4 * label, label
        for m in range(len(scores)):
            cell += (2 - m) * (scores[m][i] >= threshold)
            pair = pair * _COARSE + coarse_of[bin_of[math.ceil(scores[m][i] * _UNIT)]]
        for k in range(len(codes)):
            group = starts[k] + codes[k, i]
            cells[group, cell] += 1
            if len(scores) == 2:
                joint[group, pair] += 1


@_compile
def total(codes: Any, starts: Any, labels: Any, scores: Any, tables: Any, sums: Any) -> None:
    """Add the powers of losses, and of residuals by tenth.

    Args:
        tables: `grid.INVERSE` and `grid.LOG_OF_MIDDLE`.
        sums: (groups, 2, contrasts, 3) and (groups, models, 10, 3), whole numbers of 2^-36, added to.
    """
    inverse, log_of_middle = tables
    means, reliability = sums
    models = len(scores)
    for i in range(len(labels)):
        loss = square = 0.0
        for m in range(models):
            score = scores[m][i] + 0.0
            residual = labels[i] - score
            own = _log_loss(score if labels[i] == 1 else 1 - score, inverse, log_of_middle)
            tenth = max(math.ceil(score * grid.CALIBRATION_BINS), 1) - 1
            losses, squares, residuals = _powers(own * _PER_UNIT), _powers(residual * residual), _powers(residual)
            for k in range(len(codes)):
                group = starts[k] + codes[k, i]
                for p in range(3):
                    means[group, 0, m, p] += losses[p]
                    means[group, 1, m, p] += squares[p]
                    reliability[group, m, tenth, p] += residuals[p]
            loss, square = own - loss, residual * residual - square
        if models == 2:
            losses, squares = _powers(-loss * _PER_UNIT), _powers(-square)
            for k in range(len(codes)):
                group = starts[k] + codes[k, i]
                for p in range(3):
                    means[group, 0, 2, p] += losses[p]
                    means[group, 1, 2, p] += squares[p]


@_compile
def _powers(x: float) -> tuple[int, int, int]:
    one = x * _ONE
    two = one * x
    return int(np.rint(one)), int(np.rint(two)), int(np.rint(two * x))


@_compile
def _log_loss(chosen: float, inverse: Any, log_of_middle: Any) -> float:
    x = np.float64(min(max(chosen, _CLIP), 1 - _CLIP))
    bits = x.view(np.int64)
    e, step = (bits >> 52) - 1022, (bits >> 40) & 4095
    m = np.int64(bits & _MANTISSA | _HALF).view(np.float64) * inverse[step] - 1.0
    part = (((m * (-1 / 4) + 1 / 3) * m + -1 / 2) * m + 1.0) * m
    return float(-(part + e * _LOW + log_of_middle[step] + e * _HIGH))
