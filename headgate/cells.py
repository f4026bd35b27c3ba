"""Cells: how the values of one column are sorted and counted, so that two sets of rows can be compared without rows.

The cells are made of one set of rows, the reference. Numbers go to bins that hold a tenth of it each. A value that many
rows share has a cell of its own: deciles alone do not see rows that leave it, since all of them begin and end there.
Texts go to their own cells; those that few rows have share one with all that was never seen, because what only few
people have may say who they are.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from headgate.value import Value

Count = Annotated[int, Field(ge=0)]
Counts = tuple[Count, ...]

BINS = 10
"""Of the numbers that have no cell of their own."""

SHARED = 20
"""A number that at least one of so many rows has is a cell by itself."""

FEWEST, MOST = 10, 100
"""A text that fewer rows have is no cell by itself, and no column has more cells for texts than this."""


class Cells(Value):
    """The cells of a column, in this order: shared numbers, bins, texts, anything else, nothing.

    Attributes:
        points: numbers with a cell of their own, ascending.
        edges: where a bin ends and the next one begins, ascending; the edge belongs to the next one.
        texts: values with a cell of their own, sorted.
    """

    kind: Literal["number", "text"]
    points: tuple[float, ...] = ()
    edges: tuple[float, ...] = ()
    texts: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """How many cells there are."""
        bins = len(self.edges) + 1 if self.kind == "number" else 0
        return len(self.points) + bins + len(self.texts) + 2

    def counts(self, values: Sequence[object]) -> Counts:
        """How many of the values are in each cell. None, NaN and blank text are nothing."""
        codes = self._of_numbers(values) if self.kind == "number" else self._of_texts(values)
        return tuple(np.bincount(codes, minlength=self.size).tolist())

    def _of_numbers(self, values: Sequence[object]) -> NDArray[np.intp]:
        numbers = np.fromiter(map(_number, values), np.float64, len(values))
        codes = len(self.points) + np.searchsorted(self.edges, numbers, side="right")
        for place, point in enumerate(self.points):
            codes[numbers == point] = place
        codes[np.isinf(numbers)] = self.size - 2
        codes[np.isnan(numbers)] = self.size - 1
        return codes

    def _of_texts(self, values: Sequence[object]) -> NDArray[np.intp]:
        place = {text: code for code, text in enumerate(self.texts)}
        other = self.size - 2
        codes = (self.size - 1 if _absent(value) else place.get(str(value), other) for value in values)
        return np.fromiter(codes, np.intp, len(values))


def of_numbers(values: Sequence[object]) -> Cells:
    """The cells of a column of numbers, from the reference's values."""
    numbers = np.fromiter(map(_number, values), np.float64, len(values))
    finite = np.sort(numbers[np.isfinite(numbers)])
    distinct, times = np.unique(finite, return_counts=True)
    points = distinct[times * SHARED >= max(len(values), 1)]
    rest = finite[~np.isin(finite, points)]
    ends = rest[[len(rest) * tenth // BINS for tenth in range(1, BINS)]] if len(rest) else rest
    edges = np.unique(ends[ends > rest[0]]) if len(rest) else ends
    return Cells(kind="number", points=tuple(points.tolist()), edges=tuple(edges.tolist()))


def of_texts(values: Sequence[object]) -> Cells:
    """The cells of a column of texts, from the reference's values."""
    times = Counter(str(value) for value in values if not _absent(value))
    kept = [text for text, n in sorted(times.items(), key=lambda pair: (-pair[1], pair[0])) if n >= FEWEST]
    return Cells(kind="text", texts=tuple(sorted(kept[:MOST])))


def distance(a: Counts, b: Counts) -> float:
    """The total variation distance of two sets of rows, in [0, 1]: how many of a hundred are of another kind."""
    left, right = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    return float(np.abs(left / max(left.sum(), 1.0) - right / max(right.sum(), 1.0)).sum() / 2)


def _absent(value: object) -> bool:
    return value is None or value != value or (isinstance(value, str) and not value.strip())  # noqa: PLR0124  # NaN


def _number(value: object) -> float:
    """A number; NaN for nothing, infinity for what is no number."""
    if _absent(value):
        return math.nan
    try:
        return math.inf if isinstance(value, str) else float(value)  # type: ignore[arg-type]  # what is none raises
    except (TypeError, ValueError, OverflowError):
        return math.inf
