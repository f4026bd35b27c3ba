"""Crossing: rows coded by group once, so that every slice is a sum over the finest groups."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headgate.slices import ALL, Column, combined

MOST_NUMBERS = 2**24
"""The most numbers that are kept while crossed groups are counted at once."""

MOST_CELLS = 2**16
"""The most groups of a crossing: codes of 16 bits are sorted by their digits, several times faster than others."""

Array = NDArray[Any]


@dataclass(frozen=True)
class Crossing:
    """The crossing of some columns.

    Attributes:
        columns: the columns, in the order of the code's digits; slices: which slices are sums of its groups.
    """

    columns: Mapping[str, Column]
    slices: tuple[tuple[str, ...], ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Groups per column."""
        return tuple(len(column.parts) for column in self.columns.values())

    @property
    def cells(self) -> int:
        """Groups of the crossing, most of them perhaps empty."""
        return int(np.prod(self.sizes, dtype=np.int64))

    def codes(self, n: int) -> NDArray[np.uint16]:
        """The group of each of n rows."""
        code = np.zeros(n, dtype=np.int32)
        for column in self.columns.values():
            code *= len(column.parts)
            code += column.codes
        return code.astype(np.uint16)

    def margins(self, of_cells: Mapping[str, Array], *, rows: str) -> Iterator[tuple[list[str], dict[str, Array]]]:
        """Per slice, the labels of its groups that have rows, and their part of each array; `all` even without rows.

        Args:
            of_cells: arrays whose first axis is the crossing's. rows: the name of the one that holds the rows.
        """
        names = tuple(self.columns)
        memo = {name: _Margins(names, a.reshape((*self.sizes, *a.shape[1:]))) for name, a in of_cells.items()}
        for columns in self.slices:
            found = {name: margins.of(columns) for name, margins in memo.items()}
            there = np.asarray((found[rows] > 0) | (not columns))
            labels = [self._label(columns, place) for place in np.argwhere(there).tolist()]
            yield labels, {name: _picked(array, there) for name, array in found.items()}

    def _label(self, columns: tuple[str, ...], place: Sequence[int]) -> str:
        kept = [name for name in self.columns if name in columns]
        parts = {name: self.columns[name].parts[i] for name, i in zip(kept, place, strict=True)}
        return " & ".join(parts[name] for name in columns) or ALL


def _picked(array: Array, there: NDArray[np.bool_]) -> Array:
    """The groups that are there, on one axis; of all of them no copy is made."""
    return array.reshape(there.size, *array.shape[there.ndim :]) if there.all() else array[there]


@dataclass(frozen=True)
class _Margins:
    """An array's sums over columns, each made from the smallest larger one that is there."""

    columns: tuple[str, ...]
    whole: Array
    made: dict[frozenset[str], Array] = field(default_factory=dict)

    def of(self, columns: Sequence[str]) -> Array:
        kept = frozenset(columns)
        missing = [name for name in self.columns if name not in kept]
        if not missing:
            return self.whole
        if kept not in self.made:
            least = min(missing, key=lambda name: self.whole.shape[self.columns.index(name)])
            larger = kept | {least}
            axis = [name for name in self.columns if name in larger].index(least)
            # Of the array's own type: what is counted in 32 bits are rows, and of them there are fewer than 2^31.
            self.made[kept] = self.of(tuple(larger)).sum(axis=axis, dtype=self.whole.dtype)
        return self.made[kept]


def crossings(
    columns: Mapping[str, Column], slices: Iterable[tuple[str, ...]], width: int, *, apart: bool = False
) -> list[Crossing]:
    """Few crossings that together hold every slice; the first one holds all rows too.

    Args:
        width: the numbers that are kept of each group.
        apart: whether columns stay apart that no slice crosses: more crossings, of far fewer groups.
    """
    together: list[list[tuple[str, ...]]] = [[]]
    for names in sorted(slices, key=len, reverse=True) if apart else slices:
        homes = (each for each in together if not apart or not each or _share(each, names))
        home = next((each for each in homes if _fit(columns, [*each, names], width)), None)
        if home is None:
            together.append(home := [])
        home.append(names)
    made = [_crossing(columns, each, width) for each in together if each] or [Crossing({}, ())]
    return [Crossing(made[0].columns, ((), *made[0].slices)), *made[1:]]


def _share(slices: Iterable[tuple[str, ...]], names: tuple[str, ...]) -> bool:
    return any(name in names for each in slices for name in each)


def _fit(columns: Mapping[str, Column], slices: Sequence[tuple[str, ...]], width: int) -> bool:
    names = {name for each in slices for name in each}
    cells = np.prod([len(columns[name].parts) for name in names], dtype=np.float64)
    return bool(cells <= min(MOST_CELLS, MOST_NUMBERS / width))


def _crossing(columns: Mapping[str, Column], slices: Sequence[tuple[str, ...]], width: int) -> Crossing:
    if _fit(columns, slices, width):
        return Crossing({name: columns[name] for names in slices for name in names}, tuple(slices))
    (names,) = slices  # too many groups even alone: only those that have rows are kept
    label = " & ".join(names)
    return Crossing({label: combined([columns[name] for name in names])}, ((label,),))
