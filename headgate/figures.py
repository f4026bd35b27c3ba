"""Figures: a metric in many slices at once, each with its bounds, from the numbers of a tally."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from headgate import bounds, moments
from headgate.bounds import Sides
from headgate.crossing import Array
from headgate.grid import BINS, DIFFERING, EDGES, LARGEST_LOG_LOSS, Ints, Reals, log_losses_of
from headgate.regression import ERROR_EDGES
from headgate.scheme import ERROR_BINS, Scheme, Score
from headgate.tally import Tally

T = TypeVar("T")

MIN_ROWS = 10
"""With fewer rows, or rows of a class, a mean's variance is no estimate."""

MIN_ROWS_PAIRED = 30
"""The same for a paired difference of means: with 15 rows of a class its bounds missed up to 8% at alpha 5%."""


@dataclass(frozen=True, eq=False)
class Figures:
    """A metric, or a difference of two, in some slices: every array has the shape (...).

    Attributes:
        value: NaN where it is not defined. n: rows that it rests on.
        method: how the bounds were made.
        bounds: alpha in (0, 0.5] -> (lower, upper), monotone in alpha.
        blur: how much of the bounds' width does not shrink with more rows.
        fewest: the rows of what there is least of; least: what the bounds need of it at least.
    """

    value: Reals
    n: Reals
    method: str
    bounds: Callable[[ArrayLike], Sides] = field(repr=False)
    blur: ArrayLike = 0.0
    fewest: ArrayLike = 0
    least: int = 0


@dataclass(frozen=True, eq=False)
class Part:
    """Some slices of a tally: its arrays with the first axis picked, so that they have the shape (..., *own).

    `known` is what was made of all slices before.
    """

    scheme: Scheme
    ties: Reals
    arrays: Mapping[str, Array]
    known: dict[object, Any] = field(default_factory=dict, repr=False)

    def once(self, key: object, make: Callable[[], T]) -> T:
        """What was made before under this key, or is made now: a comparison needs what each model needs alone."""
        if key not in self.known:
            self.known[key] = make()
        found: T = self.known[key]
        return found

    @property
    def n(self) -> Reals:
        """The rows that were measured."""
        return np.asarray(self.arrays["rows"] - self.arrays["invalid"], dtype=np.float64)

    def classes(self, of: str) -> Reals:
        """Rows of each class: of label 0 and 1; of every class; or with `of`, of the others and of that class."""
        if self.scheme.task == "binary":
            return np.asarray(self.arrays["cells"].sum(axis=(-1, -2)), dtype=np.float64)
        each = self.arrays["confusion"].sum(axis=(-1, -2)).astype(np.float64)
        return np.stack([self.n - each[..., self._class(of)], each[..., self._class(of)]], axis=-1) if of else each

    def histogram(self, of: str, model: int) -> Ints:
        """Label x fine bin of the score: shape (..., 2, bins)."""
        array: Ints = self.arrays["histogram"]
        return array[..., self._class(of), model, :, :] if of else array[..., model, :, :]

    def joint(self, of: str) -> Ints:
        """Label x coarse bin of the candidate x of the champion: shape (..., 2, 50, 50)."""
        array: Ints = self.arrays["joint"]
        return array[..., self._class(of), :, :, :] if of else array

    def blurred(self, model: int) -> Any:
        """The bins that may hold more than one score."""
        return self.ties[model] == DIFFERING if self.scheme.task == "binary" else np.ones(self.ties.shape[-1], bool)

    def cells(self, of: str) -> Ints:
        """Label x candidate's decision x champion's decision: shape (..., 2, 2, 2)."""
        if self.scheme.task == "binary":
            return np.asarray(self.arrays["cells"])
        array = self.arrays["confusion"]
        for axis in (-3, -2, -1):
            one = array.take([self._class(of)], axis=axis) if array.shape[axis] > 1 else array * 0
            array = np.concatenate([array.sum(axis=axis, keepdims=True) - one, one], axis=axis)
        return np.asarray(array)

    def sums(self, place: int, contrast: int) -> Array:
        """The sums of a score's powers: shape (..., 3)."""
        array: Array = self.arrays["means"]
        return array[..., place, contrast, :]

    def _class(self, of: str) -> int:
        return self.scheme.classes.index(of)


