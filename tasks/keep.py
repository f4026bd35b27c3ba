"""Keep: the calibrations that were made, found again by the policy and the table that they speak of.

They are evidence, named beside it in the store and not in the ledger: nothing is decided by them. Whoever can write to
the store can therefore forge one; what stands in a package was at least signed for by the approvers.
"""

from __future__ import annotations

from dataclasses import dataclass

from headgate.calibration import Calibration, Known
from headgate.canonical import digits
from headgate.entry import Digest
from headgate.errors import HeadgateError
from tasks.record import Desk


@dataclass(frozen=True)
class Kept:
    """The calibrations of one policy on one table.

    Attributes:
        found: those that can be read, in the order of their digests. unreadable: why the others cannot.
    """

    found: tuple[Calibration, ...]
    unreadable: tuple[str, ...]

    @property
    def best(self) -> Calibration | None:
        """The one that says most: of most runs, and of those the one with most problems."""
        return max(self.found, key=lambda c: (c.runs, len(c.problems), c.digest), default=None)


def keep(desk: Desk, calibration: Calibration) -> Digest:
    """Store a calibration; storing it again changes nothing."""
    digest = desk.evidence.put(calibration.to_bytes())
    place = _place(desk, calibration.policy, calibration.evaluation)
    desk.store.put(place + digits(digest), digest.encode())
    return digest


def kept(desk: Desk, policy: Digest, evaluation: Digest) -> Kept:
    """All calibrations of a policy on a table. One that cannot be read, or speaks of something else, is no calibration.

    Raises:
        Unavailable: the store cannot be read.
    """
    place = _place(desk, policy, evaluation)
    found: list[Calibration] = []
    unreadable: list[str] = []
    for name in desk.store.names(place):
        try:
            read = Calibration.from_bytes(desk.evidence.get(f"sha256:{name.removeprefix(place)}"))
        except HeadgateError as error:
            unreadable.append(str(error))
            continue
        if (read.policy, read.evaluation) == (policy, evaluation):
            found.append(read)
        else:
            unreadable.append(f"{read.digest} speaks of another policy or table")
    return Kept(tuple(found), tuple(unreadable))


def known(desk: Desk, policy: Digest, evaluation: Digest) -> Known:
    """What a package holds about the gates' own calibration."""
    found = kept(desk, policy, evaluation)
    others = [c for c in found.found if c is not found.best]
    unsound = sum(not c.sound for c in others)
    return Known(best=found.best, others=len(others), unsound=unsound, unreadable=found.unreadable)


def _place(desk: Desk, policy: Digest, evaluation: Digest) -> str:
    return f"calibration/{desk.model}/{digits(policy)}/{digits(evaluation)}/"
