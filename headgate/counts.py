"""Counts: the sufficient statistics of one slice, and their plain form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from headgate import grid
from headgate.grid import Ints

_COARSE_STARTS = np.searchsorted(grid.COARSE_OF, np.arange(grid.COARSE_BINS))


@dataclass(frozen=True, eq=False)
class Counts:
    """One slice's counts and sums. `models` is 2 with a champion, else 1; the candidate comes first.

    Attributes:
        rows, invalid: all rows, and those with a label that is not 0 or 1 or a score outside [0, 1]; everything
            below rests on the valid rows.
        cells: int64 (2, 2, 2), label x candidate's decision x champion's decision (0 without a champion).
        histograms: int64 (models, 2, grid.BINS), model x label x fine bin of the score.
        joint: int64 (2, 50, 50), label x coarse bin of the candidate x of the champion; zeros without a champion.
        calibration: model x label x calibration bin x (sum of score, of its square), flat, in 2^-40.
        losses: (log loss, Brier) x (candidate[, champion, candidate - champion]) x (sum of x, x², x³), flat, in
            `grid.QUANTA`.
    """

    rows: int
    invalid: int
    cells: Ints
    histograms: Ints
    joint: Ints
    calibration: tuple[int, ...]
    losses: tuple[int, ...]

    @property
    def valid(self) -> int:
        """The rows that were measured."""
        return self.rows - self.invalid

    @property
    def classes(self) -> tuple[int, int]:
        """Valid rows of label 0 and of label 1."""
        negatives, positives = self.histograms[0].sum(axis=1).tolist()
        return negatives, positives

    def plus(self, other: Counts) -> Counts:
        """The counts of both sets of rows."""
        return Counts(
            self.rows + other.rows,
            self.invalid + other.invalid,
            self.cells + other.cells,
            self.histograms + other.histograms,
            self.joint + other.joint,
            tuple(a + b for a, b in zip(self.calibration, other.calibration, strict=True)),
            tuple(a + b for a, b in zip(self.losses, other.losses, strict=True)),
        )

    def to_plain(self) -> dict[str, object]:
        """As JSON values; histograms as text, `bin:negatives:positives` for each bin that has rows."""
        return {
            "rows": self.rows,
            "invalid": self.invalid,
            "cells": self.cells.ravel().tolist(),
            "histograms": [_sparse(histogram) for histogram in self.histograms],
            "joint": _sparse(self.joint.reshape(2, -1)),
            "calibration": " ".join(map(str, self.calibration)),
            "losses": " ".join(map(str, self.losses)),
        }

    @classmethod
    def from_plain(cls, plain: Any, models: int) -> Counts:
        """The counts that `to_plain` wrote.

        Raises:
            KeyError, TypeError, ValueError, IndexError, OverflowError: anything else, or numbers that contradict
                each other.
        """
        joint = _dense(plain["joint"], grid.COARSE_BINS**2)
        counts = cls(
            rows=plain["rows"],
            invalid=plain["invalid"],
            cells=np.array(plain["cells"], dtype=np.int64).reshape(2, 2, 2),
            histograms=np.stack([_dense(text, grid.BINS) for text in plain["histograms"]]),
            joint=joint.reshape(2, grid.COARSE_BINS, grid.COARSE_BINS),
            calibration=_integers(plain["calibration"], models * 40),
            losses=_integers(plain["losses"], 6 * (2 * models - 1)),
        )
        counts._demand_consistent(models)
        return counts

    def _demand_consistent(self, models: int) -> None:
        whole = isinstance(self.rows, int) and isinstance(self.invalid, int) and 0 <= self.invalid <= self.rows
        negative = min(self.cells.min(), self.histograms.min(), self.joint.min()) < 0
        if not whole or negative or len(self.histograms) != models or self.cells.sum() != self.valid:
            raise ValueError("counts that are negative or do not add up to the rows")
        agree = (self.histograms.sum(axis=2) == self.cells.sum(axis=(1, 2))).all()
        coarse = np.add.reduceat(self.histograms, _COARSE_STARTS, axis=2)
        sides = (self.joint.sum(axis=2), self.joint.sum(axis=1))
        paired = [(side == c).all() for side, c in zip(sides, coarse, strict=False)] if models == 2 else [True]
        if not agree or not all(paired) or (models == 1 and self.joint.any()):
            raise ValueError("cells and histograms that disagree")


def _sparse(pair: Ints) -> str:
    bins = np.flatnonzero(pair.any(axis=0))
    columns = (bins.tolist(), pair[0, bins].tolist(), pair[1, bins].tolist())
    return " ".join(f"{b}:{negatives}:{positives}" for b, negatives, positives in zip(*columns, strict=True))


def _dense(text: str, size: int) -> Ints:
    pair = np.zeros((2, size), dtype=np.int64)
    for part in text.split():
        b, negatives, positives = (int(number) for number in part.split(":"))
        if b < 0:
            raise ValueError("a negative bin")
        pair[:, b] = negatives, positives
    return pair


def _integers(text: str, length: int) -> tuple[int, ...]:
    numbers = tuple(int(number) for number in text.split(" "))
    if len(numbers) != length:
        raise ValueError(f"{len(numbers)} sums instead of {length}")
    return numbers
