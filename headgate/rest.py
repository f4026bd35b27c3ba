"""The rest: slices held against all other rows, which a tally gives exactly: all rows minus the slice.

The two are independent, so that MOVER bounds their difference.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headgate.crossing import Array
from headgate.estimate import Estimate, Unmeasurable, measure
from headgate.figures import Figures, Part, difference
from headgate.metrics import Better
from headgate.quality import figures_of
from headgate.slices import ALL
from headgate.tally import Tally


def weakness(tally: Tally, metric: str, label: str, better: Better) -> Estimate | Unmeasurable:
    """By how much a slice is worse than all other rows; negative if it is better.

    Args:
        better: which way the metric is better, higher or lower.
    """
    alone = measure(tally, metric, label)
    if isinstance(alone, Unmeasurable):
        return alone
    if invalid := tally.slices[ALL].invalid:
        return Unmeasurable(f"{invalid:,} other rows have a label or a prediction that is out of range or missing")
    own, _, worse = compared(tally, np.array([tally.place[label]]), metric, better)
    if not math.isfinite(worse.value[0]):
        return Unmeasurable(f"{label} is not held against other rows, among which {metric} is not defined")
    fewest, rows = float(np.broadcast_to(worse.fewest, (1,))[0]), tally.slices[label].rows
    short = fewest < worse.least

    def sides(alpha: float) -> tuple[float, float]:
        lower, upper = worse.bounds(alpha)
        return (-math.inf, math.inf) if short else (float(np.asarray(lower)[0]), float(np.asarray(upper)[0]))

    return Estimate(
        value=float(worse.value[0]),
        n=int(own.n[0]),
        rows=rows,
        method=worse.method,
        sides=sides,
        blur=float(np.broadcast_to(worse.blur, (1,))[0]),
        demand=math.ceil(rows * worse.least / max(fewest, 1.0)) if short else None,
    )


def compared(tally: Tally, places: NDArray[np.intp], metric: str, better: Better) -> tuple[Figures, Figures, Figures]:
    """Slices by their places, their rests, and by how much the slices are worse."""
    own, rest = (figures_of(_part(tally, places, rest=rest), metric, 0) for rest in (False, True))
    return own, rest, difference(own, rest) if better == "lower" else difference(rest, own)


def _part(tally: Tally, places: NDArray[np.intp], *, rest: bool) -> Part:
    """Some slices, or for each of them all other rows."""
    return Part(tally.scheme, tally.ties, _Picked(tally.arrays, places, rest))


@dataclass(frozen=True, eq=False)
class _Picked(Mapping[str, Array]):
    """Arrays of some slices or their rests, each made when it is asked for: most are large and not needed."""

    arrays: Mapping[str, Array]
    places: NDArray[np.intp]
    rest: bool

    def __getitem__(self, name: str) -> Array:
        array = self.arrays[name]
        return array[:1] - array[self.places] if self.rest else array[self.places]

    def __iter__(self) -> Iterator[str]:
        return iter(self.arrays)

    def __len__(self) -> int:
        return len(self.arrays)
