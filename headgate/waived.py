"""What is recorded about waivers: exceptions that people signed, and their revocation."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from headgate.entry import Digest
from headgate.record import Record, TakenBack


class Signatory(Record):
    """Who signed a waiver: in which role, and with which key."""

    role: str
    person: str
    key: str


class Waived(Record):
    """People except one gate from its verdict, by a signature each. It belongs to no release.

    Attributes:
        slice: the one slice it is about; None for the whole gate.
        covers: the worst verdict that it excuses. What could not be measured (ERROR), nobody can excuse.
        until: the last day on which it counts, in UTC.
        policy, policy_file: the policy that it is an exception from.
        signatures: in the order of `people`.
    """

    gate: str
    slice: str | None
    covers: Literal["INCONCLUSIVE", "FAIL"]
    reason: str
    until: date
    policy: Digest
    policy_file: Digest
    people: Annotated[tuple[Signatory, ...], Field(min_length=2)]
    statement: Digest
    signatures: Annotated[tuple[Digest, ...], Field(min_length=2)]
    signers: Digest


class WaiverRevoked(TakenBack):
    """A person took a waiver back, by a signature. `waiver` is its slot. From here on it is never used again."""

    waiver: int
