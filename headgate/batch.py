"""Batch: some rows as columns, with what one or two models said about each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from headgate.errors import BadInput
from headgate.grid import Ints, Reals
from headgate.scheme import Scheme
from headgate.slices import Column


@dataclass(frozen=True, eq=False)
class Batch:
    """Some rows.

    Attributes:
        labels: shape (n,): 0 or 1, a class number, or a number, as the task has it. What is none of it makes the row
            invalid, and so does NaN. A scored task ignores it.
        predictions: per model, the candidate first: the score of label 1, shape (n,); probabilities per class, shape
            (n, classes); a number, shape (n,). Out of range or NaN makes the row invalid.
        columns: the groups of every column that a slice needs.
        scores: custom scores by name, per model, each of shape (n,).
    """

    labels: ArrayLike
    predictions: Sequence[ArrayLike]
    columns: Mapping[str, Column] = field(default_factory=dict)
    scores: Mapping[str, Sequence[ArrayLike]] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """The number of rows."""
        return len(np.asarray(self.labels))

    def taken(self, at: Ints | slice) -> Batch:
        """Some rows by their places, without the columns."""
        scores = {name: [np.asarray(s)[at] for s in each] for name, each in self.scores.items()}
        return Batch(np.asarray(self.labels)[at], [np.asarray(p)[at] for p in self.predictions], scores=scores)


def demanded(scheme: Scheme, batch: Batch) -> Batch:
    """The batch with what the scheme demands, as float64.

    Raises:
        BadInput: what is missing or too much, is not numbers, or has another shape.
    """
    labels, predictions, scores = arrays_of(scheme, batch)
    for name in dict.fromkeys(name for columns in scheme.slices for name in columns):
        _demand(f"rows of the slice column {name!r}", _rows_of(batch, name), len(labels))
    named = {kind.name: own for kind, own in zip(scheme.scores, scores, strict=True)}
    return Batch(labels, predictions, batch.columns, named)


def arrays_of(scheme: Scheme, batch: Batch) -> tuple[Reals, list[Reals], list[list[Reals]]]:
    """Labels, predictions per model, and custom scores per name and model, as float64 of one length.

    Raises:
        BadInput: what is missing or too much, is not numbers, or has another shape.
    """
    labels = _numbers(batch.labels, "labels", None, ())
    n, wide = len(labels), (len(scheme.classes),) if scheme.task == "multiclass" else ()
    _demand("models", len(batch.predictions), scheme.models)
    _demand("custom scores", sorted(batch.scores), sorted(score.name for score in scheme.scores))
    for name, given in batch.scores.items():
        _demand(f"models that gave '{name}'", len(given), scheme.models)
    scores = [[_numbers(a, f"'{s.name}'", n, ()) for a in batch.scores[s.name]] for s in scheme.scores]
    return labels, [_numbers(p, "predictions", n, wide) for p in batch.predictions], scores


def _rows_of(batch: Batch, name: str) -> int | str:
    return len(batch.columns[name].codes) if name in batch.columns else "no such column"


def _numbers(given: ArrayLike, what: str, rows: int | None, wide: tuple[int, ...]) -> Reals:
    array = np.asarray(given)
    expected = (len(array) if rows is None and array.ndim else rows, *wide)
    if array.dtype.kind not in "biuf" or array.shape != expected:
        raise _bad(what, f"{array.dtype} of the shape {array.shape}", f"numbers of the shape {expected}")
    return array.astype(np.float64, copy=False)


def _demand(what: str, got: object, expected: object) -> None:
    if got != expected:
        raise _bad(what, str(got), str(expected))


def _bad(what: str, got: str, expected: str) -> BadInput:
    return BadInput(
        f"the {what} to be tallied", got=got, expected=expected, next_step="score the rows again; see the policy's task"
    )
