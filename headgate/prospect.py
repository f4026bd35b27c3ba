"""Prospect: what one gate can decide in one place with so many rows, as a value."""

from __future__ import annotations

import math
from dataclasses import dataclass

from headgate.gate import Form

POWER = 0.8
"""The probability with which what is promised comes true."""


@dataclass(frozen=True)
class Prospect:
    """A gate in one place: the truth from which on it passes, and the truth from which on it fails.

    Attributes:
        gate, metric, slice, groups, form: as in a judgement; of several pairs the one that is decided worst.
        rows: planned rows of the slice, or of both groups. n: those of them that the metric rests on.
        limit: the end of the gate's span that is spoken of.
        expected: the truth that is expected; None if nothing is known of it.
        passes_at: with a truth as good as this the verdict is PASS with probability `POWER`; None if no truth is.
        fails_at: with a truth as bad as this the verdict is FAIL with probability `POWER` at Holm's first step.
        rows_needed: roughly, rows that would decide it if the truth is as expected; None if decided, or if no number
            can be said.
        ground: what the width of the bounds rests on.
        lack: why nothing can be decided whatever the truth is; empty if something can.
    """

    gate: str
    metric: str
    slice: str
    form: Form
    groups: tuple[str, ...] = ()
    rows: int = 0
    n: int = 0
    limit: float = math.nan
    expected: float | None = None
    passes_at: float | None = None
    fails_at: float | None = None
    rows_needed: int | None = None
    ground: str = ""
    lack: str = ""

    @property
    def confirms(self) -> float | None:
        """The smallest margin between truth and limit that it can confirm."""
        return None if self.passes_at is None else abs(self.passes_at - self.limit)

    @property
    def sees(self) -> float | None:
        """The smallest violation of the limit that it can see."""
        return None if self.fails_at is None else abs(self.fails_at - self.limit)

    @property
    def margin(self) -> float | None:
        """The margin that the expected truth has, or by how much it breaks the limit; None if nothing is expected."""
        return None if self.expected is None else abs(self.expected - self.limit)

    @property
    def breaks(self) -> bool:
        """Whether the expected truth is beyond the limit."""
        at = self.passes_at if self.fails_at is None else self.fails_at
        if self.expected is None or at is None:
            return False
        beyond = (self.expected - self.limit) * (at - self.limit) > 0
        return beyond == (self.fails_at is not None)

    @property
    def decided(self) -> bool | None:
        """Whether the rows suffice for the expected truth; None if nothing is expected, so that it depends."""
        if self.lack or (self.passes_at is None and self.fails_at is None):
            return False
        room = self.sees if self.breaks else self.confirms
        if self.margin is None:
            return None if room is not None else False
        return room is not None and room <= self.margin

    @property
    def shortfall(self) -> float:
        """By how much the margin is too small; negative if it suffices, infinite if nothing would do."""
        room = self.sees if self.breaks else self.confirms
        return math.inf if self.lack or room is None else room - (self.margin or 0.0)


@dataclass(frozen=True)
class Prospects:
    """What all gates can decide.

    Attributes:
        family: the claims of harm that Holm's correction covers.
        omitted: labels of gates that rest on no rows, and are not planned: scenarios.
    """

    each: tuple[Prospect, ...]
    family: int
    alpha: float
    omitted: tuple[str, ...] = ()

    @property
    def undecided(self) -> tuple[str, ...]:
        """The labels of gates that cannot be decided somewhere."""
        return tuple(dict.fromkeys(p.gate for p in self.each if p.decided is False))
