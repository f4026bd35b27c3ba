"""Columns: what pandas holds, as plain arrays, and what a label column says for its task."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from headgate import outcomes, rows
from headgate.finding import Finding, Table
from headgate.metrics import Task
from headgate.policy import Data

if TYPE_CHECKING:
    import pandas as pd


def kind_of(column: pd.Series) -> str:
    """Number, time or text, whatever the width, the nullability or the categorical encoding."""
    from pandas.api import types

    dtype = column.cat.categories.dtype if column.dtype == "category" else column.dtype
    if types.is_numeric_dtype(dtype):
        return "number"
    return "time" if types.is_datetime64_any_dtype(dtype) else "text"


def values_of(column: pd.Series) -> rows.Floats | None:
    """Numbers as they are, times in seconds since 1970, NaN where missing; None for text."""
    import pandas as pd

    kind = kind_of(column)
    if kind == "time":
        since = pd.to_datetime(column, utc=True) - pd.Timestamp(0, tz="UTC")
        return np.asarray(since.dt.total_seconds(), dtype=np.float64)
    return np.asarray(column.astype("Float64").to_numpy("float64", np.nan)) if kind == "number" else None


def _labels(column: pd.Series) -> rows.Floats:
    """The label's values; text is no label, so every text counts as neither 0 nor 1."""
    values = values_of(column)
    return np.where(column.isna(), np.nan, np.inf) if values is None else values


def texts_of(column: pd.Series) -> list[str | None]:
    """Every label as text, None if it is missing: what a class of the policy is compared with."""
    missing = column.isna().tolist()
    return [None if gone else str(value) for value, gone in zip(column.tolist(), missing, strict=True)]


def label_finding(column: pd.Series, data: Data, task: Task, table: Table) -> Finding:
    """Whether the labels are what the task needs."""
    if task == "multiclass":
        return outcomes.one_of(texts_of(column), data.classes or (), data.label, table)
    if task == "regression":
        return outcomes.in_range(_labels(column), data.range or (0.0, 0.0), data.label, table)
    return outcomes.zero_or_one(_labels(column), data.label, table)


def marks_of(column: pd.Series, data: Data, task: Task) -> list[rows.Mask]:
    """The labels as yes and no: 1, each of the classes, above the median."""
    if task == "multiclass":
        texts = np.array(texts_of(column), dtype=object)
        return [texts == name for name in data.classes or ()]
    labels = _labels(column)
    return [labels > np.median(labels)] if task == "regression" else [labels == 1]
