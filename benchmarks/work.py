"""Work: one way to evaluate the rows, ready to be timed, and the figures that come of it under one spelling."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.table import key

Figures = Mapping[str, float]

RATES = ("accuracy", "true_positive_rate", "false_positive_rate", "selection_rate")


@dataclass(frozen=True)
class Work:
    """What is timed, and what is not.

    Attributes:
        run: from columns in memory to numbers; this is timed.
        figures: what `run` gave, as figures named by `table.key`; not timed.
        note: what the work is, where its name does not say it.
    """

    run: Callable[[], Any]
    figures: Callable[[Any], Figures]
    note: str = ""


def rates(tn: float, fp: float, fn: float, tp: float) -> dict[str, float]:
    """The four rates of a confusion matrix; NaN where there is nothing to take a share of."""
    n, positives, negatives = tn + fp + fn + tp, fn + tp, tn + fp
    values = (_share(tn + tp, n), _share(tp, positives), _share(fp, negatives), _share(fp + tp, n))
    return dict(zip(RATES, values, strict=True))


def _share(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")


def named(found: Mapping[str, float], label: str, who: str = "candidate") -> dict[str, float]:
    """The figures of one slice under the names that all sides share."""
    return {key(metric, label, who): float(value) for metric, value in found.items()}


def together(parts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """The figures of several slices as one."""
    return {name: value for part in parts for name, value in part.items()}
