"""Likeness: whether two documents say the same, where the last bits of their numbers may come from two C libraries.

A tally is exact on every machine, and what is computed from it is on every processor (`headgate.arithmetic`). But the
quantiles of distributions take logarithms from the C library, and an auditor's may be another one than the pipeline's.
So a number that is computed again may differ by less than anybody prints. All else must be the same: texts, counts,
which fields there are, and their order in lists.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from headgate.canonical import parse
from headgate.errors import Tampered

SLACK = 1e-9
"""By how much of itself a number may differ; bounds and p-values are printed with four places at most."""

_NOTHING = 1e-12
"""The same for numbers about zero."""


def alike(told: bytes, again: bytes) -> bool:
    """Whether two documents in canonical JSON say the same; bytes that are none are like nothing but themselves."""
    try:
        return told == again or _same(parse(told), parse(again))
    except Tampered:
        return False


def _same(a: object, b: object) -> bool:
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, float) or isinstance(b, float):
        return _number(a) and _number(b) and math.isclose(a, b, rel_tol=SLACK, abs_tol=_NOTHING)  # type: ignore[arg-type]
    return type(a) is type(b) and a == b


def _number(x: object) -> bool:
    return isinstance(x, int | float) and not isinstance(x, bool)
