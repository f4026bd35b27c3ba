"""What the data gate found: one finding per check, and the report that combines them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from headgate.verdict import NamedVerdict, Verdict, worst_of

Severity = Literal["critical", "warning", "info"]
Table = Literal["training", "evaluation", "both"]


class Finding(BaseModel):
    """What one check found in one table.

    Attributes:
        check: the check's name; for Great Expectations the expectation's type.
        table: which table it looked at.
        verdict: what the check says.
        reason: the arithmetic, in one sentence; counts and bounds, never a row's values.
        column: the column it is about, None for the table as a whole.
        severity: only critical findings halt a release; the others are reported.
        rows: how many rows are concerned, None where that means nothing.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    check: Annotated[str, Field(min_length=1)]
    table: Table
    verdict: NamedVerdict
    reason: Annotated[str, Field(min_length=1)]
    column: str | None = None
    severity: Severity = "critical"
    rows: Annotated[int, Field(ge=0)] | None = None


class DataReport(BaseModel):
    """Everything the data gate found.

    Its verdict is the worst of the critical findings. Without one it is ERROR, because missing evidence is never a
    pass, whatever the warnings say.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    # JSON has lists only, so the tuple alone is read leniently.
    findings: Annotated[tuple[Finding, ...], Field(strict=False)]

    @property
    def verdict(self) -> Verdict:
        """The worst verdict among the critical findings, ERROR if there is none."""
        return worst_of(f.verdict for f in self.findings if f.severity == "critical")
