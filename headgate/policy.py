"""The policy: what must hold before a model is released, and what happens if it does not.

One TOML file per model, `expectations/<model>/policy.toml`, parsed into one frozen and strict model. Nothing is
optional by accident: an unknown key is an error, and all problems are reported together, each with its place in the
file, what was got and what is expected.
"""

from __future__ import annotations

import math
from datetime import date
from typing import Annotated, Literal

from pydantic import Field, JsonValue, field_serializer, model_validator

from headgate.canonical import canonical, digest_of
from headgate.exposure import Rollout
from headgate.gate import Gate
from headgate.metrics import ONE_CLASS, Better, Metric, Metrics, Task, metrics_of
from headgate.oversight import Escalation, Guard, Notify, Schedule
from headgate.part import Function, Name, Part, Range, Share, Slices, Text
from headgate.stewardship import Datasheet, Impact, Incidents, Monitoring

SITUATIONS = ("data_refused", "gate_failed", "gate_undecided", "gate_error", "rejected")
"""The halts that a playbook must have an answer to."""


class About(Part):
    """Who the model is for: the head of its card.

    Attributes:
        task: binary (a score in [0, 1] of the label 1), multiclass (a score per class), regression (a number) or scored
            (any number per row that a function of the policy makes).
        licence: of the model, as Hugging Face spells it (`apache-2.0`, `other`).
    """

    name: Name
    task: Task
    owner: Text
    tier: Literal["low", "medium", "high"]
    purpose: Text
    not_for: tuple[Text, ...] = ()
    licence: Annotated[Text | None, Field(exclude_if=lambda part: part is None)] = None


