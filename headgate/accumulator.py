"""Accumulator: sums what rows contribute by group."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from headgate.contribution import Addends, Contribution
from headgate.crossing import Array, Crossing
from headgate.grid import FINE, Ints
from headgate.scheme import Scheme

_REST = "rest of "
"""Before the name of a sum: the finer unit's part of it."""


@dataclass(frozen=True, eq=False)
class Stretch:
    """What some rows of neighbouring groups add up to.

    Attributes:
        first: the code of the first group. arrays: by name; the first axis is that of the groups.
    """

    first: int
    arrays: Mapping[str, Array]


def stretch(scheme: Scheme, codes: Array, added: Contribution) -> Stretch:
    """The sums of at most `grid.BATCH` rows, which are exact.

    Args:
        codes: shape (n,), the group of each row; n > 0. Ascending, if the scheme has sums.
    """
    first, last = int(codes.min()), int(codes.max())
    groups = last - first + 1
    place = codes.astype(np.int64) - first
    found: dict[str, Array] = {"rows": np.bincount(place, minlength=groups)}
    if not added.valid.all():
        found["invalid"] = np.bincount(place[~added.valid], minlength=groups)
        place = place[added.valid]
    for name, each in added.counts.items():
        found[name] = _counted(place, each, groups, scheme.counts[name])
    for name, addends in added.sums.items():
        found |= _summed(name, place, addends, groups, scheme.sums[name])
    return Stretch(first, found)


def _counted(place: Ints, each: Sequence[Array], groups: int, shape: tuple[int, ...]) -> Array:
    width = math.prod(shape)
    start = place * width
    cells = np.concatenate([start + cells for cells in each])
    return np.bincount(cells, minlength=groups * width).reshape(groups, *shape)


def _summed(name: str, place: Ints, each: Sequence[Addends], groups: int, shape: tuple[int, ...]) -> dict[str, Array]:
    total = {name: _total(place, [(a, a.whole) for a in each], groups, shape)}
    rests = [(a, a.rest) for a in each if a.rest is not None]
    return {**total, _REST + name: _total(place, rests, groups, shape)} if rests else total


def _total(place: Ints, each: Sequence[tuple[Addends, Array]], groups: int, shape: tuple[int, ...]) -> Array:
    total: Array = np.zeros((groups, math.prod(shape)), np.int64)
    for addends, numbers in each if len(place) else ():
        if addends.cells is None:
            # Rows of a group are neighbours: a run is added several times faster than rows here and there.
            starts = np.flatnonzero(np.diff(place, prepend=-1))
            total[place[starts]] += np.add.reduceat(numbers, starts, axis=1).T.astype(np.int64)
        else:
            cells, columns = math.prod(shape) // len(numbers), total.reshape(-1, len(numbers))
            at = place * cells + addends.cells
            for column, row in enumerate(numbers):
                columns[:, column] += np.bincount(at, row, minlength=len(columns)).astype(np.int64)
    return total.reshape(groups, *shape)


class Accumulator:
    """Adds stretches to the groups of a crossing."""

    def __init__(self, scheme: Scheme, crossing: Crossing) -> None:
        """Start with no rows."""
        self._scheme, self._crossing, self._rested = scheme, crossing, False
        rests = {_REST + name: shape for name, shape in scheme.sums.items()}
        shapes = {**scheme.shapes, **rests}
        self._found = {name: np.zeros((crossing.cells, *shape), np.int64) for name, shape in shapes.items()}

    def add(self, of: Stretch) -> None:
        """Add some rows."""
        for name, array in of.arrays.items():
            self._found[name][of.first : of.first + len(array)] += array
            self._rested |= name.startswith(_REST)

    def slices(self) -> Iterator[tuple[list[str], dict[str, Array]]]:
        """What is kept of every slice; see `slices_of`."""
        kept = {name: a for name, a in self._found.items() if self._rested or not name.startswith(_REST)}
        return slices_of(self._scheme, self._crossing, kept)


def slices_of(
    scheme: Scheme, crossing: Crossing, found: Mapping[str, Array]
) -> Iterator[tuple[list[str], dict[str, Array]]]:
    """The labels of every slice's groups that have rows, and what is kept of them; of `all` even without rows.

    Args:
        found: by name, the numbers of the crossing's groups; sums in 2^-36, and what is left of them where it is kept.
    """
    for labels, arrays in crossing.margins(found, rows="rows"):
        yield labels, {name: _exact(name, arrays, scheme) for name in scheme.shapes}


def _exact(name: str, arrays: Mapping[str, Any], scheme: Scheme) -> Array:
    if name not in scheme.sums:
        return np.asarray(arrays[name])
    whole = arrays[name].astype(object) * 2**FINE
    return np.asarray(whole + arrays[_REST + name] if _REST + name in arrays else whole)
