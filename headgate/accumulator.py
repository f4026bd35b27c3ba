"""Accumulator: sums what rows contribute by group."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from headgate.contribution import Addends, Contribution
from headgate.crossing import Array, Crossing
from headgate.grid import FINE, Ints
from headgate.scheme import Scheme


class Accumulator:
    """Adds contributions to the groups of a crossing; sums of a batch of `grid.BATCH` rows are exact."""

    def __init__(self, scheme: Scheme, crossing: Crossing) -> None:
        """Start with no rows."""
        self._scheme, self._crossing = scheme, crossing
        self._cells: dict[str, list[Ints]] = {name: [] for name in ("invalid", *scheme.counts)}
        self._whole = {name: np.zeros((crossing.cells, *shape), np.int64) for name, shape in scheme.sums.items()}
        self._rest = {name: np.zeros_like(array) for name, array in self._whole.items()}

    def add(self, start: int, added: Contribution) -> None:
        """Add some rows.

        Args:
            start: the number of their first row.
        """
        codes = self._crossing.codes[start : start + len(added.valid)].astype(np.int64)
        if not added.valid.all():
            self._cells["invalid"].append(codes[~added.valid])
            codes = codes[added.valid]
        for name, shape in self._scheme.counts.items():
            first = codes * math.prod(shape)
            self._cells[name] += [first + cells for cells in added.counts.get(name, ())]
        for name, each in added.sums.items():
            for addends in each:
                self._sum(name, codes, addends)

    def _sum(self, name: str, codes: Ints, addends: Addends) -> None:
        cells = math.prod(self._scheme.sums[name]) // len(addends.whole)
        place = codes if addends.cells is None else codes * cells + addends.cells
        for numbers, sums in ((addends.whole, self._whole[name]), (addends.rest, self._rest[name])):
            columns = sums.reshape(-1, len(addends.whole))
            for column, row in enumerate(() if numbers is None else numbers):
                columns[:, column] += np.bincount(place, row, minlength=len(columns)).astype(np.int64)

    def slices(self) -> Iterator[tuple[str, dict[str, Array]]]:
        """The label of every group of every slice that has rows, and what is kept of it."""
        shapes: dict[str, tuple[int, ...]] = {"invalid": (), **self._scheme.counts}
        groups = self._crossing.cells
        found: dict[str, Array] = {"rows": np.bincount(self._crossing.codes, minlength=groups)}
        for name, shape in shapes.items():
            cells = np.concatenate([np.zeros(0, np.int64), *self._cells.pop(name)])
            found[name] = np.bincount(cells, minlength=groups * math.prod(shape)).reshape(groups, *shape)
        found |= self._whole | {f"rest of {name}": array for name, array in self._rest.items()}
        for label, arrays in self._crossing.margins(found, rows="rows"):
            rests = {name: arrays.pop(f"rest of {name}") for name in self._rest}
            exact = {name: arrays[name].astype(object) * 2**FINE + rest for name, rest in rests.items()}
            yield label, {**arrays, **exact}
