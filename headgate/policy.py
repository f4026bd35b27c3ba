"""The policy: what must hold before a model is released, and what happens if it does not.

One TOML file per model, `expectations/<model>/policy.toml`, parsed into one frozen and strict model. Nothing is
optional by accident: an unknown key is an error, and all problems are reported together, each with its place in the
file, what was got and what is expected.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, field_serializer, model_validator

from headgate.canonical import canonical, digest_of

MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""What a model, a stage's alias and a role may be called. MLflow itself accepts newlines, NUL and `name@alias`."""

RESERVED_ALIAS = re.compile(r"latest|v\d+", re.IGNORECASE)

Metric = Literal[
    "accuracy",
    "true_positive_rate",
    "false_positive_rate",
    "selection_rate",
    "roc_auc",
    "log_loss",
    "brier_score",
    "expected_calibration_error",
    "latency_p99_ms",
    "peak_memory_mib",
]
RESOURCES = ("latency_p99_ms", "peak_memory_mib")
HIGHER_IS_BETTER = ("accuracy", "true_positive_rate", "roc_auc")
LOWER_IS_BETTER = ("false_positive_rate", "log_loss", "brier_score", "expected_calibration_error", *RESOURCES)
"""Of the selection rate neither is true."""

SITUATIONS = ("data_refused", "gate_failed", "gate_undecided", "gate_error", "rejected")
"""The halts that a playbook must have an answer to."""


def _plain_name(name: str) -> str:
    if not MODEL_NAME.fullmatch(name):
        raise ValueError(f"a name matches {MODEL_NAME.pattern}")
    return name


def _plain_alias(alias: str) -> str:
    if RESERVED_ALIAS.fullmatch(alias) or "." in alias:
        raise ValueError("MLflow reserves 'latest' and 'v<number>' and refuses dots: choose another alias")
    return alias


Name = Annotated[str, AfterValidator(_plain_name)]
Alias = Annotated[str, AfterValidator(_plain_name), AfterValidator(_plain_alias)]
Share = Annotated[float, Field(ge=0, le=1)]
Text = Annotated[str, Field(min_length=1)]
Slice = Text | Annotated[tuple[Text, ...], Field(min_length=1)]
Slices = Annotated[tuple[Slice, ...], Field(min_length=1)]


class Part(BaseModel):
    """Base of every part of the policy: frozen, strict, no unknown keys, no NaN and no infinity."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class About(Part):
    """Who the model is for: the head of its card.

    Headgate's first form decides binary classifiers; the other tasks are refused, not half-supported.
    """

    name: Name
    task: Literal["binary"]
    owner: Text
    tier: Literal["low", "medium", "high"]
    purpose: Text
    not_for: tuple[Text, ...] = ()


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
        label: the column of outcomes, 0 or 1.
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
    id: Text
    time: str | None = None
    exclude: tuple[str, ...] = ()
    slices: Slices
    bands: dict[str, Band] = {}
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
    """

    estimator: str | None = None
    entrypoint: str | None = None
    params: dict[str, bool | int | float | str] = {}
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    trusted_types: tuple[str, ...] = ()
    unsafe_pickle: bool = False

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


class Gate(Part):
    """One requirement. It has exactly one form:

    - a limit: `min` or `max`;
    - against the champion, paired on the same rows: `against = "champion"` and `max_decrease` or `max_increase`
      (the non-inferiority margin, absolute);
    - a gap: `gap_across` (each column, all pairs of its groups) and `max`.

    Attributes:
        slices: where it must hold: absent for all rows, `"each"` for every slice of `[data]`, or a list of slices.
        without_champion: what a comparison means for a model's first release. `"error"` (default) refuses;
            `"omit"` records that the gate was not judged because nothing was live yet.
        why: the reason a reviewer should read; owner: who answers when it fails; playbook: which steps come next.
    """

    metric: Metric
    name: Name | None = None
    min: float | None = None
    max: float | None = None
    against: Literal["champion"] | None = None
    max_decrease: Annotated[float, Field(ge=0)] | None = None
    max_increase: Annotated[float, Field(ge=0)] | None = None
    gap_across: Slices = ()
    slices: Literal["each"] | Slices | None = None
    without_champion: Literal["error", "omit"] = "error"
    why: str = ""
    owner: str | None = None
    playbook: Name | None = None

    @property
    def form(self) -> Literal["limit", "champion", "gap"]:
        """Which of the three forms the gate has."""
        if self.against is not None:
            return "champion"
        return "gap" if self.gap_across else "limit"

    @property
    def label(self) -> str:
        """The gate's name, or one made of its metric and form; unique within a policy."""
        if self.name is not None:
            return self.name
        form = {"champion": "-against-champion", "gap": "-gap", "limit": ""}[self.form]
        return self.metric.replace("_", "-") + form

    @model_validator(mode="after")
    def _one_form(self) -> Gate:
        given = {k for k in ("min", "max", "max_decrease", "max_increase") if getattr(self, k) is not None}
        allowed = {"limit": {"min", "max"}, "champion": {"max_decrease", "max_increase"}, "gap": {"max"}}[self.form]
        if len(given) != 1 or not given <= allowed:
            raise ValueError(
                f"a gate of form '{self.form}' needs exactly one of {sorted(allowed)}, got {sorted(given)}"
            )
        return self

    @model_validator(mode="after")
    def _whole_model_only(self) -> Gate:
        if self.metric in RESOURCES and (self.slices is not None or self.form != "limit"):
            raise ValueError(f"{self.metric} belongs to the whole model: give a limit and no slices")
        if self.form == "gap" and self.slices is not None:
            raise ValueError("a gap names its groups in gap_across: leave slices out")
        return self


class Serving(Part):
    """How latency and memory are measured: `requests` single-row predictions after `warmup`, in a fresh process."""

    requests: Annotated[int, Field(ge=300, le=1_000_000)] = 400
    warmup: Annotated[int, Field(ge=0)] = 20
    timeout_seconds: Annotated[float, Field(gt=0)] = 300


class Approval(Part):
    """Who must agree: the quorum per role. People and keys stand in `allowed_signers` beside the policy."""

    roles: Annotated[dict[Name, Annotated[int, Field(ge=1, le=20)]], Field(min_length=1)]
    expires_hours: Annotated[float, Field(gt=0, le=8784)] = 72


class Stage(Part):
    """One step of the rollout. Only the alias of the last stage is moved so far; see ARCHITECTURE.md."""

    name: Name
    alias: Alias
    audience: dict[str, tuple[str, ...]] = {}
    share: Share = 1.0
    soak_minutes: Annotated[float, Field(ge=0)] = 0
    min_requests: Annotated[int, Field(ge=0)] = 0
    needs: tuple[Name, ...] = ()


class Rollout(Part):
    """The stages in order; the last one's alias is what the world is served."""

    stage: Annotated[tuple[Stage, ...], Field(min_length=1)]


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
    gate: Annotated[tuple[Gate, ...], Field(min_length=1)]
    serving: Serving = Serving()
    approval: Approval
    rollout: Rollout
    renewal: Renewal
    playbook: dict[Name, Annotated[tuple[Text, ...], Field(min_length=1)]]

    @property
    def alias(self) -> str:
        """The alias that a full release moves: the last stage's."""
        return self.rollout.stage[-1].alias

    @property
    def digest(self) -> str:
        """The digest of the policy's content, whatever its comments and layout."""
        return digest_of(canonical(self.model_dump(mode="json")))
