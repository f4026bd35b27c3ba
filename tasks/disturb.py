"""Disturb: rows as a relation or a corruption of the scenarios alters them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from headgate import alteration
from headgate.alteration import Chance, Floats, Ints, Mask
from headgate.scenarios import Invariant, Missing, Monotone, Noise, OutOfRange, UnitMistake, UnseenCategory
from tasks.alter import holds, is_whole, joint_codes, numbers, put

if TYPE_CHECKING:
    import pandas as pd

Disturbance = Monotone | Invariant | Noise | Missing | UnseenCategory | OutOfRange | UnitMistake


@dataclass(frozen=True, eq=False)
class Disturbed:
    """Rows after an alteration.

    Attributes:
        frame: all rows, altered where that was possible.
        unable: rows that could not be altered; shape (rows,).
        same: rows that came out as they were; shape (rows,).
    """

    frame: pd.DataFrame
    unable: Mask
    same: Mask


def disturbed(item: Disturbance, table: pd.DataFrame, places: Ints, chance: Chance) -> Disturbed:
    """The rows of a table at some places, altered.

    Missing values cannot be altered, and a relation that leaves a row as it is says nothing about it: such rows are
    `unable`. Noise may round to nothing and a factor leaves 0 alone: such rows are the `same`.
    """
    base = table.iloc[places].reset_index(drop=True)
    if isinstance(item, Invariant):
        return _swapped(item.columns, table, places, base, chance)
    if isinstance(item, Missing):
        return _blanked(item, base, chance)
    if isinstance(item, UnseenCategory):
        return _unseen(item, table, base)
    columns = (item.column,) if isinstance(item, Monotone) else item.columns
    found = _recomputed(base, {c: _numbers(item, table[c], base[c], chance) for c in columns})
    return Disturbed(found.frame, found.unable | found.same, _none(base)) if isinstance(item, Monotone) else found


def _recomputed(base: pd.DataFrame, new: dict[str, Floats]) -> Disturbed:
    old = {c: numbers(base[c]) for c in new}
    unable = np.logical_or.reduce([np.isnan(values) for values in new.values()])
    same = np.logical_and.reduce([values == old[c] for c, values in new.items()]) & ~unable
    columns = {c: put(base[c], np.where(unable, old[c], values)) for c, values in new.items()}
    return Disturbed(_with(base, columns), unable, same)


def _numbers(item: Disturbance, table: pd.Series, base: pd.Series, chance: Chance) -> Floats:
    known, values, whole = _finite(table), numbers(base), is_whole(table)
    if not known.size:
        return np.full(len(values), np.nan)
    if isinstance(item, Monotone):
        return alteration.stepped(values, item.step, whole=whole)
    if isinstance(item, Noise):
        return alteration.noisy(values, item.sd * float(known.std()), chance, whole=whole)
    if isinstance(item, OutOfRange):
        ends = float(known.min()), float(known.max())
        return alteration.beyond(values, ends, item.factor, chance, whole=whole)
    return alteration.rescaled(values, item.factor if isinstance(item, UnitMistake) else np.nan, whole=whole)


def _finite(column: pd.Series) -> Floats:
    values = numbers(column)
    return values[np.isfinite(values)]


def _swapped(
    columns: Sequence[str], table: pd.DataFrame, places: Ints, base: pd.DataFrame, chance: Chance
) -> Disturbed:
    codes, firsts = joint_codes(table[list(columns)])
    other = alteration.another(codes[places], codes, chance)
    donors = firsts[np.where(other < 0, codes[places], other)]
    taken = {c: table[c].iloc[donors].reset_index(drop=True) for c in columns}
    return Disturbed(_with(base, taken), other < 0, _none(base))


def _blanked(item: Missing, base: pd.DataFrame, chance: Chance) -> Disturbed:
    present = base[list(item.columns)].notna().to_numpy(dtype=np.bool_)
    cells = alteration.blanked(present, item.share, chance)
    lost = {c: base[c].mask(cells[:, j]) for j, c in enumerate(item.columns)}
    same: Mask = ~np.logical_or.reduce(cells, axis=1)
    return Disturbed(_with(base, lost), _none(base), same)


def _unseen(item: UnseenCategory, table: pd.DataFrame, base: pd.DataFrame) -> Disturbed:
    # A value that the table has is not unseen, and proves nothing.
    known = any(holds(table[c], (item.value,)).any() for c in item.columns)
    values = {c: put(base[c], np.full(len(base), item.value, dtype=object)) for c in item.columns}
    return Disturbed(_with(base, values), np.full(len(base), known), _none(base))


def _none(base: pd.DataFrame) -> Mask:
    return np.zeros(len(base), dtype=np.bool_)


def _with(base: pd.DataFrame, columns: dict[str, pd.Series]) -> pd.DataFrame:
    altered = base.copy()
    for name, column in columns.items():
        altered[name] = column
    return altered