class Band(Part):
    """A slice column made from a number: `edges` cut `column` into [lo, hi) bands, open at both ends."""

    column: Text
    edges: Annotated[tuple[float, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _ascending(self) -> Band:
        if list(self.edges) != sorted(set(self.edges)):
            raise ValueError("edges must ascend without repetition")
        return self


class Data(Part):
    """Where the rows are, what their columns mean, and what the data gate demands of them.

    Attributes:
        train, evaluate: CSV or Parquet files; a relative path is resolved against the model's folder.
        label: the column of outcomes: 0 or 1; of a multiclass task the name of a class; of a regression a number.
        classes: of a multiclass task: the names of its classes as text, in the order of the model's scores.
        range: of a regression: every label and prediction must lie in it, ends included.
        id: the column that names a row's subject; it must be unique and must not be shared by the two tables.
        exclude: columns that are never features (an incumbent's score, an outcome known too late).
        slices: columns, and tuples of columns for intersections, over which everything is tallied.
        bands: slice columns made from numbers.
        training_suite, evaluation_suite: Great Expectations suites, in the model's folder.
        min_rows: the smallest table that may be used at all.
        min_slice_rows: a group with fewer evaluation rows is INCONCLUSIVE, never dropped.
        max_single_column_auc: a column that alone ranks the label better than this is taken for a leak.
        max_copied_rows: by how much the share of evaluation rows whose content stands in the training table may exceed
            the share of training rows with a twin among themselves, which is what independent rows would show.
    """

    train: Text
    evaluate: Text
    label: Text
    classes: Annotated[tuple[Text, ...], Field(min_length=2, max_length=50)] | None = None
    range: Range | None = None
    id: Text
    time: str | None = None
    exclude: tuple[str, ...] = ()
    slices: Slices
    bands: dict[str, Band] = Field(default={})
    training_suite: Text = "training.json"
    evaluation_suite: Text = "evaluation.json"
    min_rows: Annotated[int, Field(ge=1)] = 1000
    min_slice_rows: Annotated[int, Field(ge=30)] = 100
    max_single_column_auc: Annotated[float, Field(gt=0.5, le=1)] = 0.98
    max_copied_rows: Share = 0.01


class Train(Part):
    """How a candidate is fitted: a scikit-learn estimator behind the standard encoding, or a function of your own.

    Attributes:
        estimator: dotted path of a class with `fit` and `predict_proba`.
        entrypoint: `package.module:function`, called as `function(frame, labels, params, seed)`; returns a fitted
            model.
        trusted_types: classes, beside those of scikit-learn, that may be made when the model is loaded.
        unsafe_pickle: allow a format that executes code at load, for estimators that skops cannot store.
        owner: the person who answers for how the model is trained, and therefore cannot approve it.
    """

    estimator: str | None = None
    entrypoint: str | None = None
    params: dict[str, bool | int | float | str] = Field(default={})
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    trusted_types: tuple[str, ...] = ()
    unsafe_pickle: bool = False
    owner: Annotated[str | None, Field(exclude_if=lambda part: part is None)] = None

    @model_validator(mode="after")
    def _one_of(self) -> Train:
        if (self.estimator is None) == (self.entrypoint is None):
            raise ValueError("give exactly one of estimator and entrypoint")
        return self

    @field_serializer("params", when_used="json")
    def _typed(self, params: dict[str, bool | int | float | str]) -> dict[str, JsonValue]:
        # Canonical JSON spells 1.0 as 1, but to scikit-learn `max_features` 1 is one column and 1.0 is all of them.
        return {name: {"float": repr(x)} if isinstance(x, float) else x for name, x in params.items()}


class Confidence(Part):
    """The error budget: the chance of promoting a model that breaks any gate is at most `alpha`."""

    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05


class Score(Part):
    """Of a scored task: a number per row, whose mean is the metric `mean_score`.

    Attributes:
        function: `package.module:function`, called with rows and predictions.
        range: where every score lies; a row with a score outside is invalid.
        better: whether a higher or a lower score is better.
    """

    function: Function
    range: Range
    better: Literal["higher", "lower"]

    @property
    def metric(self) -> Metric:
        """What a gate can demand."""
        return Metric("mean_score", self.better, *self.range)


class Custom(Score):
    """A metric of one's own: the mean of a number per row."""

    name: Name

    @property
    def metric(self) -> Metric:
        """What a gate can demand."""
        return Metric(self.name, self.better, *self.range)


class Serving(Part):
    """How latency and memory are measured: `requests` single-row predictions after `warmup`, in a fresh process."""

    requests: Annotated[int, Field(ge=300, le=1_000_000)] = 400
    warmup: Annotated[int, Field(ge=0)] = 20
    timeout_seconds: Annotated[float, Field(gt=0)] = 300


class Approval(Part):
    """Who must agree: the quorum per role. People and keys stand in `allowed_signers` beside the policy.

    Attributes:
        expires_hours: when the wait ends. What is not approved then is halted.
        remind_hours: how long after the request those who owe an answer are reminded.
        escalation: who may answer instead of whom, and when.
        ui_click: roles that may agree by a click in the Prefect UI, without a signature: their names are believed, and
            the card says so.
    """

    roles: Annotated[dict[Name, Annotated[int, Field(ge=1, le=20)]], Field(min_length=1)]
    expires_hours: Annotated[float, Field(gt=0, le=8784)] = 72
    # Left out where they are absent, like the parts below.
    remind_hours: Annotated[tuple[float, ...], Field(exclude_if=lambda part: part == ())] = ()
    escalation: Annotated[tuple[Escalation, ...], Field(exclude_if=lambda part: part == ())] = ()
    ui_click: Annotated[tuple[Name, ...], Field(exclude_if=lambda part: part == ())] = ()

    @model_validator(mode="after")
    def _in_time(self) -> Approval:
        late = [h for h in (*self.remind_hours, *(e.after_hours for e in self.escalation)) if h >= self.expires_hours]
        if late:
            raise ValueError(f"after {late[0]:g} hours nothing is waited for: expires_hours is {self.expires_hours:g}")
        asked = [e.role for e in self.escalation]
        if len(set(asked)) < len(asked) or not set(asked) <= set(self.roles):
            raise ValueError("each of the roles has at most one escalation, and no other role has one")
        if not set(self.ui_click) <= set(self.roles):
            raise ValueError(f"ui_click names roles that are not asked: {sorted(set(self.ui_click) - set(self.roles))}")
        if list(self.remind_hours) != sorted(set(self.remind_hours)) or min(self.remind_hours, default=1) <= 0:
            raise ValueError("remind_hours are positive and ascend without repetition")
        return self


class Waivers(Part):
    """Which gates people may except from their verdict. Without this part, none.

    Attributes:
        roles: how many people sign in each role, at least two together.
        max_days: the latest last day of a waiver, counted from the day of its text.
        gates: the labels of the gates that may be waived. The data gate never may, nor what could not be measured.
    """

    roles: Annotated[dict[Name, Annotated[int, Field(ge=1, le=20)]], Field(min_length=1)]
    max_days: Annotated[int, Field(ge=1, le=365)]
    gates: tuple[Text, ...] = ()

    @model_validator(mode="after")
    def _two_people(self) -> Waivers:
        if sum(self.roles.values()) < 2:
            raise ValueError("nobody waives a gate alone: ask for at least two people")
        return self


class Retention(Part):
    """How long evidence cannot be deleted, where its bucket has Object Lock; a folder, or another bucket, ignores it.

    Attributes:
        retention_days: counted from each writing of the same bytes. mode: `governance` can be lifted by those who have
            the permission for it, `compliance` by nobody before its day.
    """

    retention_days: Annotated[int, Field(ge=1, le=36_500)]
    mode: Literal["governance", "compliance"] = "governance"


class Renewal(Part):
    """How long a release stays certified, and when the policy itself must be reviewed."""

    certify_days: Annotated[int, Field(ge=1)]
    review_by: date


class Policy(Part):
    """Everything that must hold, in one value."""

    model: About
    data: Data
    train: Train
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5
    confidence: Confidence = Confidence()
    score: Score | None = None
    metric: tuple[Custom, ...] = ()
    gate: Annotated[tuple[Gate, ...], Field(min_length=1)]
    serving: Serving = Serving()
    approval: Approval
    # Left out where they are absent: a policy without them keeps the digest that it had before there were any.
    waivers: Annotated[Waivers | None, Field(exclude_if=lambda part: part is None)] = None
    evidence: Annotated[Retention | None, Field(exclude_if=lambda part: part is None)] = None
    guard: Annotated[Guard, Field(exclude_if=lambda part: part == Guard())] = Guard()
    schedule: Annotated[Schedule | None, Field(exclude_if=lambda part: part is None)] = None
    notify: Annotated[tuple[Notify, ...], Field(exclude_if=lambda part: part == ())] = ()
    datasheet: Annotated[Datasheet, Field(exclude_if=lambda part: part == {})] = Field(default={})
    impact: Annotated[Impact | None, Field(exclude_if=lambda part: part is None)] = None
    monitoring: Annotated[Monitoring | None, Field(exclude_if=lambda part: part is None)] = None
    incidents: Annotated[Incidents | None, Field(exclude_if=lambda part: part is None)] = None
    rollout: Rollout
    renewal: Renewal
    playbook: dict[Name, Annotated[tuple[Text, ...], Field(min_length=1)]]

    @property
    def metrics(self) -> Metrics:
        """Every metric that a gate without `class` may name, with its better side and its range."""
        return known_metrics(self.model, self.data, self.score, self.metric)

    def better(self, metric: str) -> Better:
        """Which way a metric is better; of one class against the rest, `name@class`."""
        name, _, of_class = metric.partition("@")
        return (ONE_CLASS if of_class else self.metrics)[name].better

    @property
    def scenarios(self) -> str | None:
        """The file of scenarios that a gate names, in the model's folder; None if no gate does."""
        return next((gate.scenarios for gate in self.gate if gate.scenarios is not None), None)

    @property
    def alias(self) -> str:
        """The alias that a full release moves: the last stage's."""
        return self.rollout.stage[-1].alias

    @property
    def digest(self) -> str:
        """The digest of the policy's content, whatever its comments and layout."""
        return digest_of(canonical(self.model_dump(mode="json")))


def known_metrics(about: About, data: Data, score: Score | None, own: tuple[Custom, ...]) -> Metrics:
    """The metrics of a policy, from the parts that determine them."""
    width = data.range[1] - data.range[0] if data.range else math.inf
    declared = [*([score] if score else []), *own]
    return metrics_of(about.task, width=width, own=[part.metric for part in declared])
