"""The walk of an audit: what it has at hand, where it stands, and what it brings home."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from headgate.entry import Digest, Entry
from headgate.errors import Tampered
from headgate.ledger import Anomaly, Ledger
from headgate.policy import Policy
from headgate.policy_file import parse
from headgate.records import Requested
from headgate.release import Release
from headgate.signers import AllowedSigners
from headgate.state import State

COUNTED = ("digests", "verdicts", "approvals", "waivers", "pages", "reports", "flags")


@dataclass(frozen=True)
class Findings:
    """What an audit looked at and what was wrong.

    Attributes:
        entries, digests, verdicts, approvals, waivers, pages, reports, flags: how many were checked; none is not
            "all well".
        anomalies: everything that is wrong, in the order of the ledger. Beside those of `Anomaly`, the names are
            ``changed_evidence``, ``missing_evidence``, ``broken_rule``, ``not_recomputable``, ``wrong_policy``,
            ``other_champion``, ``other_verdict``, ``other_package``, ``other_quorum``, ``void_approval``,
            ``void_waiver``, ``other_standing``, ``unknown_signer``, ``other_alias``, ``moved_alias``,
            ``other_page``, ``other_report``, ``other_flags``, ``other_plan``, ``other_reference``,
            ``other_window``, ``void_alarm``, ``void_closing``, and those of `headgate.witness`.
        ledger: what was audited; where the chain is broken, it is no ledger.
        checkpoint: the signed note of what was audited, where nothing is wrong and the key is at hand.
    """

    entries: int
    digests: int
    verdicts: int
    approvals: int
    waivers: int
    pages: int
    reports: int
    flags: int
    anomalies: tuple[Anomaly, ...]
    ledger: Ledger = field(compare=False, repr=False)
    checkpoint: str | None = None


@dataclass
class Walk:
    """What an audit has at hand on its way, and how much of it was checked.

    Attributes:
        evidence: by the digest that its bytes have. signers: as known from outside the store, None if they are not.
    """

    model: str
    evidence: Mapping[Digest, bytes]
    signers: AllowedSigners | None
    checked: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTED, 0))

    def get(self, digest: Digest) -> bytes:
        """The bytes of a digest. Raises Tampered if there are none."""
        if digest not in self.evidence:
            raise Tampered(
                f"evidence {digest}", got="nothing", expected="its bytes", next_step="restore it from a copy"
            )
        return self.evidence[digest]

    def policy(self, release: Release) -> Policy:
        """The policy that a release was opened under, from the bytes of its file."""
        return parse(self.get(release.step(Requested).policy_file), f"of release {release.id}")


@dataclass(frozen=True)
class Place:
    """An entry in its place in a ledger: `state` as it is after it, `aliases` as they stood before it."""

    entry: Entry
    state: State
    aliases: Mapping[str, int]
    ledger: Ledger

    @property
    def before(self) -> Ledger:
        """The ledger as it stood before the entry."""
        return self.ledger.at(self.slot)

    @property
    def slot(self) -> int:
        """The entry's slot."""
        return self.entry.seq

    @property
    def time(self) -> str:
        """When the entry was written."""
        return self.entry.time

    @property
    def name(self) -> str:
        """The release that the entry is about."""
        return str(self.entry.release)

    @property
    def release(self) -> Release:
        """The release that the entry is about, as it stands after it."""
        return self.state.release(self.name)

    def anomaly(self, name: str, got: object, expected: object) -> Anomaly:
        """Something that is wrong here."""
        return Anomaly(name, self.slot, str(got), str(expected))
