"""Scheme: what is tallied of every slice, and the shapes of the numbers that hold it.

A tally says under which scheme it was counted, so that it can be read, checked and judged by itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

from headgate.errors import BadInput
from headgate.grid import BINS, CALIBRATION_BINS, COARSE_BINS
from headgate.metrics import Task
from headgate.policy import Policy
from headgate.slices import as_tuple

LOG_LOSS_SCALE = 64.0
"""A power of two above the largest log loss."""

ERROR_BINS = 2048
"""Bins of the absolute error of a regression, as a share of the range: see `errors.ERROR_EDGES`."""


Detail = Literal["scores", "decisions"]


@dataclass(frozen=True)
class Score:
    """A number per row and model whose mean is a metric; it lies in [low, high]."""

    name: str
    low: float
    high: float

    def scale(self, contrast: int) -> tuple[float, float]:
        """Start and unit, so that (number - start) / unit lies in [-1, 1]; of the contrast 2, for differences."""
        if contrast == 2:
            return 0.0, self.high - self.low
        signed = self.low == -self.high
        return (0.0, self.high) if signed else (self.low, self.high - self.low)


@dataclass(frozen=True)
class Scheme:
    """What is tallied.

    Attributes:
        task: binary (label 0 or 1, score in [0, 1]), multiclass (class number, probabilities per class), regression
            (two numbers in `span`) or scored (only `scores`).
        models: 2 if the champion scored the same rows, else 1; the candidate comes first.
        slices: tuples of columns; every tally also has all rows.
        threshold: of a binary task: the decision is 1 if score >= threshold.
        classes: of a multiclass task: the names, in the order of the class numbers.
        span: of a regression: the range that every label and prediction must lie in.
        scores: custom per-row scores.
        detail: of a binary task, "decisions" keeps the decisions alone: rates can be told, at a fraction of the cost.

    Raises:
        BadInput: parts that the task needs and does not have.
    """

    task: Task
    models: int
    slices: tuple[tuple[str, ...], ...] = ()
    threshold: float | None = None
    classes: tuple[str, ...] = ()
    span: tuple[float, float] | None = None
    scores: tuple[Score, ...] = ()
    detail: Detail = "scores"

    def __post_init__(self) -> None:
        """Demand what the task needs."""
        sound = {
            "binary": self.threshold is not None and 0 <= self.threshold <= 1,
            "multiclass": 2 <= len(self.classes) == len(set(self.classes)),
            "regression": self.span is not None and self.span[0] < self.span[1],
            "scored": bool(self.scores),
        }
        names = [score.name for score in self.means]
        whole = self.detail == "scores" or (self.detail == "decisions" and self.task == "binary" and not self.scores)
        if not (sound.get(self.task) and whole) or self.models not in (1, 2) or len(set(names)) < len(names):
            raise BadInput(
                "what is to be tallied",
                got=f"{self.to_plain()}",
                expected="a threshold, classes, a range or scores, as the task needs, and distinct names",
                next_step="correct [model], [data] or [[metric]] in the policy",
            )

    @cached_property
    def means(self) -> tuple[Score, ...]:
        """Every score whose mean is a metric: the task's own, then the custom ones."""
        width = self.span[1] - self.span[0] if self.span else 1.0
        own = {
            "binary": (Score("log_loss", 0, LOG_LOSS_SCALE), Score("brier_score", 0, 1)),
            "multiclass": (Score("log_loss", 0, LOG_LOSS_SCALE), Score("brier_score", 0, 2)),
            "regression": (
                Score("bias", -width, width),
                Score("mean_absolute_error", 0, width),
                Score("mean_squared_error", 0, width**2),
            ),
            "scored": (),
        }
        return (*own[self.task], *self.scores) if self.detail == "scores" else ()

    @property
    def contrasts(self) -> int:
        """Candidate, champion, and candidate minus champion; or the candidate alone."""
        return 2 * self.models - 1

    @cached_property
    def counts(self) -> Mapping[str, tuple[int, ...]]:
        """The integer counts kept of a slice, beside its rows: name -> shape."""
        models, k = self.models, len(self.classes)
        tables: dict[Task, dict[str, tuple[int, ...]]] = {
            "binary": {"cells": (2, 2, 2), "histogram": (models, 2, BINS), "joint": (2, COARSE_BINS, COARSE_BINS)},
            "multiclass": {
                "confusion": (k, k, k if models == 2 else 1),
                "histogram": (k, models, 2, BINS),
                "joint": (k, 2, COARSE_BINS, COARSE_BINS),
            },
            "regression": {"errors": (models, ERROR_BINS)},
            "scored": {},
        }
        kept = tables[self.task] if self.detail == "scores" else {"cells": tables["binary"]["cells"]}
        return {name: shape for name, shape in kept.items() if models == 2 or name != "joint"}

    @cached_property
    def sums(self) -> Mapping[str, tuple[int, ...]]:
        """The sums kept of a slice, in units of `grid.UNIT`: name -> shape.

        The last axis of `means` and `reliability` is x, x², x³.
        """
        if self.detail == "decisions":
            return {}
        kept: dict[str, tuple[int, ...]] = {"means": (len(self.means), self.contrasts, 3)}
        if self.task in ("binary", "multiclass"):
            kept["reliability"] = (self.models, CALIBRATION_BINS, 3)
        if self.task == "regression":
            kept["labels"] = (4 + 2 * self.models,)
        return kept

    @cached_property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Everything kept of a slice: name -> shape."""
        return {"rows": (), "invalid": (), **self.counts, **self.sums}

    @property
    def width(self) -> int:
        """How many numbers are kept of a slice."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    @classmethod
    def of(cls, policy: Policy, models: int) -> Scheme:
        """What a policy wants tallied.

        Args:
            models: 2 if the champion scores the same rows, else 1.
        """
        declared = [*([policy.score] if policy.score else []), *policy.metric]
        return cls(
            task=policy.model.task,
            models=models,
            slices=tuple(as_tuple(piece) for piece in policy.data.slices),
            threshold=policy.threshold if policy.model.task == "binary" else None,
            classes=policy.data.classes or (),
            span=policy.data.range,
            scores=tuple(Score(part.metric.name, *part.range) for part in declared),
        )

    def to_plain(self) -> dict[str, object]:
        """As JSON values."""
        return {
            "task": self.task,
            "models": self.models,
            "slices": [list(columns) for columns in self.slices],
            "threshold": self.threshold,
            "classes": list(self.classes),
            "range": None if self.span is None else list(self.span),
            "scores": [[s.name, s.low, s.high] for s in self.scores],
            "detail": self.detail,
        }

    @classmethod
    def from_plain(cls, plain: Any) -> Scheme:
        """The scheme that `to_plain` wrote.

        Raises:
            KeyError, TypeError, ValueError, BadInput: anything else.
        """
        low_high = plain["range"]
        if plain["task"] not in get_args(Task) or plain["detail"] not in get_args(Detail):
            raise ValueError(f"task {plain['task']}, detail {plain['detail']}")
        return cls(
            task=plain["task"],
            models=plain["models"],
            slices=tuple(tuple(columns) for columns in plain["slices"]),
            threshold=plain["threshold"],
            classes=tuple(plain["classes"]),
            span=None if low_high is None else (float(low_high[0]), float(low_high[1])),
            scores=tuple(Score(name, float(low), float(high)) for name, low, high in plain["scores"]),
            detail=plain["detail"],
        )
