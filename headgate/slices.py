"""Slices: the groups of rows over which everything is tallied, and the labels that name them.

A label is `all`, `sex=female`, or `race=black & sex=female` for an intersection, its columns in the policy's order.
Two different groups never share a label: what could be taken for the label's own punctuation is percent-encoded.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import ArrayLike, NDArray

from headgate.errors import BadInput
from headgate.policy import Band

ALL = "all"
"""The label of all rows."""

MISSING = "missing"
"""The group of rows that have no value; a row is never dropped. The text "missing" means the same."""

MAX_GROUPS = 500
"""The most groups one slice may have: more is a column of identities or amounts, taken for a category by mistake."""

_RESERVED = frozenset("%&=~")
_LONGEST = 80
_FEW = 4096
_ABSENT = frozenset({"nan", "<NA>", "NaT"})


@dataclass(frozen=True)
class Column:
    """The groups of some rows by one column.

    Attributes:
        parts: each group as it stands in labels, such as `sex=female`, sorted and distinct.
        codes: int32 (n,), the place in `parts` of each row's group.
    """

    parts: tuple[str, ...]
    codes: NDArray[np.int32]


def column(name: str, values: Sequence[object], codes: ArrayLike | None = None) -> Column:
    """The groups of a column.

    Args:
        values: each row's value; None, NaN and blank text go to the group "missing". With `codes`: distinct values.
        codes: int (n,), each row's place in `values`; -1 is missing. This is how Arrow and pandas hold categories,
            and it costs nothing per row in Python.

    Raises:
        BadInput: more than `MAX_GROUPS` groups, or a code of no value.
    """
    if codes is None:
        seen: dict[Hashable, int] = {}
        codes = np.fromiter((seen.setdefault(v, len(seen)) for v in values), np.int64, len(values))
        values = list(seen)
    given = np.asarray(codes)
    least, most = (given.min(), given.max()) if given.size else (0, -1)
    if least < -1 or most >= len(values):
        raise _bad(f"the codes of the column {name!r}", f"{least} to {most}", f"-1 to {len(values) - 1}")
    absent = [None] if least < 0 else []
    spelled = [f"{escaped(name)}={_value(v)}" for v in (*values, *absent)]
    parts = sorted({part for part, there in zip(spelled, _present(given, len(spelled)), strict=True) if there})
    _limit(name, len(parts))
    if least >= 0 and spelled == parts:
        return Column(tuple(parts), given.astype(np.int32, copy=False))
    place = {part: i for i, part in enumerate(parts)}
    places = np.array([place.get(part, 0) for part in spelled] or [0], dtype=np.int32)
    return Column(tuple(parts), places[given])  # -1 takes the last place, which is the missing value's


def _present(codes: NDArray[Any], groups: int) -> NDArray[np.bool_]:
    """Which groups have rows; reads no further than it must. The code -1 is the last group."""
    present, start, size = np.zeros(groups, dtype=np.bool_), 0, _FEW
    while start < len(codes) and not present.all():
        present[codes[start : start + size]] = True
        start, size = start + size, 2 * size
    return present


def columns_from(table: Mapping[str, Sequence[object]]) -> dict[str, Column]:
    """The groups of every column of a table, its values as Python objects."""
    return {name: column(name, values) for name, values in table.items()}


def combined(columns: Sequence[Column]) -> Column:
    """The groups of an intersection; only groups that have rows.

    Raises:
        BadInput: more than `MAX_GROUPS` groups.
    """
    code = np.zeros(len(columns[0].codes), dtype=np.int64)
    for each in columns:
        code = code * len(each.parts) + each.codes
    present, codes = np.unique(code, return_inverse=True)
    _limit("an intersection", len(present))
    places = np.unravel_index(present, [len(each.parts) for each in columns])
    chosen = zip(*([each.parts[i] for i in at] for each, at in zip(columns, places, strict=True)), strict=True)
    return Column(tuple(" & ".join(parts) for parts in chosen), codes.astype(np.int32))


def as_tuple(slice_: str | tuple[str, ...]) -> tuple[str, ...]:
    """A slice of the policy as a tuple of columns: `"sex"` is `("sex",)`."""
    return (slice_,) if isinstance(slice_, str) else tuple(slice_)


def columns_of(label: str) -> tuple[str, ...]:
    """The columns of a label, spelled as in labels (see `escaped`); of `all`, none.

    >>> columns_of("race=black & sex=female")
    ('race', 'sex')
    """
    return () if label == ALL else tuple(part.partition("=")[0] for part in label.split(" & "))


def groups_of(slice_: str | tuple[str, ...], labels: Iterable[str]) -> tuple[str, ...]:
    """The labels of one slice's groups, whatever order the slice names its columns in."""
    wanted = {escaped(name) for name in as_tuple(slice_)}
    return tuple(label for label in labels if set(columns_of(label)) == wanted)


def banded(name: str, values: ArrayLike, band: Band) -> Column:
    """The band of each number: `under 18`, `18 to under 30`, `65 and over`, or `missing` for NaN.

    Args:
        name: the slice column that is made.
        values: shape (n,), numbers; None and blank text count as NaN.

    Raises:
        BadInput: a value that is no number.
    """
    numbers = _numbers(values, band.column)
    codes = np.searchsorted(np.array(band.edges), numbers, side="right")
    return column(name, _band_names(band.edges), np.where(np.isnan(numbers), -1, codes))


def escaped(text: str) -> str:
    """A column's name or a value as it stands in a label: `%`, `&`, `=`, `~` and unprintable characters encoded.

    What is longer than 80 characters keeps its beginning and gets a digest of the whole.

    >>> escaped("a & b")
    'a %26 b'
    """
    plain = "".join(c if c.isprintable() and c not in _RESERVED else _percent(c) for c in text)
    if len(plain) <= _LONGEST:
        return plain
    return f"{plain[:_LONGEST]}~{hashlib.sha256(plain.encode()).hexdigest()[:16]}"


def _percent(character: str) -> str:
    return "%7E" if character == "~" else quote(character, safe="", errors="surrogatepass")


def _value(value: object) -> str:
    text = str(value)
    if value is None or not text.strip() or (not isinstance(value, str) and text in _ABSENT):
        return MISSING
    return escaped(text)


def _limit(name: str, groups: int) -> None:
    if groups > MAX_GROUPS:
        raise _bad(f"the slice {name!r}", f"{groups} groups", f"at most {MAX_GROUPS} groups")


def _band_names(edges: tuple[float, ...]) -> list[str]:
    shown = [str(int(e)) if float(e).is_integer() else repr(e) for e in edges]
    inner = [f"{low} to under {high}" for low, high in pairwise(shown)]
    return [f"under {shown[0]}", *inner, f"{shown[-1]} and over"]


def _numbers(values: ArrayLike, column: str) -> NDArray[np.float64]:
    array = np.asarray(values)
    if array.dtype.kind in "biuf":
        return array.astype(np.float64)
    return np.array([_number(value, column) for value in array.tolist()], dtype=np.float64)


def _number(value: object, column: str) -> float:
    if _value(value) == MISSING:
        return math.nan
    try:
        return float(value)  # type: ignore[arg-type]  # what is no number raises
    except (TypeError, ValueError):
        raise _bad(f"the banded column {column!r}", repr(value), "numbers, or nothing") from None


def _bad(subject: str, got: str, expected: str) -> BadInput:
    return BadInput(subject, got=got, expected=expected, next_step="correct [data] slices or bands in the policy")
