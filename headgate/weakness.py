"""Weakness: where a candidate is worst, over all tallied slices and crossings, honest about having looked everywhere.

Each slice is compared with the rest of the rows, which a tally gives exactly (all rows minus the slice), so that the
two are independent and their difference is bounded by MOVER. The p-value of the claim that a slice is worse is the
smallest alpha at which the bound says so; Holm's correction covers every slice and metric that was looked at. It is
exploratory: it says where to look, and is no verdict. A gate with `max_weakness` makes one of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from headgate.bounds import normal
from headgate.canonical import canonical
from headgate.figures import Figures
from headgate.grid import Reals
from headgate.markdown import table
from headgate.metrics import ONE_CLASS, RESOURCES, Better, Task
from headgate.policy import Policy
from headgate.quality import known
from headgate.rest import compared
from headgate.slices import ALL
from headgate.tally import Tally
from headgate.value import Value

SHOWN = 10
"""How many slices a page shows."""

DEFAULTS: Mapping[Task, str] = {
    "binary": "log_loss",
    "multiclass": "log_loss",
    "regression": "mean_absolute_error",
    "scored": "mean_score",
}
"""What is searched where no gate demands anything of all rows."""

_SMALLEST_P = 1e-12
_STEPS = 8


class Weakness(Value):
    """One slice against the rest of the rows.

    Attributes:
        n, rest_n: rows that the metric rests on. value, rest: the metric in the slice and in the rest.
        excess: by how much the slice is worse; negative if it is better.
        lower, upper: bounds of the excess that hold for all slices together: each one-sided at alpha / searched; None
            if unbounded.
        p: of the claim that the slice is worse; 1 stands for anything above one half. adjusted: p after Holm's
            correction over everything that was searched.
    """

    slice: str
    metric: str
    n: int
    rest_n: int
    value: float
    rest: float
    excess: float
    lower: float | None
    upper: float | None
    p: float
    adjusted: float


class Weaknesses(Value):
    """Everything that was looked at, the surest weakness first: by the lower bound of the excess, not by its value.

    Attributes:
        searched: how many pairs of a slice and a metric were compared, which the correction covers.
        skipped: slices that were not looked at for a metric: too few rows in the slice or in the rest.
        tally: the digest of the tally that all this is computed from.
    """

    each: tuple[Weakness, ...]
    searched: int
    skipped: tuple[tuple[str, str], ...] = ()
    metrics: tuple[str, ...]
    alpha: float
    tally: str

    @property
    def significant(self) -> tuple[Weakness, ...]:
        """Those that are significantly worse after the correction."""
        return tuple(w for w in self.each if w.adjusted <= self.alpha)

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        return canonical(self.model_dump(mode="json"))


def sought(policy: Policy) -> dict[str, Better]:
    """The metrics that a policy wants searched: those that a gate holds on all rows or forbids a weakness in."""
    table_ = {**ONE_CLASS, **policy.metrics}
    whole = [g for g in policy.gate if g.form != "scenarios" and not g.across and g.slices is None]
    named = [gate.metrics[0] for gate in (*whole, *(g for g in policy.gate if g.form == "weakness"))]
    found = {name: table_[name.partition("@")[0]].better for name in named if name not in RESOURCES}
    directed: dict[str, Better] = {name: better for name, better in found.items() if better != "neither"}
    default = DEFAULTS[policy.model.task]
    return directed or dict.fromkeys([default], table_[default].better)


def search(tally: Tally, metrics: Mapping[str, Better], *, least: int, alpha: float) -> Weaknesses:
    """Where the candidate is worst.

    A slice with fewer than `least` rows, or too few for a bound, is skipped: that is decided by its size alone, so that
    what was skipped needs no correction. With a row that could not be measured, everything is.

    Args:
        metrics: what is measured, and which way is better. least: the policy's `min_slice_rows`.
    """
    pairs = [_pair(tally, metric, better, least) for metric, better in metrics.items() if known(tally.scheme, metric)]
    searched = sum(len(pair.labels) for pair in pairs)
    each = [weakness for pair in pairs for weakness in pair.weaknesses(alpha / max(searched, 1))]
    adjusted = _adjusted([w.p for w in each])
    each = [w.model_copy(update={"adjusted": p}) for w, p in zip(each, adjusted, strict=True)]
    return Weaknesses(
        each=tuple(sorted(each, key=_order)),
        searched=searched,
        skipped=tuple((label, pair.metric) for pair in pairs for label in pair.skipped),
        metrics=tuple(metrics),
        alpha=alpha,
        tally=tally.digest,
    )


def section(found: Weaknesses) -> str:
    """The weakest slices as a section of a page."""
    rows = [
        (w.slice, w.metric, f"{w.n:,}", f"{w.value:.4g}", f"{w.rest:.4g}", _span(w), f"{w.adjusted:.2g}")
        for w in found.each[:SHOWN]
    ]
    header = ("slice", "metric", "n", "value", "rest of the rows", "worse by (bounds)", "adjusted p")
    said = table(header, rows) if rows else "No slice has enough rows to be compared with the rest."
    skipped = f" {len(found.skipped)} more have too few rows." if found.skipped else ""
    return (
        f"\n## Weakest slices (exploratory)\n\nEach slice was compared with the rest of the rows. "
        f"{len(found.significant)} of {found.searched} comparisons show a weakness after Holm's correction over all of "
        f"them.{skipped} The lower bounds hold together at {100 * (1 - found.alpha):.6g}%. Computed from "
        f"`{found.tally}`. This says where to look; it is no verdict.\n\n{said}\n"
    )


def _span(w: Weakness) -> str:
    lower, upper = ("unbounded" if x is None else f"{x:+.4g}" for x in (w.lower, w.upper))
    return f"{w.excess:+.4g} ({lower} to {upper})"


def _order(w: Weakness) -> tuple[float, str, str]:
    return (math.inf if w.lower is None else -w.lower, w.slice, w.metric)


@dataclass(frozen=True, eq=False)
class _Pair:
    """The slices of a tally that are large enough and their rests, in one metric.

    Attributes:
        labels: those that can be compared; told: which of the figures are theirs. excess: by how much they are worse.
        p: of the claims that they are.
    """

    metric: str
    labels: tuple[str, ...]
    skipped: tuple[str, ...]
    told: NDArray[np.bool_]
    own: Figures
    rest: Figures
    excess: Figures
    p: Reals

    def weaknesses(self, alpha: float) -> Iterator[Weakness]:
        """One per slice, its bounds at alpha, not adjusted yet."""
        lower, upper = self.excess.bounds(alpha)
        columns = (self.own.n, self.rest.n, self.own.value, self.rest.value, self.excess.value, lower, upper, self.p)
        for label, *numbers in zip(self.labels, *(np.asarray(c)[self.told].tolist() for c in columns), strict=True):
            n, rest_n, value, rest, excess, low, high, p = numbers
            yield Weakness(
                slice=label,
                metric=self.metric,
                n=int(n),
                rest_n=int(rest_n),
                value=value,
                rest=rest,
                excess=excess,
                lower=low if math.isfinite(low) else None,
                upper=high if math.isfinite(high) else None,
                p=p,
                adjusted=1.0,
            )


def _pair(tally: Tally, metric: str, better: Better, least: int) -> _Pair:
    places = np.flatnonzero(tally.arrays["rows"] >= least)[1:]
    own, rest, worse = compared(tally, places, metric, better)
    told = np.full(len(places), tally.slices[ALL].invalid == 0)
    for found in (own, rest):
        told &= np.isfinite(found.value) & (np.asarray(found.fewest) >= found.least)
    labels = [tally.labels[place] for place in places[told].tolist()]
    p, ahead = np.ones(len(places)), told & (worse.value > 0)
    p[ahead] = _p_values(compared(tally, places[ahead], metric, better)[2])
    skipped = tuple(sorted(set(tally.labels[1:]) - set(labels)))
    return _Pair(metric, tuple(labels), skipped, told, own, rest, worse, p)


def _p_values(excess: Figures) -> Reals:
    """The smallest alpha at which each lower bound is above 0, or a little more; 1 if that is above one half.

    Found on the scale of the normal quantile, on which a bound is almost a line, by the Illinois variant of regula
    falsi (Dowell and Jarratt, BIT 11 (1971)). What is returned was seen to be above 0.
    """
    ends = [np.full(excess.value.shape, z) for z in (0.0, float(normal(_SMALLEST_P)))]
    above, below = (excess.bounds(ndtr(-z))[0] for z in ends)
    never, (low, high) = above <= 0, ends
    for _ in range(_STEPS):
        with np.errstate(invalid="ignore", divide="ignore"):
            guess = low + (high - low) * above / (above - below)
        inside = np.isfinite(below) & (guess > low) & (guess < high)
        guess = np.where(inside, guess, (low + high) / 2)
        found = excess.bounds(ndtr(-guess))[0]
        up = found > 0
        # The end that stays is trusted half as much, so that it moves too.
        above, below = np.where(up, found, above / 2), np.where(up, below / 2, found)
        low, high = np.where(up, guess, low), np.where(up, high, guess)
    return np.where(never, 1.0, ndtr(-low))


def _adjusted(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values: a claim stands at alpha if its own is at most alpha."""
    adjusted, largest = [1.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted
