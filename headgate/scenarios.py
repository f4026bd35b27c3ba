"""The scenarios: what a model must do with rows that are written, altered or attacked, beside those it is measured on.

One TOML file per model, `expectations/<model>/scenarios.toml`, read by `headgate.scenario_file`. Four kinds of
scenario: a case is one written row and what must be said about it; a relation alters real rows in a way whose effect is
known (metamorphic testing: Chen, Cheung and Yiu, HKUST-CS98-01 (1998)); a corruption alters them as accidents do; an
attack searches for a small change that turns a decision. All but cases ask a random sample of rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, model_validator

from headgate.canonical import canonical, digest_of
from headgate.part import Name, Part, Share, Text

MAX_CASES = 1000
MAX_OTHERS = 100
MAX_ROWS = 100_000
MAX_REFUSING_ROWS = 500
MAX_ALTERNATIVES = 50
MAX_PREDICTIONS = 10_000_000
"""The most altered rows that one scenario may ask a model about."""

Scalar = bool | int | float | Text
Scalars = Annotated[tuple[Scalar, ...], Field(min_length=1, max_length=MAX_ALTERNATIVES)]
Columns = Annotated[tuple[Text, ...], Field(min_length=1, max_length=1000)]
Amount = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Decision = Annotated[int, Field(ge=0, le=1)]
Demand = Annotated[float, Field(ge=0, lt=1)]


class Within(Part):
    """A condition on a value that must be present: at least `min`, at most `max`, or only present."""

    min: float | None = None
    max: float | None = None
    present: Literal[True] | None = None

    @model_validator(mode="after")
    def _a_condition(self) -> Within:
        if self.min is None and self.max is None and self.present is None:
            raise ValueError("give min, max or present = true")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}")
        return self


Where = dict[Text, Scalar | Scalars | Within]
"""Which rows: per column the value, one of several values, or a range; all must hold. A missing value meets none."""


class Scenario(Part):
    """What every scenario has: a name, why it matters, and who asked for it."""

    name: Name
    why: Text
    asked_by: Text


class Expect(Part):
    """What must be said about a case: a decision, a range of the score, or a score less than another case's."""

    decision: Decision | None = None
    min: float | None = None
    max: float | None = None
    less_than: Name | None = None

    @model_validator(mode="after")
    def _one_form(self) -> Expect:
        forms = (self.decision is not None, self.min is not None or self.max is not None, self.less_than is not None)
        if sum(forms) != 1:
            raise ValueError("give exactly one of: decision; min, max or both; less_than")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}")
        return self


class Case(Scenario):
    """One written row.

    Attributes:
        like: another case whose inputs this one begins with.
        inputs: the value of each feature; beside `like` only those that differ.
    """

    like: Name | None = None
    inputs: dict[Text, Scalar] = Field(default_factory=dict)
    expect: Expect


class Sampled(Scenario):
    """A scenario that asks a random sample of the evaluation rows.

    Attributes:
        rows: how many are drawn, without repetition; all, if there are fewer.
        where: only rows that meet this.
        max_share: the largest share of failures among them that is allowed.
    """

    rows: Annotated[int, Field(ge=1, le=MAX_ROWS)]
    where: Where = Field(default_factory=dict)
    max_share: Share


class Monotone(Sampled):
    """If `column` rises by `step`, the score may go the wrong way by at most `tolerance`."""

    kind: Literal["monotone"]
    column: Text
    direction: Literal["rising", "falling"]
    step: Positive
    tolerance: Amount
    max_share: Demand


class Invariant(Sampled):
    """The score must not move by more than `tolerance` if `columns` take the values of another row, all together."""

    kind: Literal["invariant"]
    columns: Columns
    tolerance: Amount
    max_share: Demand


class Counterfactual(Sampled):
    """The decision must not change, whichever other of its values `column` takes.

    Attributes:
        values: those to try; if absent, all that the table has.
        tolerance: if given, the score must not move by more than this, whatever the decision.
    """

    kind: Literal["counterfactual"]
    column: Text
    values: Annotated[tuple[Scalar, ...], Field(min_length=2, max_length=MAX_ALTERNATIVES)] | None = None
    tolerance: Amount | None = None
    max_share: Demand


