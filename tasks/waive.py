"""Waive: take people's signatures under a waiver, or under the revocation of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from headgate import sshsig
from headgate.canonical import digest_of
from headgate.errors import BadInput
from headgate.release import Waiver
from headgate.revocation import RevocationStatement, revocation, revocation_objections
from headgate.waived import Signatory, Waived, WaiverRevoked
from headgate.waiver import Covers, WaiverStatement, arranged, keys_of, namespace, objections, waiver
from tasks.read import SIGNERS, read_file, read_policy, read_signers
from tasks.record import Desk, now
from tasks.sign import pen


@dataclass(frozen=True)
class Terms:
    """What is waived: as in `headgate.waiver.WaiverStatement`."""

    gate: str
    slice: str | None
    covers: Covers
    reason: str
    until: date


def statement(desk: Desk, folder: Path, terms: Terms, people: Sequence[tuple[str, str]]) -> WaiverStatement:
    """The text that `people`, each with a role, would sign now."""
    policy = read_policy(folder)
    return waiver(desk.ledger(), policy, **vars(terms), people=people, at=now())


def waive(desk: Desk, folder: Path, terms: Terms, keys: Sequence[tuple[str, Path]]) -> Waiver:
    """Sign a waiver with keys that are all at hand, each in a role, and record it.

    Raises:
        BadInput: a key is nobody's, or the waiver would not count, with every reason. Nothing is recorded.
    """
    signers = read_signers(folder)
    pens = [(pen(path, namespace(role), signers), role) for role, path in keys]
    text = statement(desk, folder, terms, [(by.person, role) for by, role in pens]).text()
    return record_waiver(desk, folder, text, [by.sign(text) for by, _ in pens])


def record_waiver(desk: Desk, folder: Path, text: bytes, signatures: Sequence[bytes]) -> Waiver:
    """Record a waiver, wherever it was signed, if it counts. The signatures may come in any order.

    Raises:
        BadInput: it does not count, with every reason, or it is recorded already. Nothing is recorded.
        Tampered: the text is no waiver.
    """
    signers, policy, ledger, at = read_signers(folder), read_policy(folder), desk.ledger(), now()
    signed = arranged(text, signatures, signers, at)
    against = objections(text, signed, signers=signers, ledger=ledger, policy=policy, at=at)
    if any(known.record.statement == digest_of(text) for known in desk.state().waivers.values()):
        against = (*against, "it is recorded already; what was revoked needs a new text")
    if against:
        raise _refused("waiver", against)
    spoken = WaiverStatement.read(text)
    evidence = {
        "policy": desk.keep(policy.model_dump(mode="json")),
        "policy_file": desk.evidence.put(read_file(folder / "policy.toml")),
        "statement": desk.evidence.put(text),
        "signers": desk.evidence.put(read_file(folder / SIGNERS)),
    }
    written = desk.write(None, _waived(desk, spoken, signed, evidence), actor=spoken.people[0].person)
    return desk.state().waivers[written.size - 1]


def _waived(desk: Desk, spoken: WaiverStatement, signatures: Sequence[bytes], evidence: Mapping[str, str]) -> Waived:
    people = zip(spoken.people, keys_of(spoken.text(), signatures), strict=True)
    return Waived(
        gate=spoken.gate,
        slice=spoken.slice,
        covers=spoken.covers,
        reason=spoken.reason,
        until=spoken.until,
        people=tuple(Signatory(role=p.role, person=p.person, key=key.fingerprint) for p, key in people),
        signatures=tuple(desk.evidence.put(signature) for signature in signatures),
        **evidence,
    )


def revocation_statement(desk: Desk, slot: int, *, person: str, role: str, reason: str) -> RevocationStatement:
    """The text by which `person` would take the waiver of a slot back now.

    Raises:
        BadInput: there is no such waiver, or it is revoked already.
    """
    return revocation(desk.ledger(), _standing(desk, slot), person=person, role=role, reason=reason)


def revoke(desk: Desk, folder: Path, slot: int, *, role: str, key: Path, reason: str) -> Waiver:
    """Take a waiver back with a key that is at hand, at once.

    Raises:
        BadInput: the key is nobody's, there is no such waiver, or the signature would not count.
    """
    by = pen(key, namespace(role), read_signers(folder))
    text = revocation_statement(desk, slot, person=by.person, role=role, reason=reason).text()
    return record_revocation(desk, folder, slot, text, by.sign(text))


def record_revocation(desk: Desk, folder: Path, slot: int, text: bytes, signature: bytes) -> Waiver:
    """Record a revocation, wherever it was signed, if it counts.

    Raises:
        BadInput: it does not, with every reason. Nothing is recorded.
        Tampered: the text is no revocation.
    """
    signers, spoken = read_signers(folder), RevocationStatement.read(text)
    revoked = _standing(desk, slot)
    against = revocation_objections(text, signature, signers=signers, ledger=desk.ledger(), waiver=revoked, at=now())
    if against:
        raise _refused("revocation of a waiver", against)
    record = WaiverRevoked(
        waiver=revoked.seq,
        role=spoken.role,
        person=spoken.person,
        key=sshsig.verify(text, signature, namespace(spoken.role)).fingerprint,
        reason=spoken.reason,
        statement=desk.evidence.put(text),
        signature=desk.evidence.put(signature),
        signers=desk.evidence.put(read_file(folder / SIGNERS)),
    )
    desk.write(None, record, actor=spoken.person)
    return desk.state().waivers[revoked.seq]


def _standing(desk: Desk, slot: int) -> Waiver:
    known = desk.state().waivers
    if slot not in known or known[slot].revoked is not None:
        listed = ", ".join(str(seq) for seq, one in known.items() if one.revoked is None) or "none"
        raise BadInput(
            f"waiver of slot {slot}",
            got="no waiver that can be revoked",
            expected=f"the slot of one that is not revoked yet: {listed}",
            next_step=f"run `headgate status {desk.model}`",
        )
    return known[slot]


def _refused(subject: str, reasons: Sequence[str]) -> BadInput:
    return BadInput(
        subject,
        got=f"signatures that do not count: {'; '.join(reasons)}",
        expected="a text that the policy allows, signed by the people in it",
        next_step="see `headgate waive --help`, and [waivers] in policy.toml",
    )
