"""Metrics: the names that a gate may demand something of, and what a demand on each can mean.

Which is better, and where the values can lie at all: a limit outside of that is no demand.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

Task = Literal["binary", "multiclass", "regression", "scored"]
Better = Literal["higher", "lower", "neither"]
Criterion = Literal["demographic_parity", "equal_opportunity", "equalised_odds"]


@dataclass(frozen=True)
class Metric:
    """What can be gated.

    Attributes:
        better: which way is better; of a selection rate or a signed error, neither.
        low, high: the least and the greatest value there is.
    """

    name: str
    better: Better
    low: float = 0.0
    high: float = 1.0

    @property
    def width(self) -> float:
        """The largest difference of two values."""
        return self.high - self.low

    @property
    def signed(self) -> bool:
        """Whether a value may be negative, so that a share of it means nothing."""
        return self.low < 0


Metrics = Mapping[str, Metric]


def _table(*metrics: Metric) -> dict[str, Metric]:
    return {metric.name: metric for metric in metrics}


def _higher(*names: str) -> tuple[Metric, ...]:
    return tuple(Metric(name, "higher") for name in names)


def _lower(*names: str, high: float = 1.0) -> tuple[Metric, ...]:
    return tuple(Metric(name, "lower", high=high) for name in names)


_DECIDED = (
    *_higher("precision", "true_positive_rate", "true_negative_rate", "f1", "roc_auc", "average_precision"),
    *_lower("false_positive_rate", "false_negative_rate"),
    Metric("selection_rate", "neither"),
)
"""Of one class against the rest."""

BINARY: Metrics = _table(
    *_higher("accuracy", "balanced_accuracy"),
    *_DECIDED,
    *_lower("log_loss", high=math.inf),
    *_lower("brier_score", "expected_calibration_error"),
    Metric("calibration_in_the_large", "neither", -1.0, 1.0),
    Metric("calibration_slope", "neither", -math.inf, math.inf),
)

MULTICLASS: Metrics = _table(
    *_higher("accuracy", "balanced_accuracy", "macro_precision", "macro_f1", "macro_roc_auc"),
    *_lower("log_loss", high=math.inf),
    *_lower("brier_score", high=2.0),
    *_lower("expected_calibration_error"),
)

ONE_CLASS: Metrics = _table(*_DECIDED)
"""Of a multiclass task: the metrics that a gate with `class` may name."""

RESOURCES: Metrics = _table(
    *_lower("latency_p50_ms", "latency_p95_ms", "latency_p99_ms", "load_ms", high=math.inf),
    *_lower("peak_memory_mib", "model_size_mib", high=math.inf),
    Metric("throughput_rows_per_s", "higher", high=math.inf),
)
"""What serving is measured by. They belong to the whole model: no slices, no champion, no groups."""

CRITERIA: Mapping[Criterion, tuple[str, ...]] = {
    "demographic_parity": ("selection_rate",),
    "equal_opportunity": ("true_positive_rate",),
    "equalised_odds": ("true_positive_rate", "false_positive_rate"),
}
"""Fairness criteria and the metrics in which groups must agree.

Hardt, Price and Srebro, NeurIPS 2016; demographic parity as in Calders and Verwer, DMKD 21 (2010).
"""

FAILURE_SHARE = "failure_share"
"""Of a scenario's trials, the share that failed."""


def regression(width: float) -> Metrics:
    """The metrics of a regression whose labels and predictions lie in a range so wide."""
    return _table(
        *_lower("mean_absolute_error", "root_mean_squared_error", high=width),
        *_lower("absolute_error_p50", "absolute_error_p90", "absolute_error_p95", high=width),
        Metric("r2", "higher", low=-math.inf),
        Metric("bias", "neither", -width, width),
    )


def metrics_of(task: Task, *, width: float = math.inf, own: Iterable[Metric] = ()) -> Metrics:
    """Every metric that a gate without `class` may name.

    Args:
        width: of a regression: the width of the policy's range.
        own: the metrics that the policy declares, and the mean score of a scored task.
    """
    tables: dict[Task, Metrics] = {"binary": BINARY, "multiclass": MULTICLASS, "regression": regression(width)}
    return {**tables.get(task, {}), **_table(*own), **RESOURCES}


_SUMMED = ("residual", "mean_squared_error")
"""What a tally keeps for other metrics."""

TAKEN = frozenset(
    {*BINARY, *MULTICLASS, *regression(1.0), *RESOURCES, *CRITERIA, *_SUMMED, "mean_score", FAILURE_SHARE}
)
"""Names that a declared metric cannot have, whatever the task."""

UNDIRECTED = frozenset(m.name for m in (*BINARY.values(), *regression(1.0).values()) if m.better == "neither")
"""Metrics that may be held between a minimum and a maximum."""
