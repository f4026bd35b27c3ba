"""Tally: what is kept of predictions, per slice: counts and sums, and no row.

Every number is an integer, so that tallies of partitions merge to the same bytes however the rows were cut or ordered.
`count` makes one where the rows are; `merge` adds two.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from headgate import grid
from headgate.canonical import canonical, digest_of, parse
from headgate.counts import Counts
from headgate.errors import BadInput
from headgate.grid import Ints, Reals
from headgate.slices import ALL, columns_of

FORMAT = "headgate.tally/1"

NO_ROW, DIFFERING = 2.0, -1.0
"""In `Tally.ties`, for a bin without rows and for one with two or more different scores."""

_Where = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Tally:
    """Sufficient statistics of binary predictions, per slice; two are equal if their bytes are.

    Attributes:
        threshold: a row's decision is 1 if its score >= threshold.
        has_champion: whether the champion scored the same rows.
        ties: float64 (models, grid.BINS), over all rows: the only score of a bin, or `NO_ROW`, or `DIFFERING`. In a
            bin with one score, ties are real; in another, the order within the bin is unknown.
        slices: label -> counts, `all` among them. Each slice's groups hold every row exactly once.

    Raises:
        BadInput: groups that do not add up to all rows, e.g. after merging tallies of different slices.
    """

    threshold: float
    has_champion: bool
    ties: Reals
    slices: Mapping[str, Counts]

    def __post_init__(self) -> None:
        """Demand that every slice holds every row."""
        totals: Counter[tuple[str, ...]] = Counter()
        for label, counts in self.slices.items():
            totals[columns_of(label)] += counts.rows
        wrong = {" & ".join(k) or ALL: v for k, v in totals.items() if ALL not in self.slices or v != totals[()]}
        if wrong or not totals:
            raise _bad(f"rows per slice {wrong}", "every row in `all` and in one group of each slice")

    def __eq__(self, other: object) -> bool:
        """Whether both say the same, to the byte."""
        return isinstance(other, Tally) and self.to_bytes() == other.to_bytes()

    def __hash__(self) -> int:
        """Agrees with equality."""
        return hash(self.to_bytes())

    @cached_property
    def digest(self) -> str:
        """The digest of the tally's bytes."""
        return digest_of(self.to_bytes())

    def to_bytes(self) -> bytes:
        """Canonical JSON; see `Counts.to_plain`, and of the ties `bin:score` for each bin with one score."""
        slices = {label: counts.to_plain() for label, counts in self.slices.items()}
        head = {"format": FORMAT, "threshold": self.threshold, "has_champion": self.has_champion}
        return canonical({**head, "ties": [_plain_ties(ties) for ties in self.ties], "slices": slices})

    @classmethod
    def from_bytes(cls, data: bytes) -> Tally:
        """The tally that `to_bytes` wrote.

        Raises:
            Tampered: bytes that are not canonical JSON.
            BadInput: not a tally, or one whose numbers contradict each other.
        """
        value = parse(data)
        try:
            tally = _from_plain(value)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
            raise _bad(f"{type(error).__name__}: {error}", f"a tally of format {FORMAT}") from error
        if tally.to_bytes() != data:
            raise _bad("other fields or spellings", f"exactly the fields of {FORMAT}")
        return tally


def merge(a: Tally, b: Tally) -> Tally:
    """The tally of the rows of both; associative and commutative. A group absent from one counts as zero there.

    Raises:
        BadInput: different thresholds, slices, or only one with a champion.
    """
    for name in ("threshold", "has_champion"):
        if getattr(a, name) != getattr(b, name):
            raise _bad(f"{name} {getattr(a, name)} and {getattr(b, name)}", "partitions counted alike")
    slices = dict(a.slices)
    for label, counts in b.slices.items():
        slices[label] = slices[label].plus(counts) if label in slices else counts
    same = np.where(a.ties == b.ties, a.ties, DIFFERING)
    ties = np.where(a.ties == NO_ROW, b.ties, np.where(b.ties == NO_ROW, a.ties, same))
    return Tally(a.threshold, a.has_champion, ties, slices)


def count(
    labels: ArrayLike,
    scores: ArrayLike,
    memberships: Mapping[str, _Where],
    threshold: float,
    champion: ArrayLike | None = None,
) -> Tally:
    """The tally of some rows.

    Args:
        labels: shape (n,), 0 or 1; anything else makes the row invalid, and so does NaN.
        scores: shape (n,), the candidate's probability of label 1; NaN, infinite or outside [0, 1] is invalid.
        memberships: label -> row numbers, from `headgate.slices.memberships`.
        threshold: the decision is 1 if score >= threshold.
        champion: shape (n,), the champion's scores of the same rows; an invalid one makes the row invalid.

    Raises:
        BadInput: arrays that are not numbers of one length, row numbers out of range, a threshold outside [0, 1].
    """
    given = [labels, scores] if champion is None else [labels, scores, champion]
    y, *models = _columns(given)
    if not 0 <= threshold <= 1:
        raise _bad(f"threshold {threshold}", "a number in [0, 1]")
    if any(w.size and (w.min() < 0 or w.max() >= len(y)) for w in memberships.values()):
        raise _bad("row numbers out of range", f"numbers below {len(y)}")
    rows = _rows(y, models, float(threshold))
    slices = {label: _counts(rows, where) for label, where in memberships.items()}
    return Tally(float(threshold), champion is not None, np.stack([_ties(rows, m) for m in range(len(models))]), slices)


@dataclass(frozen=True)
class _Rows:
    valid: NDArray[np.bool_]
    scores: list[Reals]
    cell: Ints
    fine: list[Ints]
    joint: Ints
    decile: list[Ints]
    squares: list[tuple[Reals, Reals]]
    losses: Ints


