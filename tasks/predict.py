"""Predict: what a fitted model says about rows, in the shape that its task is tallied in."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from headgate.errors import BadInput
from headgate.policy import Data, Policy
from headgate.slices import Column, as_tuple, banded, column
from tasks.column import texts_of

if TYPE_CHECKING:
    import pandas as pd

Numbers = NDArray[np.float64]


def features_of(frame: pd.DataFrame, data: Data) -> tuple[str, ...]:
    """The columns that a candidate may learn from: all but the label, the id, the time and those excluded."""
    kept_out = {data.label, data.id, data.time, *data.exclude}
    return tuple(str(c) for c in frame.columns if c not in kept_out)


def answer_of(model: Any, task: str) -> Callable[[Any], Any]:
    """The method that a task's predictions come from: probabilities where it has classes, else numbers.

    Raises:
        BadInput: the model has no such method.
    """
    name = "predict_proba" if task in ("binary", "multiclass") else "predict"
    if not hasattr(model, name):
        raise _odd(f"no {name}", f"what a {task} task needs")
    method: Callable[[Any], Any] = getattr(model, name)
    return method


def predictions(model: Any, rows: pd.DataFrame, policy: Policy) -> Numbers:
    """What a model says about rows of features.

    Returns:
        The score of label 1, shape (n,); for a multiclass task the probability of each of the policy's classes, shape
        (n, classes), 0 for one that the model never saw; else numbers, shape (n,).

    Raises:
        BadInput: predictions of another shape, or of classes that the policy does not name.
    """
    said = np.asarray(answer_of(model, policy.model.task)(rows), dtype=np.float64)
    if policy.model.task == "binary":
        _demand_shape(said, (len(rows), 2))
        # Column 1 is the probability of the class 1, whatever order the labels were seen in: scikit-learn sorts them.
        return said[:, 1]
    if policy.model.task == "multiclass":
        return _by_class(said, [str(c) for c in model.classes_], policy.data.classes or ())
    _demand_shape(said, (len(rows),))
    return said


def _by_class(said: Numbers, seen: Sequence[str], classes: Sequence[str]) -> Numbers:
    _demand_shape(said, (len(said), len(seen)))
    unknown = sorted(set(seen) - set(classes))
    if unknown:
        raise _odd(f"the classes {unknown}", f"only classes of the policy: {list(classes)}")
    ordered = np.zeros((len(said), len(classes)))
    ordered[:, [classes.index(name) for name in seen]] = said
    return ordered


def labels_of(frame: pd.DataFrame, policy: Policy) -> Any:
    """The labels as they are tallied: 0 and 1, class numbers (NaN for none of the policy's), or numbers."""
    column = frame[policy.data.label]
    if policy.model.task == "multiclass":
        place = {name: float(number) for number, name in enumerate(policy.data.classes or ())}
        return np.array([place.get(text or "", np.nan) for text in texts_of(column)])
    if policy.model.task == "scored":
        return np.zeros(len(frame))
    return column.to_numpy()


def slice_columns(frame: pd.DataFrame, data: Data) -> dict[str, Column]:
    """The groups of every column that `data.slices` names, bands made from their numbers."""
    names = sorted({name for part in data.slices for name in as_tuple(part)})
    return {name: _groups(frame, name, data) for name in names}


def _groups(frame: pd.DataFrame, name: str, data: Data) -> Column:
    if name in data.bands:
        return banded(name, frame[data.bands[name].column].to_numpy(), data.bands[name])
    codes, values = frame[name].astype(object).factorize()
    return column(name, values.tolist(), codes)


def taught(frame: pd.DataFrame, policy: Policy) -> pd.Series:
    """The labels as a candidate is fitted to them: of a multiclass task as text, as the policy names them."""
    column = frame[policy.data.label]
    return column.astype(str) if policy.model.task == "multiclass" else column


def custom_scores(frame: pd.DataFrame, said: Sequence[Numbers], policy: Policy) -> dict[str, list[Numbers]]:
    """Every declared per-row score, per model.

    A function is called with the rows (labels and all columns) and one model's predictions, and gives a number per row.

    Raises:
        BadInput: a function cannot be found, raises, or gives something else.
    """
    declared = [*([policy.score] if policy.score else []), *policy.metric]
    return {part.metric.name: [_score(part.function, frame, each) for each in said] for part in declared}


def _score(path: str, frame: pd.DataFrame, said: Numbers) -> Numbers:
    function = named(path, ":")
    try:
        scores = np.asarray(function(frame.copy(), said.copy()), dtype=np.float64)
    except Exception as error:  # a user's function may raise anything
        raise _unusable(path, f"{type(error).__name__}: {error}") from error
    _demand_shape(scores, (len(frame),))
    return scores


def named(path: str, separator: str) -> Any:
    """What an import path names, e.g. `package.module:function`.

    Raises:
        BadInput: there is no such thing, or importing it raised.
    """
    module, _, name = path.rpartition(separator)
    try:
        return getattr(importlib.import_module(module), name)
    except Exception as error:  # an import runs code, which may raise anything
        raise _unusable(path, f"{type(error).__name__}: {error}") from error


def _demand_shape(array: Numbers, expected: tuple[int, ...]) -> None:
    if array.shape != expected:
        raise _odd(f"the shape {array.shape}", f"the shape {expected}")


def _odd(got: str, expected: str) -> BadInput:
    return BadInput(
        "predictions", got=got, expected=expected, next_step="correct the model's task or its estimator in the policy"
    )


def _unusable(what: str, got: str) -> BadInput:
    return BadInput(
        what, got=got, expected="something importable that does what the policy says", next_step="correct the policy"
    )
