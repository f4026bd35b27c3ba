"""A subject of a report: one release, how good its version is and for whom, from the evidence that its ledger names.

What cannot be read is named as lost, and what was not measured as not measured: neither is ever left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from headgate.canonical import short
from headgate.entry import Digest
from headgate.errors import HeadgateError
from headgate.excuse import excused, headline
from headgate.forest import forest
from headgate.judgement import Judged
from headgate.pedigree import pedigree
from headgate.plain_summary import mistakes, shares
from headgate.policy import Policy
from headgate.policy_file import parse
from headgate.records import Evaluated, Packaged, Registered, Requested, Validated
from headgate.release import Release, Stage
from headgate.rollout import terms
from headgate.slices import ALL
from headgate.subgroups import by_group
from headgate.tally import Tally

Read = Callable[[Digest], bytes]
T = TypeVar("T")


@dataclass(frozen=True)
class Group:
    """The figures of a group: by metric its value with bounds, each as it is shown."""

    name: str
    rows: str
    figures: Mapping[str, str]


@dataclass(frozen=True)
class Subject:
    """A release in a report.

    Attributes:
        live_as: the aliases that its version has now.
        data, verdict: what the data gate and the gates said, None if they were not asked.
        headline: the same as `verdict`, or what waivers leave of it, in words.
        judged: every comparison; None if there is none, or if it is lost.
        why: of each gate, why the policy demands it. excused: the gates that did not pass and are waived.
        right: of 100 cases of each group that is large enough, how many are answered rightly; nothing where that is
            no sensible number. mistakes: the kinds of mistakes, in words.
        groups: every group. small: those that are too small to be told.
        lost: evidence that the ledger names and that cannot be read.
        picture, lineage: the comparisons, and where the version comes from, as SVG; empty if not to be drawn.
    """

    release: str
    version: int | None
    stage: Stage
    live_as: tuple[str, ...]
    packaged: bool
    data: str | None
    verdict: str | None
    headline: str | None
    judged: Judged | None
    rows: int | None
    why: Mapping[str, str]
    excused: tuple[str, ...]
    right: Mapping[str, int]
    mistakes: str
    groups: tuple[Group, ...]
    small: tuple[str, ...]
    lost: tuple[str, ...]
    picture: str = field(repr=False, default="")
    lineage: str = field(repr=False, default="")


class Reader:
    """Reads evidence, and remembers what cannot be read.

    Args:
        read: the bytes of a digest; raises a `HeadgateError` where there are none.
    """

    def __init__(self, read: Read) -> None:
        self._read = read
        self.lost: list[str] = []

    def get(self, what: str, digest: Digest | None, make: Callable[[bytes], T]) -> T | None:
        """What some evidence holds; None if there is no digest, or if it is lost."""
        if digest is None:
            return None
        try:
            return make(self._read(digest))
        except (HeadgateError, ValueError):  # the same words whatever it was: a report is made again elsewhere
            self.lost.append(f"{what} ({short(digest)})")
            return None


def policy_of(release: Release, reader: Reader) -> Policy | None:
    """The policy that a release was opened under; None if it is lost."""
    file = release.step(Requested).policy_file
    return reader.get(f"the policy of {release.id}", file, lambda data: parse(data, f"of release {release.id}"))


def subject(model: str, release: Release, live_as: tuple[str, ...], read: Read) -> Subject:
    """What there is to say about a release."""
    reader, evaluated, validated = Reader(read), release.find(Evaluated), release.find(Validated)
    policy = policy_of(release, reader)
    judged = reader.get("the verdicts", evaluated.judged if evaluated else None, Judged.model_validate_json)
    tally = reader.get("the counts of predictions", evaluated.tally if evaluated else None, Tally.from_bytes)
    registered = release.find(Registered)
    told = {} if policy is None or tally is None else _told(policy, tally)
    return Subject(
        release=release.id,
        version=registered.version if registered else None,
        stage=release.stage,
        live_as=live_as,
        packaged=release.find(Packaged) is not None,
        data=validated.verdict.name if validated else None,
        verdict=evaluated.verdict.name if evaluated else None,
        headline=_headline(release, evaluated, judged),
        judged=judged,
        rows=tally.slices[ALL].rows if tally else None,
        why={gate.label: gate.why for gate in policy.gate if gate.why} if policy else {},
        excused=tuple(dict.fromkeys(j.gate for j in excused(judged, release.waivers))) if judged else (),
        right=told.get("right", {}),
        mistakes=told.get("mistakes", ""),
        groups=told.get("groups", ()),
        small=told.get("small", ()),
        lost=tuple(reader.lost),
        picture=forest(judged, title=f"{release.id}: {judged.verdict.name}") if judged else "",
        lineage=pedigree(model, release, judged, terms(policy) if policy else ()),
    )


def _headline(release: Release, evaluated: Evaluated | None, judged: Judged | None) -> str | None:
    if evaluated is None:
        return None
    return evaluated.verdict.name if judged is None else headline(judged, release.waivers)


def _told(policy: Policy, tally: Tally) -> dict[str, Any]:
    small = [label for label in tally.labels if tally.slices[label].rows < policy.data.min_slice_rows]
    return {
        "right": shares(policy, tally),
        "mistakes": mistakes(policy, tally).strip(),
        "groups": _groups(policy, tally),
        "small": tuple(label for label in small if label != ALL),
    }


def _groups(policy: Policy, tally: Tally) -> tuple[Group, ...]:
    figures: dict[tuple[str, str], dict[str, str]] = {}
    for label, rows, metric, value, bounds, _ in by_group(policy, tally):
        figures.setdefault((label, rows), {})[metric] = f"{value} ({bounds})" if bounds else value
    return tuple(Group(label, rows, found) for (label, rows), found in figures.items())
