"""Judgements: what was decided about each gate, with its arithmetic, as values that go into the ledger."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from headgate.verdict import NamedVerdict, Verdict, worst_of


class _Value(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Judgement(_Value):
    """One gate in one slice; for a gap, one gate across one slice's groups, and its worst pair.

    Attributes:
        gate: the gate's label in the policy.
        slice: the label of the slice, or the columns whose groups a gap compares.
        groups: the worst pair of a gap, else empty.
        value, lower, upper: the estimate and its one-sided bounds, each at `alpha`; None if unknown or unbounded.
        n: rows the metric rests on.
        limit: the number in the policy.
        floor, ceiling: where that wants the value to be, ends included; None where it is free.
        p_harm: p-value of the claim that the limit is broken: the smallest alpha whose bound is outside it. 1 stands
            for anything above one half; None if nothing was tested.
        method: how the bounds were made.
        rows_needed: roughly, rows of the slice (of both groups of a gap) that would decide if the value held; None
            if decided, or if no number can be said.
        evidence: digest of the tally or serving profile; None if there was none.
    """

    gate: str
    metric: str
    slice: str
    groups: tuple[str, ...] = ()
    form: Literal["limit", "champion", "gap"]
    verdict: NamedVerdict
    reason: str
    value: float | None
    lower: float | None
    upper: float | None
    n: int
    limit: float
    floor: float | None = None
    ceiling: float | None = None
    alpha: float
    p_harm: float | None
    method: str
    rows_needed: int | None
    evidence: str | None


class Omission(_Value):
    """A gate that the policy allows not to be judged, and why. It is not a pass."""

    gate: str
    reason: str


class Judged(_Value):
    """All judgements about one candidate.

    Attributes:
        family: the number of claims of harm that Holm's correction covers: one per judgement, one per pair of a gap.
        alpha: the policy's error budget.
    """

    judgements: tuple[Judgement, ...]
    omitted: tuple[Omission, ...] = ()
    family: int
    alpha: float

    @property
    def verdict(self) -> Verdict:
        """The worst verdict; ERROR if nothing was judged."""
        return worst_of(j.verdict for j in self.judgements)
