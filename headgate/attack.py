"""Attack: a bounded black-box search for the smallest allowed change of a row that turns its answer.

A row is changed on a grid: each column has levels, level 0 is no change, and every level has a size, its share of the
budget. The size of a change is the sum over the columns. Where the whole grid can be asked within the limit, it is
asked in the order of size, so the first hit is the smallest there is, and no hit means that there is none on the grid.
Else the search is greedy: from the row, and from random starts for those that resist, always to the neighbour (one
column on another level) whose score comes nearest to a change; then a hit is shrunk, one column at a time. This is the
local search of Narodytska and Kasiviswanathan (CVPR Workshops 2017), on columns instead of pixels. It proves what it
finds and nothing about what it does not find.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from headgate.alteration import Chance, Floats, Ints, Mask

Ask = Callable[[Ints, Ints], tuple[Mask, Floats]]
"""(rows of shape (m,), levels of shape (m, columns)) -> (whether each answer changed, its distance from a change).

A distance of NaN says that there was no answer.
"""

AT_ONCE = 50_000
STARTS = 8


@dataclass(frozen=True, eq=False)
class Space:
    """What may be changed.

    Attributes:
        sizes: per column the size of each level, above 0 but for level 0; shape (levels,).
        allowed: per column which row may take which level; shape (rows, levels). Level 0 is always allowed.
    """

    sizes: Sequence[Floats]
    allowed: Sequence[Mask]

    @property
    def rows(self) -> int:
        """How many rows are attacked."""
        return len(self.allowed[0])

    @property
    def forms(self) -> int:
        """How many forms a row can take, the unchanged one among them."""
        return math.prod(len(sizes) for sizes in self.sizes)

    def size_of(self, levels: Ints) -> Floats:
        """The sizes of some changes, shape (m, columns)."""
        sizes: Floats = np.sum([s[levels[:, j]] for j, s in enumerate(self.sizes)], axis=0, dtype=np.float64)
        return sizes

    def may(self, rows: Ints, levels: Ints) -> Mask:
        """Whether each row may take its levels."""
        may: Mask = np.logical_and.reduce([allowed[rows, levels[:, j]] for j, allowed in enumerate(self.allowed)])
        return may


@dataclass(frozen=True, eq=False)
class Found:
    """What was found, per row.

    Attributes:
        sizes: of the smallest change that turned the answer; infinite where none did.
        levels: that change, shape (rows, columns).
        queries: how many altered forms were asked about.
        erred: whether one of them had no answer.
        exact: whether the whole grid was searched.
    """

    sizes: Floats
    levels: Ints
    queries: Ints
    erred: Mask
    exact: bool


def search(space: Space, ask: Ask, distance: Floats, most: int, chance: Chance) -> Found:
    """Attack every row with at most `most` queries each.

    Args:
        distance: of the unchanged rows from a change, shape (rows,).
    """
    hunt = _Hunt(space, ask, most)
    exact = space.forms - 1 <= most
    if exact:
        hunt.everywhere()
    else:
        moves = sum(len(sizes) for sizes in space.sizes)
        for rows in np.array_split(np.arange(space.rows), max(1, math.ceil(space.rows * moves / AT_ONCE))):
            hunt.greedily(rows, distance, chance)
    return Found(hunt.sizes, hunt.levels, hunt.queries, hunt.erred, exact)


class _Hunt:
    """What is known of each row so far."""

    def __init__(self, space: Space, ask: Ask, most: int) -> None:
        self.space, self._ask, self.most = space, ask, most
        self.sizes = np.full(space.rows, np.inf)
        self.levels = np.zeros((space.rows, len(space.sizes)), dtype=np.int64)
        self.queries = np.zeros(space.rows, dtype=np.int64)
        self.erred = np.zeros(space.rows, dtype=np.bool_)
        self._columns = np.concatenate([np.full(len(s), j) for j, s in enumerate(space.sizes)])
        self._levels = np.concatenate([np.arange(len(s)) for s in space.sizes])

    def everywhere(self) -> None:
        grid = np.indices([len(sizes) for sizes in self.space.sizes]).reshape(len(self.space.sizes), -1).T[1:]
        grid = grid[np.argsort(self.space.size_of(grid), kind="stable")]
        start = 0
        while start < len(grid) and (rows := self._open()).size:
            forms = grid[start : start + max(1, AT_ONCE // len(rows))]
            self._try(np.repeat(rows, len(forms)), np.tile(forms, (len(rows), 1)))
            start += len(forms)

    def greedily(self, rows: Ints, distance: Floats, chance: Chance) -> None:
        self._descend(rows, self.levels[rows], distance[rows], chance)
        for _ in range(STARTS):
            left = np.intersect1d(rows, self._open())
            if not left.size:
                break
            begin = self._anywhere(left, chance)
            self._descend(left, begin, self._try(left, begin), chance)
        self._shrink(rows)

    def _open(self) -> Ints:
        """The rows that are still to be attacked."""
        return np.flatnonzero(np.isinf(self.sizes) & ~self.erred & (self.queries < self.most))

    def _anywhere(self, rows: Ints, chance: Chance) -> Ints:
        weights = (chance.random((len(rows), allowed.shape[1])) * allowed[rows] for allowed in self.space.allowed)
        return np.stack([np.argmax(each, axis=1) for each in weights], axis=1)

    def _try(self, rows: Ints, levels: Ints) -> Floats:
        """Ask about some allowed forms, keep what turned, and give the distances; infinite where not allowed."""
        distances = np.full(len(rows), np.inf)
        may = np.flatnonzero(self.space.may(rows, levels) & levels.any(axis=1))
        if may.size:
            turned, distances[may] = self._ask(rows[may], levels[may])
            np.add.at(self.queries, rows[may], 1)
            self.erred[rows[may][np.isnan(distances[may])]] = True
            self._keep(rows[may][turned], levels[may][turned])
        return distances

    def _keep(self, rows: Ints, levels: Ints) -> None:
        sizes = self.space.size_of(levels)
        order = np.lexsort((sizes, rows))
        best = order[np.unique(rows[order], return_index=True)[1]]
        better = best[sizes[best] < self.sizes[rows[best]]]
        self.sizes[rows[better]], self.levels[rows[better]] = sizes[better], levels[better]

    def _descend(self, rows: Ints, levels: Ints, distance: Floats, chance: Chance) -> None:
        """From each row's levels to its nearest neighbour, until a hit, a dead end or the last query."""
        while (going := np.isin(rows, self._open())).any():
            rows, levels, distance = rows[going], levels[going], distance[going]
            at, forms = self._neighbours(rows, levels, chance.permutation(len(self._columns)))
            found = self._try(rows[at], forms)
            order = np.lexsort((found, at))
            each, places = np.unique(at[order], return_index=True)
            best = order[places]
            nearer = found[best] < distance[each]
            rows, levels, distance = rows[each][nearer], forms[best][nearer], found[best][nearer]

    def _shrink(self, rows: Ints) -> None:
        """Take back, one column at a time, what a hit does not need."""
        moves = np.arange(len(self._columns))
        while (rows := rows[np.isfinite(self.sizes[rows]) & ~self.erred[rows]]).size:
            before = self.sizes[rows].copy()
            at, forms = self._neighbours(rows, self.levels[rows], moves, smaller=True)
            self._try(rows[at], forms)
            rows = rows[self.sizes[rows] < before]

    def _neighbours(self, rows: Ints, levels: Ints, moves: Ints, *, smaller: bool = False) -> tuple[Ints, Ints]:
        """Forms that differ in one column, as many as each row has queries left: places in `rows`, and levels."""
        columns, to = self._columns[moves], self._levels[moves]
        allowed = np.stack([self.space.allowed[j][rows, k] for j, k in zip(columns, to, strict=True)], axis=1)
        allowed &= levels[:, columns] != to
        if smaller:
            sizes = [self.space.sizes[j] for j in columns]
            own = np.stack([s[levels[:, j]] for s, j in zip(sizes, columns, strict=True)], axis=1)
            allowed &= own > np.array([s[k] for s, k in zip(sizes, to, strict=True)])
        allowed &= np.cumsum(allowed, axis=1) <= (self.most - self.queries[rows])[:, None]
        at, move = np.nonzero(allowed)
        forms = levels[at].copy()
        forms[np.arange(len(at)), columns[move]] = to[move]
        return at, forms
