"""The four verdicts and their total order."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer


class Verdict(enum.IntEnum):
    """What a gate says. The order is the order of badness, so that ``max`` is the combination.

    PASS: the confidence bound on the unsafe side is inside the limit.
    INCONCLUSIVE: the interval holds the limit; more rows would decide.
    ERROR: it could not be measured.
    FAIL: the confidence bound on the safe side is outside the limit.
    """

    PASS = 0
    INCONCLUSIVE = 1
    ERROR = 2
    FAIL = 3


def _by_name(value: object) -> Verdict:
    if isinstance(value, Verdict):
        return value
    if isinstance(value, str) and value in Verdict.__members__:
        return Verdict[value]
    raise ValueError(f"a verdict is one of {', '.join(Verdict.__members__)}")


NamedVerdict = Annotated[
    Verdict, BeforeValidator(_by_name), PlainSerializer(lambda v: v.name, return_type=str, when_used="json")
]
"""A verdict whose JSON is its name: the numbers only order them."""


def worst_of(verdicts: Iterable[Verdict]) -> Verdict:
    """The worst of some verdicts; of none, ERROR, because missing evidence is never a pass.

    >>> worst_of([Verdict.PASS, Verdict.INCONCLUSIVE]).name
    'INCONCLUSIVE'
    >>> worst_of([]).name
    'ERROR'
    """
    return max(verdicts, default=Verdict.ERROR)
