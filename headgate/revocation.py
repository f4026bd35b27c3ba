"""What a person signs to take a waiver back, and when that counts."""

from __future__ import annotations

from typing import Literal

from pydantic import ValidationError

from headgate import sshsig
from headgate.approval import Signed, moment, not_showable, root_of
from headgate.entry import Digest, Line
from headgate.errors import HeadgateError
from headgate.ledger import Ledger
from headgate.release import Waiver
from headgate.signers import AllowedSigners
from headgate.waived import WaiverRevoked
from headgate.waiver import Person, Reason, namespace, stranger, unlike


class RevocationStatement(Signed):
    """The text by which one person takes a waiver back: its slot, and the digest of what was signed there."""

    subject = "revocation of a waiver"
    command = "headgate waive --revoke --show"

    what: Literal["Headgate waiver revocation v1"] = "Headgate waiver revocation v1"
    model: Line
    waiver: int
    statement: Digest
    reason: Reason
    person: Line
    role: Line
    ledger_size: int
    ledger_root: Digest


def revocation(ledger: Ledger, waiver: Waiver, *, person: str, role: str, reason: str) -> RevocationStatement:
    """What `person` would sign now to take a waiver back.

    Raises:
        BadInput: a text has signs in it that are not shown, or nothing in it.
    """
    try:
        return RevocationStatement(
            model=ledger.model,
            waiver=waiver.seq,
            statement=waiver.record.statement,
            reason=reason,
            person=person,
            role=role,
            ledger_size=ledger.size,
            ledger_root=ledger.root(),
        )
    except ValidationError as error:
        raise not_showable(RevocationStatement, error) from error


def revocation_objections(
    text: bytes,
    signature: bytes,
    *,
    signers: AllowedSigners,
    ledger: Ledger,
    waiver: Waiver,
    at: str,
    record: WaiverRevoked | None = None,
) -> tuple[str, ...]:
    """Why a signed revocation does not take `waiver` back at time `at`; nothing if it does.

    Whoever may sign in one of the waiver's roles may take it back: to be careful needs no second person.
    """
    when = moment(at)
    try:
        spoken = RevocationStatement.read(text)
        key = sshsig.verify(text, signature, namespace(spoken.role))
    except HeadgateError as error:
        return (str(error),)
    pairs = [
        ("model", spoken.model, ledger.model),
        ("slot", spoken.waiver, waiver.seq),
        ("waiver", spoken.statement, waiver.record.statement),
        ("ledger root", spoken.ledger_root, root_of(ledger, spoken.ledger_size)),
    ]
    if record is not None:
        said = ("waiver", "person", "role", "reason")
        pairs += [(f"recorded {name}", getattr(spoken, name), getattr(record, name)) for name in said]
        pairs.append(("recorded key", key.fingerprint, record.key))
    found = unlike(pairs)
    roles = sorted({p.role for p in waiver.record.people})
    strange = () if spoken.role in roles else (f"{spoken.role} is not a role of this waiver; expected one of {roles}",)
    return (*found, *strange, *stranger(Person(person=spoken.person, role=spoken.role), key, signers, when))
