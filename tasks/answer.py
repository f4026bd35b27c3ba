"""Answer: what a model says about many rows, whatever it does with some of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from headgate.alteration import Floats, Mask

if TYPE_CHECKING:
    import pandas as pd

Predict = Callable[["pd.DataFrame"], Any]
"""(rows) -> the score of label 1, or a number, of each; shape (rows,)."""

AT_ONCE = 50_000
SPLITS = 64
REFUSALS = (ValueError, TypeError)
"""The exceptions by which a model says that it does not take a row."""


@dataclass(frozen=True, eq=False)
class Answers:
    """What was said.

    Attributes:
        scores: NaN where there was none.
        refused: rows that were asked alone and raised one of `REFUSALS`.
        raised: the names of all exceptions. Their texts may quote a row and are not kept.
    """

    scores: Floats
    refused: Mask
    raised: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Model:
    """What is asked.

    Attributes:
        threshold: a score of at least this is the decision 1, and scores lie in [0, 1]; None if it decides nothing.
    """

    predict: Predict
    threshold: float | None

    def ask(self, frame: pd.DataFrame, *, each: bool = False) -> Answers:
        """Ask about all rows, in batches.

        A batch that raises is halved, so that one bad row does not silence the others, at most `SPLITS` times in all:
        then its rows have no answer. With `each` there is no such limit, and every row that raises is asked alone in
        the end. A batch with an answer that is not one number per row has none either.
        """
        return _answers(self.predict, frame, self.threshold is not None, len(frame) if each else SPLITS)


def _answers(predict: Predict, frame: pd.DataFrame, unit: bool, splits: int) -> Answers:
    scores, refused = np.full(len(frame), np.nan), np.zeros(len(frame), dtype=np.bool_)
    raised: set[str] = set()
    pieces = [(low, min(low + AT_ONCE, len(frame))) for low in range(0, len(frame), AT_ONCE)][::-1]
    while pieces:
        low, high = pieces.pop()
        try:
            scores[low:high] = _scores(predict(frame.iloc[low:high]), high - low, unit)
        except Exception as error:  # whatever a model raises, the answer is missing
            raised.add(type(error).__name__)
            refused[low:high] = high - low == 1 and isinstance(error, REFUSALS)
            if high - low > 1 and splits > 0:
                splits, middle = splits - 1, (low + high) // 2
                pieces += [(middle, high), (low, middle)]
    return Answers(scores, refused, tuple(sorted(raised)))


def _scores(given: Any, rows: int, unit: bool) -> Floats:
    scores = np.asarray(given)
    if scores.shape != (rows,) or scores.dtype.kind not in "biuf":
        return np.full(rows, np.nan)
    floats = scores.astype(np.float64)
    fine = np.isfinite(floats) & ((floats >= 0) & (floats <= 1) if unit else True)
    return np.where(fine, floats, np.nan)
