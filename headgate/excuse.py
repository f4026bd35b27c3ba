"""What waivers change: never a verdict, only whether a release may go on with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from headgate.judgement import Judged, Judgement
from headgate.ledger import Ledger
from headgate.policy import Policy
from headgate.records import Requested
from headgate.release import Release, Waiver
from headgate.signers import AllowedSigners
from headgate.state import State
from headgate.verdict import Verdict, worst_of
from headgate.waiver import Read, still

_COVERED = {"INCONCLUSIVE": (Verdict.INCONCLUSIVE,), "FAIL": (Verdict.INCONCLUSIVE, Verdict.FAIL)}
"""What could not be measured is in neither: nobody can answer for a number that nobody has."""


@dataclass(frozen=True)
class Heard:
    """What became of the waivers that speak of a release's judgements.

    Attributes:
        used: those that count and were needed, by slot.
        refused: why the others do not count, by slot.
    """

    used: tuple[Waiver, ...]
    refused: Mapping[int, tuple[str, ...]]


def hear(
    judged: Judged,
    state: State,
    release: Release,
    *,
    policy: Policy,
    ledger: Ledger,
    signers: AllowedSigners,
    read: Read,
    at: str,
) -> Heard:
    """Which of the recorded waivers excuse judgements of a release at time `at`, the oldest first.

    Args:
        policy: the release's. ledger, signers: as they stand. read: the evidence behind a digest.
    """
    requester = release.step(Requested).requester
    used: list[Waiver] = []
    refused: dict[int, tuple[str, ...]] = {}
    for waiver in sorted(state.waivers.values(), key=lambda w: w.seq):
        if waiver.revoked is not None or not adds(waiver, judged, used):
            continue
        against = still(waiver, read, signers=signers, ledger=ledger, policy=policy, requester=requester, at=at)
        if against:
            refused[waiver.seq] = against
        else:
            used.append(waiver)
    return Heard(tuple(used), refused)


def covers(waiver: Waiver, judgement: Judgement) -> bool:
    """Whether a waiver is about a judgement, if it counts."""
    said = waiver.record
    about = said.gate == judgement.gate and said.slice in (None, judgement.slice)
    return about and judgement.verdict in _COVERED[said.covers]


def adds(waiver: Waiver, judged: Judged, others: Sequence[Waiver]) -> bool:
    """Whether a waiver covers a judgement that no other does."""
    return any(covers(waiver, j) for j in remaining(judged, others))


def remaining(judged: Judged, waivers: Sequence[Waiver]) -> tuple[Judgement, ...]:
    """The judgements that no waiver covers, those that pass among them."""
    return tuple(j for j in judged.judgements if not any(covers(w, j) for w in waivers))


def excused(judged: Judged, waivers: Sequence[Waiver]) -> tuple[Judgement, ...]:
    """The judgements that a waiver covers."""
    return tuple(j for j in judged.judgements if any(covers(w, j) for w in waivers))


def standing(judged: Judged, waivers: Sequence[Waiver]) -> Verdict:
    """What a release goes on with: the worst verdict, where PASS stands for each that is excused.

    Of no judgements it is ERROR, as ever.
    """
    left = [j.verdict for j in remaining(judged, waivers)]
    return worst_of((*left, *[Verdict.PASS] * len(excused(judged, waivers))))


def headline(judged: Judged, waivers: Sequence[Waiver]) -> str:
    """The verdict in a few words, such as ``PASS with 1 waiver (calibration: FAIL)``."""
    if not waivers:
        return judged.verdict.name
    found: dict[str, Verdict] = {}
    for j in excused(judged, waivers):
        found[j.gate] = max(j.verdict, found.get(j.gate, Verdict.PASS))
    gates = ", ".join(f"{gate}: {verdict.name}" for gate, verdict in found.items())
    number = f"{len(waivers)} waiver{'s' if len(waivers) > 1 else ''}"
    return f"{standing(judged, waivers).name} with {number} ({gates})"
