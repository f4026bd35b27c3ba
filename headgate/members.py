"""Members: the numbers of which a check is made, each with the rows that it rests on, and how many of them there are.

How many there are depends on the evaluation table and never on what is seen: what is spent on a claim must not. Harm in
a group that the table does not have is therefore claimed of nobody, and the group is named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from headgate.estimate import Estimate, Unmeasurable, measure
from headgate.mandate import Mandate
from headgate.profile import SCORE, Profile, Reference
from headgate.slices import ALL, groups_of
from headgate.stewardship import Check
from headgate.tally import Tally

MOST_LACKING = 0.1
"""If a larger share of the outcomes that are due has not come, those that have come do not let a check pass."""


@dataclass(frozen=True)
class Seen:
    """What was counted for one check; `lack` says why nothing was. Only `performance` has a tally, if a label came."""

    profile: Profile | None = None
    tally: Tally | None = None
    lack: str = ""


@dataclass(frozen=True)
class Member:
    """One number that is held against a limit; `rows` of which at least `least` are demanded; `note` is said with it.

    `new` is a group that the evaluation table does not have: it is no member of the family, and nothing is claimed.
    """

    check: Check
    of: str
    slice: str
    estimate: Estimate | Unmeasurable
    rows: int
    least: int
    note: str = ""
    partial: bool = False
    new: bool = False


def family_of(check: Check, reference: Reference | None, known: Tally) -> int:
    """How many members a check has, whatever is seen: what is spent must not depend on it."""
    if check.watches == "performance":
        return len(check.of) * len(_groups(check, known))
    if check.watches == "scores":
        return 1 if reference is None else len(reference.scores)
    return {"inputs": len(check.of), "volume": 0}.get(check.watches, 1)


def _groups(check: Check, tally: Tally) -> tuple[str, ...]:
    if check.slices is None:
        return (ALL,)
    return tuple(label for piece in check.slices for label in groups_of(piece, tally.labels))


@dataclass(frozen=True)
class Ground:
    """What the members of a check are made of."""

    mandate: Mandate
    check: Check
    reference: Reference | None
    known: Tally
    profile: Profile
    tally: Tally | None

    @property
    def least(self) -> int:
        """The rows without which nothing is decided."""
        stated = self.mandate.monitoring.monitoring
        return stated.min_rows if stated else 1

    def member(self, of: str, estimate: Estimate | Unmeasurable, rows: int, slice_: str = ALL) -> Member:
        """A member without anything special."""
        note = f"; {self.profile.torn:,} more lines cannot be read" if self.profile.torn else ""
        return Member(self.check, of, slice_, estimate, rows, self.least, note)


def _inputs(at: Ground) -> Iterator[Member]:
    for column in at.check.of:
        yield _compared(at, column, "inputs")


def _scores(at: Ground) -> Iterator[Member]:
    for name in at.reference.scores if at.reference else (SCORE,):
        yield _compared(at, name, "scores")


def _compared(at: Ground, name: str, what: Literal["inputs", "scores"]) -> Member:
    spread = getattr(at.reference, what).get(name) if at.reference else None
    counts = getattr(at.profile, what).get(name)
    if spread is None or counts is None:
        return at.member(
            name, Unmeasurable("requests or the evaluation table have no such numbers or texts"), at.profile.requests
        )
    return at.member(name, at.profile.variation(counts, spread), sum(counts))


def _latency(at: Ground) -> Iterator[Member]:
    yield at.member("latency_p99_ms", at.profile.slowest(), at.profile.answered)


def _failures(at: Ground) -> Iterator[Member]:
    yield at.member("share of failures", at.profile.share_failed(), at.profile.requests)


def _performance(at: Ground) -> Iterator[Member]:
    due, labelled = at.profile.answered, at.profile.labelled or 0
    note = f"; {due - labelled:,} of {due:,} outcomes that are due have not come" if due > labelled else ""
    partial = due - labelled > MOST_LACKING * due
    known, seen = _groups(at.check, at.known), () if at.tally is None else _groups(at.check, at.tally)
    for metric in at.check.of:
        for label in (*known, *sorted(set(seen) - set(known))):
            estimate, rows, least = _measured(at, metric, label)
            new = label not in known
            yield Member(at.check, metric, label, estimate, rows, least, note, partial=partial, new=new)


def _measured(at: Ground, metric: str, label: str) -> tuple[Estimate | Unmeasurable, int, int]:
    """The metric in a group, the rows that it rests on, and how many are demanded."""
    due, labelled = at.profile.answered, at.profile.labelled or 0
    if at.tally is None or not labelled:
        # Where few are due there are few rows, and that is all; where enough are due, they have not come.
        return Unmeasurable(f"none of {due:,} outcomes that are due has come"), due, at.least
    if labelled < at.least or label == ALL:
        return measure(at.tally, metric, label), labelled, at.least
    size = at.tally.slices.get(label)
    return measure(at.tally, metric, label), size.rows if size else 0, at.mandate.policy.data.min_slice_rows


_MEMBERS: Mapping[str, Callable[[Ground], Iterator[Member]]] = {
    "inputs": _inputs,
    "scores": _scores,
    "latency": _latency,
    "failures": _failures,
    "performance": _performance,
}
"""Of each thing that is watched, but for volume, which is counted and judged as it is."""


def members(at: Ground) -> Iterator[Member]:
    """The members of a check that is not `volume`."""
    return _MEMBERS[at.check.watches](at)
