"""Ground: what a plan of the gates rests on: the rows at hand, and what the last release measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from headgate.assumption import Outlook, scaled, supposed
from headgate.batch import Batch
from headgate.challenge import Challenges
from headgate.estimate import Estimate, Unmeasurable, Who, measure, survey
from headgate.figures import part
from headgate.grid import Ints, Reals
from headgate.rates import UNPAIRED
from headgate.scheme import Scheme
from headgate.serving import ServingProfile
from headgate.slices import Column
from headgate.tally import Tally, count


@dataclass(frozen=True)
class Basis:
    """What is known before a release.

    Attributes:
        sample: the rows at hand, tallied as a perfect candidate and a perfect champion would score them: its groups and
            classes count, nothing else.
        factor: planned rows as a multiple of the rows at hand.
        last, serving, challenges: what the last evaluated release measured; None if there is none.
        name: how to call that release.
    """

    sample: Tally
    factor: float = 1.0
    last: Tally | None = None
    serving: ServingProfile | None = None
    challenges: Challenges | None = None
    name: str = "the last release"


def unscored(scheme: Scheme, labels: ArrayLike, columns: Mapping[str, Column]) -> Tally:
    """The tally of rows that were not scored yet, as if every model were perfect: see `Basis.sample`.

    Args:
        labels: as in a batch. columns: the groups of every column that the scheme's slices need.

    Raises:
        BadInput: as `tally.count`.
    """
    given = np.asarray(labels, dtype=np.float64)
    said = np.eye(len(scheme.classes))[_places(given, len(scheme.classes))] if scheme.task == "multiclass" else given
    scores = {score.name: [np.full(len(given), score.low)] * scheme.models for score in scheme.scores}
    return count(scheme, Batch(given, [said] * scheme.models, columns, scores))


def _places(labels: Reals, classes: int) -> Ints:
    return np.clip(np.nan_to_num(labels), 0, classes - 1).astype(np.int64)


@dataclass(frozen=True)
class Place:
    """One slice, or two groups, for one metric."""

    basis: Basis
    metric: str
    who: Who
    labels: tuple[str, ...]

    @property
    def rows(self) -> float:
        """Planned rows."""
        return self.hand * self.basis.factor

    @property
    def hand(self) -> float:
        """Rows at hand."""
        return float(sum(self._size(label) for label in self.labels))

    @property
    def n(self) -> float:
        """Planned rows that the metric rests on."""
        return sum(self.n_hand(label, None) for label in self.labels) * self.basis.factor

    def _size(self, label: str) -> int:
        found = self.basis.sample.slices.get(label)
        return found.rows if found else 0

    def lack(self, least: int) -> tuple[str, int | None]:
        """Why these rows decide nothing, and roughly how many would; nothing if they may."""
        found = survey(self.basis.sample, self.metric, self.who, self.labels)
        if found.lacking:
            return "; ".join(found.lacking.values()), None
        factor, figures = self.basis.factor, found.figures
        short = [least / (self._size(label) * factor) for label in found.labels]
        fewest = np.broadcast_to(np.asarray(figures.fewest, dtype=np.float64), len(short))
        scarce = [figures.least / (max(float(few), 0.5) * factor) for few in fewest]
        if max(*short, *scarce) <= 1:
            return "", None
        why = f"fewer than {least:,} rows" if max(short) > 1 else f"fewer than {figures.least} rows of a class"
        return why, math.ceil(self.rows * max(*short, *scarce))

    def n_hand(self, label: str, before: int | None) -> float:
        """Rows at hand that the metric rests on; where that depends on decisions, as many as there were before."""
        if before is not None and self.metric.partition("@")[0] in UNPAIRED and self.basis.last is not None:
            return before * self._size(label) / self.basis.last.slices[label].rows
        found = survey(self.basis.sample, self.metric, "candidate", [label])
        return float(found.figures.n[0]) if found.labels else 0.0

    def before(
        self, ask: Callable[[Tally, str, str], Estimate | Unmeasurable], alpha: float, label: str | None = None
    ) -> Estimate | None:
        """What the last release measured, if that has bounds."""
        last, at = self.basis.last, label or self.labels[0]
        found = None if last is None or at not in last.slices else ask(last, self.metric, at)
        if not isinstance(found, Estimate) or not found.n:
            return None
        return found if all(map(math.isfinite, found.bounds(alpha))) else None

    def from_before(self, estimate: Estimate, label: str | None = None) -> Outlook:
        """What that lets expect of the rows at hand."""
        at = label or self.labels[0]
        return scaled(estimate, self.n_hand(at, estimate.n), f"the spread in {self.basis.name}")

    def supposed(self, label: str, value: float | None) -> Outlook | None:
        """What may be supposed without a release."""
        sample = self.basis.sample
        return supposed(self.metric, part(sample, sample.place[label]), self.n_hand(label, None), value)

    def single(self, label: str, value: float | None, alpha: float) -> Outlook | None:
        """The candidate's own metric in one slice, as measured, or else as supposed."""
        before = self.before(measure, alpha, label)
        return self.supposed(label, value) if before is None else self.from_before(before, label)
