"""Crossing: rows coded by group once, so that every slice is a sum over the finest groups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headgate.slices import ALL, Column, combined

MOST_NUMBERS = 2**24
"""The most numbers that are kept while crossed groups are counted at once; beyond it, each slice by itself."""

Array = NDArray[Any]


@dataclass(frozen=True)
class Crossing:
    """Some rows coded by the crossing of some columns.

    Attributes:
        columns: the columns, in the order of the code's digits; slices: which slices are sums of these groups.
        codes: int32 (n,), the group of each row; sizes: groups per column, so that codes < product of sizes.
    """

    columns: Mapping[str, Column]
    slices: tuple[tuple[str, ...], ...]
    codes: NDArray[np.int32]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Groups per column."""
        return tuple(len(column.parts) for column in self.columns.values())

    @property
    def cells(self) -> int:
        """Groups of the crossing, most of them perhaps empty."""
        return int(np.prod(self.sizes, dtype=np.int64))

    def margins(self, of_cells: Mapping[str, Array], *, rows: str) -> Iterator[tuple[str, dict[str, Array]]]:
        """The label of every group that has rows, and its part of each array, whose first axis is the crossing's.

        Args:
            rows: the name of the array that holds the number of rows.
        """
        names = tuple(self.columns)
        memo = {name: _Margins(names, a.reshape((*self.sizes, *a.shape[1:]))) for name, a in of_cells.items()}
        for columns in self.slices:
            found = {name: margins.of(columns) for name, margins in memo.items()}
            for place in np.argwhere(found[rows] > 0).tolist():
                yield self._label(columns, place), {name: a[tuple(place)] for name, a in found.items()}

    def _label(self, columns: tuple[str, ...], place: Sequence[int]) -> str:
        kept = [name for name in self.columns if name in columns]
        parts = {name: self.columns[name].parts[i] for name, i in zip(kept, place, strict=True)}
        return " & ".join(parts[name] for name in columns) or ALL


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
            self.made[kept] = self.of(tuple(larger)).sum(axis=axis)
        return self.made[kept]


def crossings(columns: Mapping[str, Column], slices: Sequence[tuple[str, ...]], n: int, width: int) -> list[Crossing]:
    """The crossings that together hold all rows and every slice; one, if that has few enough groups.

    Args:
        n: the number of rows. width: the numbers that are kept of each group.
    """
    wanted = {name: columns[name] for names in slices for name in names}
    if np.prod([len(column.parts) for column in wanted.values()], dtype=np.float64) * width <= MOST_NUMBERS:
        return [Crossing(wanted, ((), *slices), _codes(list(wanted.values()), n))]
    each = {" & ".join(names): combined([columns[name] for name in names]) for names in slices}
    every = Crossing({}, ((),), np.zeros(n, dtype=np.int32))
    return [every, *(Crossing({name: column}, ((name,),), column.codes) for name, column in each.items())]


def _codes(columns: Sequence[Column], n: int) -> NDArray[np.int32]:
    code = np.zeros(n, dtype=np.int32)
    for column in columns:
        code *= len(column.parts)
        code += column.codes
    return code
