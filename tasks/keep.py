"""Keep: the calibrations that were made, found again by the policy and the table that they speak of.

They are evidence, named beside it in the store and not in the ledger: nothing is decided by them. Whoever can write to
the store can therefore forge one; what stands in a package was at least signed for by the approvers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from headgate.calibration import Calibration, not_measured, page
from headgate.canonical import digits
from headgate.entry import Digest
from headgate.errors import HeadgateError
from headgate.markdown import escaped
from tasks.record import Desk

PAGE, NUMBERS = "gate-calibration.md", "gate-calibration.json"


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


def pages(desk: Desk, policy: Digest, evaluation: Digest) -> dict[str, bytes]:
    """What a package says about the gates' own calibration: a page, and the numbers if there are any."""
    known = kept(desk, policy, evaluation)
    said = _said(known)
    if known.best is None:
        return {PAGE: not_measured(said).encode()}
    note = f"\n{escaped(said)}\n" if said else ""
    return {PAGE: (page(known.best) + note).encode(), NUMBERS: known.best.to_bytes()}


def _said(known: Kept) -> str:
    others = [c for c in known.found if c is not known.best]
    told = [
        *([f"{len(others)} more of this policy and table, {_unsound(others)} unsound."] if others else []),
        *(f"One could not be read: {why}" for why in known.unreadable),
    ]
    return " ".join(told)


def _unsound(others: Sequence[Calibration]) -> int:
    return sum(not c.sound for c in others)


def _place(desk: Desk, policy: Digest, evaluation: Digest) -> str:
    return f"calibration/{desk.model}/{digits(policy)}/{digits(evaluation)}/"
