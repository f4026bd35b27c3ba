"""Attack: the rows of a table on the grid of changes that `headgate.attack` searches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from headgate.alteration import Chance, Floats, Ints, Mask, deltas, distance
from headgate.attack import Found, Space, search
from headgate.scenarios import Attack, Scalar
from tasks.alter import holds, is_whole, numbers, put
from tasks.answer import Answers, Model

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Attacked:
    """What an attack did to some rows.

    Attributes:
        found: per attacked row, what was found.
        places: which rows those are; the others had no answer before, or nothing about them could be changed.
        unable: rows of which nothing could be changed; shape (all rows,).
        raised: the names of exceptions.
    """

    found: Found
    places: Ints
    unable: Mask
    raised: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Moves:
    """How one column may change: per level its size, which row may take it, and the column at given rows and levels."""

    sizes: Floats
    allowed: Mask
    at: Callable[[Ints, Ints], pd.Series]


def attacked(model: Model, item: Attack, base: pd.DataFrame, before: Answers, chance: Chance) -> Attacked:
    """Search, for every row that has an answer, the smallest allowed change that turns it."""
    unable = ~np.logical_or.reduce([_moves(base[c], b).allowed[:, 1:].any(axis=1) for c, b in item.budget.items()])
    places = np.flatnonzero(~unable & ~np.isnan(before.scores))
    rows, scores = base.iloc[places].reset_index(drop=True), before.scores[places]
    moves = {column: _moves(rows[column], budget) for column, budget in item.budget.items()}
    raised: set[str] = set()

    def ask(at: Ints, levels: Ints) -> tuple[Mask, Floats]:
        said = model.ask(_formed(rows, moves, at, levels))
        raised.update(said.raised)
        return distance(scores[at], said.scores, model.threshold, item.tolerance)

    space = Space([m.sizes for m in moves.values()], [m.allowed for m in moves.values()])
    begin = distance(scores, scores, model.threshold, item.tolerance)[1]
    found = search(space, ask, begin, item.max_queries, chance)
    return Attacked(found, places, unable, tuple(sorted(raised)))


def _formed(rows: pd.DataFrame, moves: dict[str, _Moves], at: Ints, levels: Ints) -> pd.DataFrame:
    forms = rows.iloc[at].reset_index(drop=True)
    for j, (column, each) in enumerate(moves.items()):
        forms[column] = each.at(at, levels[:, j])
    return forms


def _moves(column: pd.Series, budget: float | tuple[Scalar, ...]) -> _Moves:
    return _of_values(column, budget) if isinstance(budget, tuple) else _of_number(column, budget)


def _of_number(column: pd.Series, budget: float) -> _Moves:
    values, steps = numbers(column), deltas(budget, whole=is_whole(column))
    allowed = np.isfinite(values[:, None] + steps)
    allowed[:, 0] = True
    return _Moves(np.abs(steps) / budget, allowed, lambda at, level: put(column, values[at] + steps[level]))


def _of_values(column: pd.Series, values: tuple[Scalar, ...]) -> _Moves:
    own: Any = column.astype(object).to_numpy()
    other = np.stack([column.notna().to_numpy(dtype=np.bool_) & ~holds(column, (value,)) for value in values], axis=1)
    allowed = np.concatenate([np.ones((len(column), 1), dtype=np.bool_), other], axis=1)
    sizes = np.concatenate([[0.0], np.ones(len(values))])
    given = np.array([None, *values], dtype=object)
    return _Moves(sizes, allowed, lambda at, level: put(column, np.where(level == 0, own[at], given[level])))
