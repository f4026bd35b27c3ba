"""Numerals: arrays of integers as text, the non-zero ones by their place."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from headgate.crossing import Array


def to_text(array: Any) -> str:
    """An array of integers as `place:number` for each that is not 0, places in flat order, counted from 0.

    >>> to_text(np.array([[0, 7], [0, -2]]))
    '1:7 3:-2'
    """
    flat = np.asarray(array).ravel()
    places = np.flatnonzero(flat)
    return " ".join(f"{place}:{number}" for place, number in zip(places.tolist(), flat[places].tolist(), strict=True))


def from_text(text: str, shape: tuple[int, ...], *, exact: bool) -> Array:
    """The array that `to_text` wrote; `exact` for Python integers of any size, else int64.

    Raises:
        ValueError, IndexError, OverflowError: anything else.
    """
    flat: Array = np.zeros(math.prod(shape), dtype=np.int64).astype(object if exact else np.int64)
    if text:
        numbers = [int(part) for part in text.replace(":", " ").split(" ")] if exact else _parsed(text)
        if min(numbers[::2]) < 0:
            raise ValueError("a negative place")
        flat[numbers[::2]] = numbers[1::2]
    return flat.reshape(shape)


def _parsed(text: str) -> Any:
    numbers = np.array(text.replace(":", " ").split(" "), dtype=np.str_).astype(np.int64)
    if len(numbers) % 2:
        raise ValueError("a place without a number")
    return numbers