class Corruption(Sampled):
    """An accident with `columns`: there must be an answer for every row, and few decisions may change.

    Attributes:
        tolerance: if given, what counts as a change is a score that moves by more than this.
        may_refuse: whether a ValueError or TypeError is as good as an unchanged answer. Any other exception, and a
            score that is no number, is always an error.
        max_share: 1 demands only that there is an answer.
    """

    columns: Columns
    tolerance: Amount | None = None
    may_refuse: bool = False

    @model_validator(mode="after")
    def _affordable(self) -> Corruption:
        if self.may_refuse and self.rows > MAX_REFUSING_ROWS:
            raise ValueError(f"each refused row is asked alone: with may_refuse at most {MAX_REFUSING_ROWS:,} rows")
        return self


class Noise(Corruption):
    """Normal noise on each column, of `sd` times its standard deviation in the table; whole numbers stay whole."""

    kind: Literal["noise"]
    sd: Positive


class Missing(Corruption):
    """Each row loses this share of the columns, at least one, which ones is random."""

    kind: Literal["missing"]
    share: Annotated[float, Field(gt=0, le=1)]


class UnseenCategory(Corruption):
    """Each column takes a value that the table does not have; for codes, say which."""

    kind: Literal["unseen_category"]
    value: int | Text = "a value never seen before"


class OutOfRange(Corruption):
    """Each column leaves its range in the table, up or down at random, by `factor` times the range's width."""

    kind: Literal["out_of_range"]
    factor: Positive


class UnitMistake(Corruption):
    """Each column is multiplied by `factor`, as where inches are taken for centimetres (2.54)."""

    kind: Literal["unit_mistake"]
    factor: Positive


class Attack(Sampled):
    """A search, per row, for the smallest allowed change that turns the decision.

    Attributes:
        budget: per column that may change, by how much at most, or into which values.
        max_queries: how many altered forms of a row may be asked about.
        decision: attack only rows with this decision.
        right: attack only rows whose decision is their label.
        tolerance: if given, the aim is a score that moves by more than this, whatever the decision.
    """

    budget: Annotated[dict[Text, Positive | Scalars], Field(min_length=1, max_length=MAX_ALTERNATIVES)]
    max_queries: Annotated[int, Field(ge=1, le=10_000)]
    decision: Decision | None = None
    right: bool = False
    tolerance: Amount | None = None
    max_share: Demand

    @model_validator(mode="after")
    def _affordable(self) -> Attack:
        if self.rows * self.max_queries > MAX_PREDICTIONS:
            raise ValueError(f"rows times max_queries is {self.rows * self.max_queries:,}; at most {MAX_PREDICTIONS:,}")
        return self


Relation = Monotone | Invariant | Counterfactual
Accident = Noise | Missing | UnseenCategory | OutOfRange | UnitMistake
Others = Field(max_length=MAX_OTHERS)


class Scenarios(Part):
    """Everything that the file asks, in one value."""

    case: Annotated[tuple[Case, ...], Field(max_length=MAX_CASES)] = ()
    relation: Annotated[tuple[Annotated[Relation, Field(discriminator="kind")], ...], Others] = ()
    corruption: Annotated[tuple[Annotated[Accident, Field(discriminator="kind")], ...], Others] = ()
    attack: Annotated[tuple[Attack, ...], Others] = ()

    @property
    def digest(self) -> str:
        """The digest of the content, whatever the comments and the layout."""
        return digest_of(canonical(self.model_dump(mode="json")))

    def sampled(self) -> Iterator[tuple[str, Relation | Accident | Attack]]:
        """All that is asked of real rows, each with its path in the file."""
        for table in ("relation", "corruption", "attack"):
            yield from ((f"{table}[{i}] ({item.name})", item) for i, item in enumerate(getattr(self, table)))

    def inputs(self, case: Case) -> dict[str, Scalar]:
        """The whole row of a case: its own inputs over those of the case it is like.

        Raises:
            KeyError: it is like a case that does not exist.
            RecursionError: it is like itself.
        """
        chain: list[Case] = [case]
        named = {c.name: c for c in self.case}
        while (like := chain[-1].like) is not None:
            if len(chain) > len(named):
                raise RecursionError(case.name)
            chain.append(named[like])
        return {column: value for each in reversed(chain) for column, value in each.inputs.items()}
