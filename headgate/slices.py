"""Slices: the groups of rows over which everything is tallied, and the labels that name them.

A label is `all`, `sex=female`, or `race=black & sex=female` for an intersection, its columns in the policy's order.
Two different groups never share a label: what could be taken for the label's own punctuation is percent-encoded.
"""

from __future__ import annotations

import hashlib
import math
from bisect import bisect_right
from collections.abc import Hashable, Iterable, Mapping, Sequence
from itertools import pairwise
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

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
_ABSENT = frozenset({"nan", "<NA>", "NaT"})

Members = NDArray[np.intp]


def memberships(columns: Mapping[str, Sequence[object]], slices: Sequence[str | tuple[str, ...]]) -> dict[str, Members]:
    """The rows of every slice: its label, and the ascending numbers of its rows.

    Args:
        columns: the slice columns, all of one length; None, NaN and blank text go to the group "missing".
        slices: names of columns, and tuples of names for intersections.

    Returns:
        `all` first, then each slice's groups in the order of their labels; only groups that have rows.

    Raises:
        BadInput: no columns, lengths that differ, a column that is not there, or more than `MAX_GROUPS` groups.
    """
    lengths = {len(values) for values in columns.values()}
    if len(lengths) != 1:
        raise _bad("the slice columns", f"lengths {sorted(lengths)}", "one or more columns of one length")
    found: dict[str, Members] = {ALL: np.arange(lengths.pop(), dtype=np.intp)}
    coded = {name: _coded(name, _column(columns, name)) for name in _names(slices)}
    for names in map(as_tuple, slices):
        found |= _groups(names, [coded[name] for name in names])
    return found


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


def banded(values: Iterable[object], band: Band) -> list[str]:
    """The band of each number: `under 18`, `18 to under 30`, `65 and over`, or `missing`.

    Raises:
        BadInput: a value that is no number.
    """
    names = _band_names(band.edges)
    return [
        MISSING if (n := _number(value, band.column)) is None else names[bisect_right(band.edges, n)]
        for value in values
    ]


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


def _names(slices: Sequence[str | tuple[str, ...]]) -> list[str]:
    return list(dict.fromkeys(name for slice_ in slices for name in as_tuple(slice_)))


def _column(columns: Mapping[str, Sequence[object]], name: str) -> Sequence[object]:
    if name not in columns:
        raise _bad(f"the slice column {name!r}", "no such column", f"one of {sorted(columns)}")
    return columns[name]


def _coded(name: str, values: Sequence[object]) -> tuple[list[str], Members]:
    codes: dict[Hashable, int] = {}
    raw = np.fromiter((codes.setdefault(v, len(codes)) for v in values), np.intp, len(values))
    parts = [f"{escaped(name)}={_value(v)}" for v in codes]
    kept = sorted(set(parts))
    place = {part: i for i, part in enumerate(kept)}
    _limit(name, len(kept))
    return kept, np.array([place[part] for part in parts], dtype=np.intp)[raw]


def _value(value: object) -> str:
    text = str(value)
    if value is None or not text.strip() or (not isinstance(value, str) and text in _ABSENT):
        return MISSING
    return escaped(text)


def _groups(names: tuple[str, ...], coded: list[tuple[list[str], Members]]) -> dict[str, Members]:
    code, radices = coded[0][1], [len(parts) for parts, _ in coded]
    for radix, (_, more) in zip(radices[1:], coded[1:], strict=True):
        code = code * radix + more
    order = np.argsort(code, kind="stable")
    present, starts = np.unique(code[order], return_index=True)
    _limit(" & ".join(names), len(present))
    places = np.unravel_index(present, radices)
    labels = [" & ".join(parts[i] for (parts, _), i in zip(coded, at, strict=True)) for at in zip(*places, strict=True)]
    return dict(zip(labels, np.split(order, starts[1:]), strict=True)) if labels else {}


def _limit(name: str, groups: int) -> None:
    if groups > MAX_GROUPS:
        raise _bad(f"the slice {name!r}", f"{groups} groups", f"at most {MAX_GROUPS} groups")


def _band_names(edges: tuple[float, ...]) -> list[str]:
    shown = [str(int(e)) if float(e).is_integer() else repr(e) for e in edges]
    inner = [f"{low} to under {high}" for low, high in pairwise(shown)]
    return [f"under {shown[0]}", *inner, f"{shown[-1]} and over"]


def _number(value: object, column: str) -> float | None:
    if _value(value) == MISSING:
        return None
    try:
        number = float(value)  # type: ignore[arg-type]  # what is no number raises
    except (TypeError, ValueError):
        raise _bad(f"the banded column {column!r}", repr(value), "numbers, or nothing") from None
    return None if math.isnan(number) else number


def _bad(subject: str, got: str, expected: str) -> BadInput:
    return BadInput(subject, got=got, expected=expected, next_step="correct [data] slices or bands in the policy")