def _columns(given: list[ArrayLike]) -> list[Reals]:
    arrays = [np.asarray(values) for values in given]
    if any(a.dtype.kind not in "biuf" or a.ndim != 1 or a.shape != arrays[0].shape for a in arrays):
        raise _bad(f"arrays {[f'{a.dtype}{list(a.shape)}' for a in arrays]}", "numbers, one per row")
    return [a.astype(np.float64) for a in arrays]


def _rows(labels: Reals, models: list[Reals], threshold: float) -> _Rows:
    valid = (labels == 0) | (labels == 1)
    for scores in models:
        valid &= (scores >= 0) & (scores <= 1)
    y = np.where(valid, labels, 0).astype(np.int64)
    models = [np.where(valid, scores, 0.0) + 0.0 for scores in models]
    decisions = [(scores >= threshold).astype(np.int64) for scores in models]
    bins = [grid.bins_of(scores) for scores in models]
    coarse = [grid.COARSE_OF[b] for b in (bins if len(bins) == 2 else bins * 2)]
    return _Rows(
        valid=valid,
        scores=models,
        cell=4 * y + 2 * decisions[0] + (decisions[1] if len(models) == 2 else 0),
        fine=[y * grid.BINS + b for b in bins],
        joint=(y * grid.COARSE_BINS + coarse[0]) * grid.COARSE_BINS + coarse[1],
        decile=[y * grid.CALIBRATION_BINS + grid.CALIBRATION_OF[b] for b in bins],
        squares=[(_whole(s), _whole(s * s)) for s in models],
        losses=_losses(y, models),
    )


def _whole(x: Reals) -> Reals:
    # A float of a whole number below 2^53 is exact, and so are sums of a batch: bincount adds floats only.
    return np.rint(x * 2.0**grid.SCORE_QUANTUM)


def _losses(labels: Ints, models: list[Reals]) -> Ints:
    columns: list[Ints] = []
    for of in (grid.log_losses, lambda y, s: (s - y) * (s - y)):
        each = [of(labels, scores) for scores in models]
        for x in [*each, each[0] - each[1]] if len(each) == 2 else each:
            columns += grid.powers(x)
    return np.stack(columns, axis=1)


def _counts(rows: _Rows, where: _Where) -> Counts:
    good = where[rows.valid[where]]
    size, two = 2 * grid.COARSE_BINS**2, len(rows.fine) == 2
    joint = np.bincount(rows.joint[good], minlength=size) if two else np.zeros(size, dtype=np.int64)
    histograms = np.stack([np.bincount(fine[good], minlength=2 * grid.BINS) for fine in rows.fine])
    return Counts(
        rows=len(where),
        invalid=len(where) - len(good),
        cells=np.bincount(rows.cell[good], minlength=8).reshape(2, 2, 2),
        histograms=histograms.reshape(-1, 2, grid.BINS),
        joint=joint.reshape(2, grid.COARSE_BINS, grid.COARSE_BINS),
        calibration=_batched(good, lambda part: _calibration(rows, part), 40 * len(rows.fine)),
        losses=_batched(good, lambda part: rows.losses[part].sum(axis=0), rows.losses.shape[1]),
    )


def _calibration(rows: _Rows, part: _Where) -> Ints:
    sums = [
        np.bincount(decile[part], weights=weights[part], minlength=20)
        for decile, pair in zip(rows.decile, rows.squares, strict=True)
        for weights in pair
    ]
    return np.stack(sums).reshape(-1, 2, 20).transpose(0, 2, 1).ravel().astype(np.int64)


def _batched(where: _Where, add: Callable[[_Where], Ints], width: int) -> tuple[int, ...]:
    total = [0] * width
    for start in range(0, len(where), grid.BATCH):
        part = add(where[start : start + grid.BATCH]).tolist()
        total = [a + b for a, b in zip(total, part, strict=True)]
    return tuple(total)


def _ties(rows: _Rows, model: int) -> Reals:
    scores, bins = rows.scores[model][rows.valid], rows.fine[model][rows.valid] % grid.BINS
    low, high = np.full(grid.BINS, NO_ROW), np.full(grid.BINS, DIFFERING)
    np.minimum.at(low, bins, scores)
    np.maximum.at(high, bins, scores)
    return np.where((low == high) | (low == NO_ROW), low, DIFFERING)


def _plain_ties(ties: Reals) -> str:
    bins = np.flatnonzero((ties != NO_ROW) & (ties != DIFFERING))
    return " ".join(f"{b}:{score!r}" for b, score in zip(bins.tolist(), ties[bins].tolist(), strict=True))


def _from_plain(value: Any) -> Tally:
    models = 2 if value["has_champion"] else 1
    slices = {label: Counts.from_plain(plain, models) for label, plain in value["slices"].items()}
    histograms = slices[ALL].histograms
    ties = [_dense_ties(text, h) for text, h in zip(value["ties"], histograms, strict=True)]
    return Tally(float(value["threshold"]), models == 2, np.stack(ties), slices)


def _dense_ties(text: str, histogram: Ints) -> Reals:
    ties = np.where(histogram.any(axis=0), DIFFERING, NO_ROW)
    for part in text.split():
        b, score = part.split(":")
        if grid.bins_of(np.array([float(score)]))[0] != int(b) or ties[int(b)] == NO_ROW:
            raise ValueError(f"score {score} in bin {b}")
        ties[int(b)] = float(score)
    return ties


def _bad(got: str, expected: str) -> BadInput:
    return BadInput("the tally", got=got, expected=expected, next_step="tally the predictions again")