def part(tally: Tally, places: Any) -> Part:
    """Some slices of a tally, by their places: a number for one, an array for many."""
    arrays = {name: array[places] for name, array in tally.arrays.items()}
    return Part(tally.scheme, tally.ties, arrays, tally.known if isinstance(places, slice) else {})


def mean(of: Part, place: int, contrast: int) -> Figures:
    """The mean of a score: of the candidate (0), the champion (1), or of their paired difference (2)."""
    score = of.scheme.means[place]
    fine = bool(of.scheme.scores) or of.scheme.task == "regression"
    found = moments.moments(of.sums(place, contrast), of.n, fine=fine)
    start, unit = score.scale(contrast)
    low, high = _range(of, score, contrast)

    def limits(alpha: ArrayLike) -> Sides:
        lower, upper = moments.mean(found, low, high, alpha)
        return start + unit * lower, start + unit * upper

    method, least = ("Hall and Student, paired", MIN_ROWS_PAIRED) if contrast == 2 else ("Hall and Student", MIN_ROWS)
    return Figures(start + unit * found.mean, of.n, method, limits, fewest=scarcest(of), least=least)


def _range(of: Part, score: Score, contrast: int) -> tuple[ArrayLike, ArrayLike]:
    """Where a scaled score, or a difference of two, can lie: of a task's own losses, as far as any row was seen."""
    if contrast == 2 and score.name in _WORST:
        farthest = _WORST[score.name](of, score)
        return -farthest, farthest
    if score.name == "log_loss":
        return 0.0, LARGEST_LOG_LOSS / score.high
    return (-1.0, 1.0) if contrast == 2 or score.low == -score.high else (0.0, 1.0)


def _worst(of: Part, score: Score) -> Reals:
    """At least the worst loss of any row that either model was seen to make: what identical models may differ by."""
    seen = of.arrays["histogram"].sum(axis=-3 if of.scheme.task == "binary" else (-3, -4)) > 0
    lowest = EDGES[seen[..., 1, :].argmax(axis=-1)]
    highest = 1 - EDGES[BINS - seen[..., 0, ::-1].argmax(axis=-1)] if of.scheme.task == "binary" else lowest
    chosen = np.atleast_1d(np.where(seen.any(axis=(-1, -2)), np.minimum(lowest, highest), 0.0))
    losses = log_losses_of(chosen) / score.high if score.name == "log_loss" else (1 - chosen) ** 2
    return losses.reshape(np.shape(lowest))


def _worst_error(of: Part, score: Score) -> Reals:
    """At least the worst error of any row that either model was seen to make, as a share of the score's range."""
    seen = of.arrays["errors"].sum(axis=-2) > 0
    share = ERROR_EDGES[ERROR_BINS - seen[..., ::-1].argmax(axis=-1)]
    return np.asarray(share**2 if score.name == "mean_squared_error" else share)


_WORST: Mapping[str, Callable[[Part, Score], Reals]] = {
    **dict.fromkeys(("log_loss", "brier_score"), _worst),
    **dict.fromkeys(("bias", "mean_absolute_error", "mean_squared_error"), _worst_error),
}
"""What identical models may differ by, of the scores that a task has of itself."""


def scarcest(of: Part) -> Reals:
    """What decides whether a mean's variance is an estimate: a binary task's smaller class, else all rows."""
    return of.classes("").min(axis=-1) if of.scheme.task == "binary" else of.n


def difference(a: Figures, b: Figures) -> Figures:
    """The difference of two figures that are independent, or are taken to be: MOVER."""
    return Figures(
        value=a.value - b.value,
        n=a.n,
        method=f"MOVER of: {a.method}",
        bounds=lambda alpha: bounds.independent_difference(a.value, a.bounds(alpha), b.value, b.bounds(alpha)),
        blur=np.hypot(a.blur, b.blur),
        fewest=np.minimum(a.fewest, b.fewest),
        least=max(a.least, b.least),
    )
