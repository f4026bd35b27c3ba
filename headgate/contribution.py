"""Contribution: what a batch of rows adds to a tally, row by row, before it is summed by group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from headgate.grid import Cells, Reals, powers, whole
from headgate.scheme import Scheme

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Addends:
    """Numbers to be added.

    Attributes:
        whole: shape (width, rows), whole numbers of 2^-36; rest: the same in 2^-66, or None.
        cells: the flat cell that each row's numbers are added to; None for the only one.
    """

    whole: Reals
    rest: Reals | None = None
    cells: Cells | None = None


@dataclass(frozen=True, eq=False)
class Contribution:
    """What each valid row adds.

    Attributes:
        valid: shape (n,), the rows that are measured at all; the other fields hold those rows only.
        counts: name -> arrays of flat cells of that array of counts; each adds 1 to its cell.
        sums: name -> what is added to that array of sums.
        scores: per model, what the ties of the ROC curve are told by; and the bin of each.
    """

    valid: Mask
    counts: Mapping[str, Sequence[Cells]] = field(default_factory=dict)
    sums: Mapping[str, Sequence[Addends]] = field(default_factory=dict)
    scores: Sequence[tuple[Reals, Cells]] = ()


def in_range(numbers: Reals, low: float, high: float) -> Mask:
    """Which numbers lie in [low, high]; NaN does not."""
    inside: Mask = (numbers >= low) & (numbers <= high)
    return inside


def valid_scores(scheme: Scheme, custom: Sequence[Sequence[Reals]], n: int) -> Mask:
    """Which of n rows have every custom score within its range."""
    valid = np.ones(n, dtype=np.bool_)
    for kind, each in zip(scheme.scores, custom, strict=True):
        for numbers in each:
            valid &= in_range(numbers, kind.low, kind.high)
    return valid


def means_of(scheme: Scheme, scores: Sequence[Sequence[Reals]]) -> Addends:
    """The powers of every score that is averaged, of each contrast: width scores x contrasts x 3.

    Args:
        scores: per score of `scheme.means`, per model, shape (rows,).
    """
    found = np.empty((len(scores) * scheme.contrasts * 3, len(scores[0][0]) if scores else 0))
    place = 0
    for kind, each in zip(scheme.means, scores, strict=True):
        for contrast, x in enumerate([*each, each[0] - each[1]] if len(each) == 2 else each):
            start, unit = kind.scale(contrast)
            powers((x - start) / unit if start else x * (1 / unit), out=found[place : place + 3])
            place += 3
    # A probability's losses fill their range; other numbers may use a small part of a generous one.
    rest = whole(found) if scheme.scores or scheme.task == "regression" else None
    return Addends(found if rest is not None else np.rint(found, out=found), rest)
