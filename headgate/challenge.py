"""Challenges: what came of a model's scenarios, as values that go into the evidence.

A result counts; it holds no row. Failed rows are named by their position in the evaluation snapshot, which says
something only to who has the snapshot: a hash of an id would not hide it, because ids are few enough to hash them all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field, model_validator

from headgate.bounds import Sides, proportion
from headgate.entry import Digest
from headgate.estimate import Estimate, Unmeasurable
from headgate.markdown import table
from headgate.value import Document, Value

SHOWN = 10
"""How many failed rows a result names."""

Kind = Literal[
    "case",
    "monotone",
    "invariant",
    "counterfactual",
    "noise",
    "missing",
    "unseen_category",
    "out_of_range",
    "unit_mistake",
    "attack",
]
Count = Annotated[int, Field(ge=0)]
Positions = Annotated[tuple[Count, ...], Field(max_length=SHOWN)]
Size = Annotated[float, Field(ge=0)]


class Search(Value):
    """What an attack cost and how small the changes were that it found.

    Attributes:
        queries: altered rows that the model was asked about.
        exact: whether every allowed form was asked about, so that a row without a hit has none.
        smallest: minimum, quartiles and maximum of the smallest change per turned row, each the sum over its columns of
            the share of the budget; empty if none turned.
    """

    queries: Count
    exact: bool
    smallest: Annotated[tuple[Size, ...], Field(max_length=5)] = ()


class Result(Value):
    """What came of one scenario.

    Attributes:
        trials: rows that were altered and answered (or refused, where that is allowed); for a case, 1.
        failures: those among them that did not do what was demanded.
        errors: rows without an answer (an exception, NaN, a score outside its scale) or that could not be altered.
        unaltered: rows that the alteration left as they were, as noise that rounds to nothing; no trials.
        refused: trials that ended in an allowed refusal.
        allowed: the largest share of failures that is allowed.
        examples: positions of failed rows in the evaluation snapshot, the first ten.
        stuck: the same for errors.
        found: what was found, in a sentence.
        search: of an attack, what it took.
    """

    name: str
    kind: Kind
    why: str
    asked_by: str
    trials: Count
    failures: Count
    errors: Count
    allowed: Annotated[float, Field(ge=0, le=1)]
    examples: Positions = ()
    unaltered: Count = 0
    refused: Count = 0
    stuck: Positions = ()
    found: str = ""
    search: Search | None = None

    @model_validator(mode="after")
    def _adds_up(self) -> Result:
        if self.failures + self.refused > self.trials:
            raise ValueError(f"{self.failures} failures and {self.refused} refusals in {self.trials} trials")
        if len(self.examples) > self.failures or len(self.stuck) > self.errors:
            raise ValueError("more examples than failures or errors")
        if (self.kind == "attack") != (self.search is not None):
            raise ValueError("an attack, and nothing else, has a search")
        return self

    @property
    def limit(self) -> float:
        """The most failures allowed, as a share of the trials."""
        return self.allowed

    def estimate(self) -> Estimate | Unmeasurable:
        """The share of failures.

        Rows are a sample: Clopper-Pearson bounds. A case is all there is of itself: its bounds are the value.
        """
        if self.errors:
            return Unmeasurable(f"{self.name}: {self.errors:,} of {self._tried:,} rows gave no answer{self._hint}")
        if not self.trials:
            return Unmeasurable(f"{self.name}: none of {self._tried:,} rows was put to the test{self._hint}")
        k, n = self.failures, self.trials
        if self.kind == "case":
            return Estimate(k / n, n, n, "every named case was asked, no interval", lambda a: _exactly(k / n, a))
        return Estimate(k / n, n, n, "Clopper-Pearson", lambda alpha: proportion(k, n, alpha))

    @property
    def _tried(self) -> int:
        return self.trials + self.errors + self.unaltered

    @property
    def _hint(self) -> str:
        return f" ({self.found})" if self.found else ""


def _exactly(value: float, alpha: ArrayLike) -> Sides:
    return np.full(np.shape(alpha), value), np.full(np.shape(alpha), value)


class Challenges(Document):
    """All results of one model.

    Attributes:
        scenarios: the digest of what was asked (`Scenarios.digest`).
        seed: what all chance was made from.
        threshold: a score of at least this is the decision 1; None if the model makes no decisions.
        rows: rows of the evaluation table.
    """

    subject: ClassVar[str] = "the challenges"
    expected: ClassVar[str] = "results that add up"
    next_step: ClassVar[str] = "challenge the model again"

    scenarios: Digest
    seed: Count
    threshold: float | None
    rows: Count
    results: Annotated[tuple[Result, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _distinct(self) -> Challenges:
        if len({result.name for result in self.results}) < len(self.results):
            raise ValueError("two results have the same name")
        return self


_ACCIDENT = "noise, missing, unseen_category, out_of_range, unit_mistake: another answer, or none"
_FAILURES: Mapping[Kind, str] = {
    "case": "case: not what is written",
    "monotone": "monotone: the score goes the wrong way, by more than is tolerated",
    "invariant": "invariant: the score moves with another row's values, by more than is tolerated",
    "counterfactual": "counterfactual: another answer for any other value of the column",
    **dict.fromkeys(("noise", "missing", "unseen_category", "out_of_range", "unit_mistake"), _ACCIDENT),
    "attack": "attack: an allowed change was found that turns the answer",
}
"""What counts as a failure, by kind of scenario. Another answer is another decision, or a score that moved by more than
the scenario tolerates."""


def page(challenges: Challenges, *, alpha: float = 0.05) -> str:
    """The results as a page in Markdown: a table of all, and in sentences what failed or could not be measured.

    Args:
        alpha: the error of each one-sided bound, in (0, 0.5].
    """
    kinds = dict.fromkeys(_FAILURES[r.kind] for r in challenges.results)
    meanings = "\n".join(f"- {meaning}" for meaning in kinds)
    header = ("name", "kind", "trials", "failures", "share", "limit", "why", "asked by")
    rows = [_row(r, alpha) for r in challenges.results]
    told = [(r.name, _told(r)) for r in challenges.results if r.failures or r.errors or r.search or r.refused]
    more = f"\n\n{table(('name', 'what was found'), told)}" if told else ""
    return (
        f"# What came of the scenarios\n\nShares of failures with one-sided bounds at {100 * (1 - alpha):.6g}% each; a "
        f"named case is asked as it stands and has none. Rows are named by their position in the evaluation snapshot, "
        f"from 0. A failure is:\n\n{meanings}\n\n{table(header, rows)}{more}\n"
    )


def _row(r: Result, alpha: float) -> tuple[str, ...]:
    share, limit = _share(r, alpha), f"{r.limit:.4g}"
    return r.name, r.kind, f"{r.trials:,}", f"{r.failures:,}", share, limit, r.why, r.asked_by


def _share(result: Result, alpha: float) -> str:
    estimate = result.estimate()
    if isinstance(estimate, Unmeasurable):
        return f"not measured: {result.errors:,} errors"
    if result.kind == "case":
        return f"{estimate.value:.4g}"
    return f"{estimate.value:.4g} ({estimate.lower(alpha):.4g} to {estimate.upper(alpha):.4g})"


def _told(result: Result) -> str:
    said = [result.found] if result.found else []
    said += [f"failed rows {_listed(result.examples, result.failures)}"] if result.examples else []
    said += [f"rows without an answer {_listed(result.stuck, result.errors)}"] if result.stuck else []
    said += [f"{result.refused:,} refused"] if result.refused else []
    return "; ".join(said + ([_searched(result.search)] if result.search else [])) or "failed"


def _listed(positions: Iterable[int], of: int) -> str:
    shown = tuple(positions)
    return ", ".join(map(str, shown)) + (f" and {of - len(shown):,} more" if of > len(shown) else "")


def _searched(search: Search) -> str:
    how = "every allowed change was tried" if search.exact else "a search that can miss changes"
    if not search.smallest:
        return f"{search.queries:,} queries, {how}; none turned a row"
    least, *_, most = search.smallest
    middle = search.smallest[len(search.smallest) // 2]
    return (
        f"{search.queries:,} queries, {how}; smallest changes found, in budgets: {least:.3g} to {most:.3g}, "
        f"median {middle:.3g}"
    )
