"""Profile: what is kept of the requests of a window: counts, and no row. Profiles of parts of a window add up to it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate, repeat
from typing import ClassVar, Literal

import numpy as np

from headgate import bounds
from headgate.bounds import Bounds
from headgate.cells import Cells, Count, Counts, distance
from headgate.entry import Digest
from headgate.estimate import Estimate, Unmeasurable
from headgate.record import Time
from headgate.telemetry import Served
from headgate.value import Document, Value

SCORE = "score"
"""What a score is called, and the beginning of what it is called where there is one for each class."""

_STEP = 1.01
LATENCIES: tuple[float, ...] = tuple(accumulate(repeat(_STEP, 2000), lambda edge, step: edge * step, initial=0.01))
"""Upper ends of the bins of milliseconds, each one hundredth above the one before; the last bin has none."""


class Distribution(Value):
    """How the reference's values of one column are spread over their cells."""

    cells: Cells
    counts: Counts


class Reference(Document):
    """With what the requests of a version are compared: the rows on which its gates were judged.

    Attributes:
        evaluation: the digest of the table. rows: how many it has.
        inputs: by column. scores: what the version says about the same rows, by name.
    """

    subject: ClassVar[str] = "the reference of the monitor"
    expected: ClassVar[str] = "a document of the format headgate/reference/v1"
    next_step: ClassVar[str] = "make it again from the evaluation table"

    format: Literal["headgate/reference/v1"] = "headgate/reference/v1"
    version: int
    evaluation: Digest
    rows: Count
    inputs: dict[str, Distribution]
    scores: dict[str, Distribution]


class Profile(Document):
    """The requests of one version in one window.

    Attributes:
        since, until: the window, its beginning excluded.
        requests: all of them, answered or not. failures: those without an answer.
        torn: lines that could not be read. repeated: lines with the id of another one; only the first is counted.
        inputs, scores: by name, counts in the reference's cells; scores of what was answered.
        latencies: bins of `LATENCIES` with the answered requests in each, those without one left out.
        labelled: of the answered requests, those whose outcome is known; None where nobody asked.
    """

    subject: ClassVar[str] = "the profile of a window"
    expected: ClassVar[str] = "a document of the format headgate/profile/v1"
    next_step: ClassVar[str] = "make it again from the telemetry"

    format: Literal["headgate/profile/v1"] = "headgate/profile/v1"
    version: int
    since: Time
    until: Time
    requests: Count = 0
    failures: Count = 0
    torn: Count = 0
    repeated: Count = 0
    inputs: dict[str, Counts]
    scores: dict[str, Counts]
    latencies: tuple[tuple[int, Count], ...] = ()
    labelled: Count | None = None

    @property
    def answered(self) -> int:
        """The requests that got an answer."""
        return self.requests - self.failures

    @property
    def garbled(self) -> bool:
        """Whether more than one line in a hundred could not be read: then nothing is known of the others."""
        return self.torn * 100 > self.requests + self.torn

    def variation(self, counted: Counts, reference: Distribution) -> Estimate | Unmeasurable:
        """How far one column is from the reference's, which is taken as it is: of that table, not of its source."""
        n, cells = sum(counted), reference.cells.size
        if not n or not sum(reference.counts):
            return Unmeasurable("there are no rows to compare")
        value = distance(counted, reference.counts)
        return Estimate(
            value, n, n, f"total variation over {cells} cells", lambda a: bounds.total_variation(value, cells, n, a)
        )

    def share_failed(self) -> Estimate | Unmeasurable:
        """The share of requests without an answer."""
        n = self.requests
        if not n:
            return Unmeasurable("there was no request")
        return Estimate(self.failures / n, n, n, "Clopper-Pearson", lambda a: bounds.proportion(self.failures, n, a))

    def slowest(self, percent: int = 99) -> Estimate | Unmeasurable:
        """The milliseconds that so many percent of the answered requests do not exceed, to one hundredth of itself."""
        places = np.repeat([b for b, _ in self.latencies], [n for _, n in self.latencies]).tolist()
        n, share = len(places), percent / 100
        if not n:
            return Unmeasurable("no request was answered")
        value = _ends(places[-(-percent * n // 100) - 1])[1]
        return Estimate(value, n, n, "order statistics", lambda a: _between(bounds.quantile(places, share, a)))


def profile(
    reference: Reference,
    since: str,
    until: str,
    lines: Sequence[Served],
    *,
    torn: int = 0,
    repeated: int = 0,
    labelled: int | None = None,
) -> Profile:
    """The profile of some requests of a window."""
    answered = [line for line in lines if line.failure is None]
    wide = len(reference.scores)
    said = [line.scores if len(line.scores) == wide else ("no such score",) * wide for line in answered]
    spread = np.bincount([bisect_left(LATENCIES, line.ms) for line in answered], minlength=1)
    return Profile(
        version=reference.version,
        since=since,
        until=until,
        requests=len(lines),
        failures=len(lines) - len(answered),
        torn=torn,
        repeated=repeated,
        inputs={c: d.cells.counts([line.inputs.get(c) for line in lines]) for c, d in reference.inputs.items()},
        scores={
            name: d.cells.counts([scores[place] for scores in said])
            for place, (name, d) in enumerate(reference.scores.items())
        },
        latencies=tuple((b, int(spread[b])) for b in np.flatnonzero(spread).tolist()),
        labelled=labelled,
    )


def merge(a: Profile, b: Profile) -> Profile:
    """The profile of the requests of both, of one window; associative and commutative."""
    spread = dict(a.latencies)
    for bin_, n in b.latencies:
        spread[bin_] = spread.get(bin_, 0) + n
    labels = [p.labelled for p in (a, b) if p.labelled is not None]
    return Profile(
        version=a.version,
        since=a.since,
        until=a.until,
        requests=a.requests + b.requests,
        failures=a.failures + b.failures,
        torn=a.torn + b.torn,
        repeated=a.repeated + b.repeated,
        inputs=_added(a.inputs, b.inputs),
        scores=_added(a.scores, b.scores),
        latencies=tuple(sorted(spread.items())),
        labelled=sum(labels) if labels else None,
    )


def _added(a: dict[str, Counts], b: dict[str, Counts]) -> dict[str, Counts]:
    return {name: tuple(x + y for x, y in zip(counts, b[name], strict=True)) for name, counts in a.items()}


def _ends(place: int) -> Bounds:
    """Between which milliseconds the values of a bin are."""
    return (LATENCIES[place - 1] if place else 0.0), (LATENCIES[place] if place < len(LATENCIES) else np.inf)


def _between(places: Bounds) -> Bounds:
    low, high = places
    return (_ends(int(low))[0] if np.isfinite(low) else 0.0), (_ends(int(high))[1] if np.isfinite(high) else np.inf)
