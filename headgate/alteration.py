"""Alteration: what a scenario does to numbers and codes, and whether that changed an answer. Chance is an argument.

Numbers arrive as float64 with NaN where missing; `whole` says that only whole numbers are possible. What cannot be
altered comes back as NaN.
"""

from __future__ import annotations

from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
Chance = np.random.Generator

LARGEST_WHOLE = 2.0**53


def chance_of(seed: int, name: str) -> Chance:
    """The random numbers of one scenario: the same whatever other scenarios there are.

    >>> chance_of(7, "a").integers(100) == chance_of(7, "a").integers(100)
    np.True_
    """
    return np.random.default_rng([seed, int.from_bytes(sha256(name.encode()).digest()[:8])])


def drawn(eligible: Mask, most: int, chance: Chance) -> Ints:
    """The places of at most `most` eligible rows, ascending, every such set equally likely."""
    places = np.flatnonzero(eligible)
    taken = places if len(places) <= most else chance.choice(places, most, replace=False)
    return np.sort(taken).astype(np.int64)


def stepped(values: Floats, step: float, *, whole: bool) -> Floats:
    """Each value and one step."""
    return _possible(values + step, values, whole)


def noisy(values: Floats, deviation: float, chance: Chance, *, whole: bool) -> Floats:
    """Each value with normal noise; whole numbers are rounded, and may stay as they are."""
    return _possible(values + chance.normal(0.0, deviation, len(values)), values, whole)


def beyond(values: Floats, ends: tuple[float, float], factor: float, chance: Chance, *, whole: bool) -> Floats:
    """For each value one outside the range, below or above it at random, by `factor` times its width.

    Args:
        ends: the lowest and the highest value of the table; where they are equal, the width counts as 1.
    """
    reach = factor * ((ends[1] - ends[0]) or 1.0)
    reach = float(np.ceil(reach)) if whole else reach
    low, high = np.full(len(values), ends[0] - reach), np.full(len(values), ends[1] + reach)
    return _possible(np.where(chance.random(len(values)) < 0.5, low, high), values, whole)


def rescaled(values: Floats, factor: float, *, whole: bool) -> Floats:
    """Each value times the factor."""
    with np.errstate(over="ignore"):
        return _possible(values * factor, values, whole)


def _possible(altered: Floats, values: Floats, whole: bool) -> Floats:
    fine = np.isfinite(values) & np.isfinite(altered) & (not whole or np.abs(altered) <= LARGEST_WHOLE)
    return np.where(fine, np.rint(altered) if whole else altered, np.nan)


def another(codes: Ints, table: Ints, chance: Chance) -> Ints:
    """For each code another code of the table, drawn with the table's frequencies; -1 where it has no other.

    Args:
        codes, table: codes from 0, shapes (rows,) and (all rows,).
    """
    counts = np.bincount(table, minlength=int(codes.max(initial=-1)) + 1)
    ends = np.cumsum(counts)
    own = counts[codes]
    others = len(table) - own
    draw = np.floor(chance.random(len(codes)) * others).astype(np.int64)
    draw += np.where(draw >= ends[codes] - own, own, 0)
    return np.where(others > 0, np.searchsorted(ends, draw, side="right"), -1).astype(np.int64)


def blanked(present: Mask, share: float, chance: Chance) -> Mask:
    """Which cells are lost: per row this share of all columns, at least one, among those that are present."""
    lost = max(1, round(share * present.shape[1]))
    order = np.where(present, chance.random(present.shape), np.inf)
    ranks = np.argsort(np.argsort(order, axis=1), axis=1)
    cells: Mask = present & (ranks < lost)
    return cells


def changed(before: Floats, after: Floats, threshold: float | None, tolerance: float | None) -> Mask:
    """Whether an answer changed: by more than the tolerance, or, without one, across the threshold; NaN did not.

    Raises:
        ValueError: there is neither a tolerance nor a threshold.
    """
    return distance(before, after, threshold, tolerance)[0]


def distance(before: Floats, after: Floats, threshold: float | None, tolerance: float | None) -> tuple[Mask, Floats]:
    """Whether each answer changed, and how far it is from a change: the less, the nearer.

    A decision is 1 if the score is at least the threshold.
    """
    if tolerance is not None:
        return np.abs(after - before) > tolerance, tolerance - np.abs(after - before)
    if threshold is None:
        raise ValueError("neither a tolerance nor a threshold")
    ones = before >= threshold
    known = ~np.isnan(before) & ~np.isnan(after)
    return known & (ones != (after >= threshold)), np.where(ones, after - threshold, threshold - after)


def wrong_way(before: Floats, after: Floats, direction: str, tolerance: float) -> Mask:
    """Whether a score that should rise (or fall) went the other way by more than the tolerance."""
    return (before - after if direction == "rising" else after - before) > tolerance


def deltas(budget: float, *, whole: bool, most: int = 8) -> Floats:
    """The changes of a number that an attack tries: none first, then up to `most` per side, evenly spread.

    >>> deltas(2.0, whole=True).tolist()
    [0.0, 1.0, -1.0, 2.0, -2.0]
    """
    reach = np.floor(budget) if whole else budget
    if reach <= 0:
        return np.zeros(1)
    sides = np.linspace(0, reach, int(min(reach, most) if whole else 4) + 1)[1:]
    sides = np.unique(np.rint(sides)) if whole else sides
    return np.concatenate([[0.0], np.stack([sides, -sides], axis=1).ravel()])
