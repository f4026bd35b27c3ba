"""Judgements: what was decided about each gate, with its arithmetic, as values that go into the ledger."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from headgate.gate import Form
from headgate.verdict import NamedVerdict, Verdict, worst_of


class _Value(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Judgement(_Value):
    """One gate in one slice; for a gap or ratio, one gate across one slice's groups, and its worst pair.

    Attributes:
        gate: the gate's label in the policy.
        metric: what was measured, as the tally knows it; of a criterion of fairness, in the worst pair.
        slice: the label of the slice, the columns whose groups are compared, or the name of a scenario.
        groups: the worst pair of a gap or ratio, else empty.
        form: the gate's form, which says what `value` is: the metric; its difference to the champion; that difference
            as a share of the champion's value; a pair's difference; a pair's ratio; by how much the slice is worse than
            the other rows; or the share of trials that failed.
        value, lower, upper: the estimate and its one-sided bounds, each at `alpha`; None if unknown or unbounded.
        n: rows the metric rests on.
        limit: the number in the policy; of a minimum with a maximum, the maximum.
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
    form: Form
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


class Tested(_Value):
    """The claims of harm about one gate in one place.

    Attributes:
        metrics: each is claimed to break the limit.
        slice: as in the judgement.
        groups: those that are compared, all pairs of them; a ratio in both directions. Where the slice says `within`,
            only pairs that share that group. Empty for a single claim.
        claims: how many claims these are.
    """

    gate: str
    metrics: tuple[str, ...]
    slice: str
    groups: tuple[str, ...] = ()
    claims: int


class Judged(_Value):
    """All judgements about one candidate.

    Attributes:
        family: the number of claims of harm that Holm's correction covers: one per judgement, one per pair of a gap.
        tested: the family itself, in the order of the judgements.
        alpha: the policy's error budget.
    """

    judgements: tuple[Judgement, ...]
    omitted: tuple[Omission, ...] = ()
    family: int
    tested: tuple[Tested, ...] = ()
    alpha: float

    @property
    def verdict(self) -> Verdict:
        """The worst verdict; ERROR if nothing was judged."""
        return worst_of(j.verdict for j in self.judgements)
