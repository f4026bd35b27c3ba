"""Outcomes: whether a label column holds what its task needs, as findings of the data gate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from headgate.finding import Finding, Table
from headgate.verdict import Verdict

MIN_CLASS_ROWS = 30
"""Fewer rows of a class decide nothing: the least that a policy may demand of a group (`min_slice_rows`)."""

Floats = NDArray[np.float64]


def zero_or_one(values: Floats, column: str, table: Table) -> Finding:
    """FAIL if a label is missing or neither 0 nor 1, ERROR if a class is absent, INCONCLUSIVE if a class is tiny."""
    missing = int(np.isnan(values).sum())
    zeros, ones = int((values == 0).sum()), int((values == 1).sum())
    other = len(values) - missing - zeros - ones
    reason = (
        f"{len(values):,} labels: {zeros:,} are 0, {ones:,} are 1, {other:,} are anything else, {missing:,} are "
        f"missing; only 0 and 1 may be, at least {MIN_CLASS_ROWS} of each"
    )
    return _found(_classes_verdict(missing + other, (zeros, ones)), reason, column, table, missing + other)


def one_of(values: Sequence[str | None], classes: Sequence[str], column: str, table: Table) -> Finding:
    """FAIL if a label is missing or no class of the policy, ERROR if a class is absent, INCONCLUSIVE if one is tiny.

    Args:
        values: each row's label as text, None if it is missing.
    """
    counts = Counter(values)
    missing = counts.pop(None, 0)
    sizes = {name: counts.pop(name, 0) for name in classes}
    other, rarest = sum(counts.values()), min(sizes, key=lambda name: sizes[name])
    reason = (
        f"{len(values):,} labels: {other:,} are none of the {len(classes)} classes, {missing:,} are missing; the "
        f"rarest class is '{rarest}' with {sizes[rarest]:,}, at least {MIN_CLASS_ROWS} may be"
    )
    return _found(_classes_verdict(missing + other, list(sizes.values())), reason, column, table, missing + other)


def in_range(values: Floats, ends: tuple[float, float], column: str, table: Table) -> Finding:
    """FAIL if a label is missing or outside the policy's range, ERROR if all are equal."""
    outside = int((~((values >= ends[0]) & (values <= ends[1]))).sum())
    distinct = len(np.unique(values[np.isfinite(values)]))
    verdict = Verdict.FAIL if outside else Verdict.ERROR if distinct < 2 else Verdict.PASS
    reason = (
        f"{len(values):,} labels: {outside:,} are missing or outside {ends[0]:g} to {ends[1]:g}, 0 may be; "
        f"{distinct:,} different values, at least 2 are needed"
    )
    return _found(verdict, reason, column, table, outside)


def _classes_verdict(bad: int, sizes: Sequence[int]) -> Verdict:
    few = Verdict.ERROR if min(sizes) == 0 else Verdict.INCONCLUSIVE
    return Verdict.FAIL if bad else few if min(sizes) < MIN_CLASS_ROWS else Verdict.PASS


def _found(verdict: Verdict, reason: str, column: str, table: Table, rows: int) -> Finding:
    return Finding(check="label", table=table, verdict=verdict, reason=reason, column=column, rows=rows)
