"""Tallies of made-up rows, as the tests want them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from headgate.batch import Batch
from headgate.scheme import Scheme, Score
from headgate.slices import as_tuple, columns_from
from headgate.tally import Tally, count


def binary(
    labels: Any,
    scores: Any,
    table: Mapping[str, Any] | None = None,
    slices: Sequence[Any] | None = None,
    threshold: float = 0.5,
    champion: Any = None,
    own: Mapping[str, Any] | None = None,
) -> Tally:
    """The tally of a binary task; by default over every column of the table."""
    return _counted("binary", labels, (scores, champion), table, slices, own, threshold=threshold)


def multiclass(
    labels: Any,
    probabilities: Any,
    table: Mapping[str, Any] | None = None,
    slices: Sequence[Any] | None = None,
    classes: Sequence[str] = ("a", "b", "c"),
    champion: Any = None,
    own: Mapping[str, Any] | None = None,
) -> Tally:
    """The tally of a multiclass task, its labels as class numbers."""
    return _counted("multiclass", labels, (probabilities, champion), table, slices, own, classes=tuple(classes))


def regression(
    labels: Any,
    numbers: Any,
    table: Mapping[str, Any] | None = None,
    slices: Sequence[Any] | None = None,
    span: tuple[float, float] = (0.0, 100.0),
    champion: Any = None,
    own: Mapping[str, Any] | None = None,
) -> Tally:
    """The tally of a regression."""
    return _counted("regression", labels, (numbers, champion), table, slices, own, span=span)


def scored(
    own: Mapping[str, Any], table: Mapping[str, Any] | None = None, slices: Sequence[Any] | None = None
) -> Tally:
    """The tally of a scored task."""
    _, *each = next(iter(own.values()))
    nothing = np.zeros(len(each[0]))
    return _counted("scored", nothing, (nothing, nothing if len(each) == 2 else None), table, slices, own)


def _counted(task: Any, labels: Any, predictions: Any, table: Any, slices: Any, own: Any, **more: Any) -> Tally:
    """`own`: custom scores by name: the range, the candidate's numbers and, with a champion, its numbers."""
    table, own = table or {}, own or {}
    models = [each for each in predictions if each is not None]
    wanted = tuple(as_tuple(s) for s in (list(table) if slices is None else slices))
    kinds = tuple(Score(name, *ends) for name, (ends, *_) in own.items())
    scheme = Scheme(task, len(models), wanted, scores=kinds, **more)
    columns = columns_from({name: np.asarray(values, dtype=object).tolist() for name, values in table.items()})
    return count(scheme, Batch(labels, models, columns, {name: each for name, (_, *each) in own.items()}))
