"""What a person signs, and when a signature counts.

The statement is the exact text that the person was shown. It names the package, the policy, and the ledger's size and
root, so that every approver is also a witness of the history up to then: whoever rewrites it needs their key too.
A role is the namespace of the signature (`risk@headgate`), so that the `namespaces=` option of OpenSSH's
`allowed_signers` says who may sign for which role, and `ssh-keygen -Y verify` enforces it without our code.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from headgate import sshsig
from headgate.entry import Digest, Line
from headgate.errors import BadInput, HeadgateError, Tampered
from headgate.ledger import Ledger
from headgate.records import KINDS, ApprovalRequested, Approved, Packaged, Registered, Rejected, Requested, Time
from headgate.release import Release
from headgate.signers import AllowedSigners
from headgate.sshkey import PublicKey

Decision = Literal["approve", "reject"]


def _visible(text: str) -> str:
    if not text.isprintable():
        raise ValueError("line breaks, control or invisible signs, which could show another text than is signed")
    return text


class Statement(BaseModel):
    """The text that a person signs."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    what: Literal["Headgate approval statement v1"] = "Headgate approval statement v1"
    decision: Decision
    reason: Annotated[str, Field(max_length=2000), AfterValidator(_visible)]
    person: Line
    role: Line
    model: Line
    version: int
    release: Line
    package: Digest
    policy: Digest
    ledger_size: int
    ledger_root: Digest
    expires: Time

    def text(self) -> bytes:
        """The exact bytes to sign: readable JSON, in this order of fields, with a final newline."""
        return (json.dumps(self.model_dump(), indent=2, ensure_ascii=False) + "\n").encode()

    @classmethod
    def read(cls, text: bytes) -> Statement:
        """The statement that `text` spells.

        Raises:
            Tampered: it spells none, or spells it otherwise than `text()` does.
        """
        try:
            statement = cls.model_validate_json(text)
        except ValueError as error:
            raise _not_a_statement(str(error)) from error
        if statement.text() != text:
            raise _not_a_statement("another spelling of it")
        return statement


def namespace(role: str) -> str:
    """The SSH signature namespace of a role."""
    return f"{role}@headgate"


def statement(
    ledger: Ledger, release: Release, *, person: str, role: str, decision: Decision, reason: str = ""
) -> Statement:
    """What `person` would sign now.

    Raises:
        BadInput: the release has not asked for approval yet, or a text has signs in it that are not shown.
    """
    try:
        return Statement(
            decision=decision,
            reason=reason,
            person=person,
            role=role,
            model=ledger.model,
            version=release.step(Registered).version,
            release=release.id,
            package=release.step(Packaged).package,
            policy=release.step(Requested).policy,
            ledger_size=ledger.size,
            ledger_root=ledger.root(),
            expires=release.step(ApprovalRequested).expires,
        )
    except ValidationError as error:
        raise _not_showable(error) from error


def objections(
    text: bytes,
    signature: bytes,
    *,
    signers: AllowedSigners,
    ledger: Ledger,
    release: Release,
    at: str,
    record: Approved | None = None,
) -> tuple[str, ...]:
    """Why a signed statement does not count for `release` at time `at`; nothing if it does.

    Args:
        text: the statement's exact bytes. signature: the SSH signature over them, armored.
        signers: who may sign for what. ledger, release: what the statement must speak of.
        at: RFC 3339 time in UTC; validity is judged when the answer is recorded and again when it is used.
        record: the answer as the ledger has it, once it is recorded: it must say what was signed.

    Raises:
        BadInput: the release has not asked for approval yet, or `at` is no time with a zone.
    """
    try:
        spoken = Statement.read(text)
        key = sshsig.verify(text, signature, namespace(spoken.role))
    except HeadgateError as error:
        return (str(error),)
    when = moment(at)
    named = signers.who(key, namespace(spoken.role), when)
    recorded = () if record is None else _recorded(spoken, key, record)
    return (*_identity(spoken, named, signers, release), *_subject(spoken, ledger, release, when), *recorded)


def _recorded(spoken: Statement, key: PublicKey, record: Approved) -> Iterator[str]:
    decision = "reject" if isinstance(record, Rejected) else "approve"
    for what, got, expected in (
        ("person", record.person, spoken.person),
        ("role", record.role, spoken.role),
        ("decision", decision, spoken.decision),
        ("key", record.key, key.fingerprint),
    ):
        if got != expected:
            yield f"the ledger's {what} is {got}, but {expected} was signed"


def _identity(spoken: Statement, named: tuple[str, ...], signers: AllowedSigners, release: Release) -> Iterator[str]:
    requester = release.step(Requested).requester
    if spoken.person not in named:
        who = ", ".join(named) or "nobody"
        yield f"the key may sign as {spoken.role} for {who}, not for {spoken.person}; see allowed_signers"
    if spoken.person.casefold() == requester.casefold() or _share_a_key(spoken.person, requester, signers):
        yield f"{spoken.person} asked for this release and cannot approve it; another person must"


def _share_a_key(person: str, requester: str, signers: AllowedSigners) -> bool:
    return bool(_keys(person, signers) & _keys(requester, signers))


def _keys(person: str, signers: AllowedSigners) -> set[PublicKey]:
    # Whoever asks types a name of their own choice: another case of a listed name is still that person.
    listed = {name for line in signers.lines for name in line.names if name.casefold() == person.casefold()}
    return {key for name in (person, *listed) for key in signers.keys_of(name)}


def _subject(spoken: Statement, ledger: Ledger, release: Release, when: datetime) -> Iterator[str]:
    asked = release.step(ApprovalRequested)
    for what, got, expected in (
        ("model", spoken.model, ledger.model),
        ("release", spoken.release, release.id),
        ("version", spoken.version, release.step(Registered).version),
        ("package", spoken.package, release.step(Packaged).package),
        ("policy", spoken.policy, release.step(Requested).policy),
        ("expiry", spoken.expires, asked.expires),
        ("ledger root", spoken.ledger_root, _root(ledger, spoken.ledger_size)),
    ):
        if got != expected:
            yield f"the statement's {what} is {got}; this release's is {expected}: sign the current statement"
    if spoken.role not in asked.roles:
        yield f"the policy asks for {', '.join(sorted(asked.roles))}, not for the role {spoken.role}"
    if spoken.ledger_size <= _request(ledger, release):
        yield f"the statement's ledger of {spoken.ledger_size} entries ends before the approval was asked for"
    if when >= moment(asked.expires):
        yield f"approval expired at {asked.expires}; ask for a new release"


def _root(ledger: Ledger, size: int) -> str:
    return ledger.root_at(size) if 0 <= size <= ledger.size else f"none of that size ({size} of {ledger.size} entries)"


def _request(ledger: Ledger, release: Release) -> int:
    # Only a statement that covers the request makes its signer a witness of what is approved.
    kind = KINDS[ApprovalRequested]
    return next((e.seq for e in ledger.entries if (e.kind, e.release) == (kind, release.id)), ledger.size)


def moment(time: str) -> datetime:
    """The moment that an RFC 3339 time names, in UTC.

    Raises:
        BadInput: it is no such time, or it has no zone and so means another moment on another machine.
    """
    try:
        found = datetime.fromisoformat(time)
    except ValueError as error:
        raise _no_time(time) from error
    if found.tzinfo is None:
        raise _no_time(time)
    return found.astimezone(UTC)


def _no_time(got: str) -> BadInput:
    return BadInput(
        "time", got=repr(got), expected="RFC 3339 with a zone, such as 2026-07-01T12:00:00Z", next_step="add the zone"
    )


def _not_showable(error: ValidationError) -> BadInput:
    found = error.errors(include_url=False, include_context=False)
    return BadInput(
        "approval statement",
        got="; ".join(f"{'.'.join(map(str, one['loc']))} {ascii(one['input'])[:80]}: {one['msg']}" for one in found),
        expected="one line of visible signs in each field",
        next_step="correct the name or the reason, and sign again",
    )


def _not_a_statement(why: str) -> Tampered:
    return Tampered(
        "approval statement",
        got=why,
        expected="the text that `headgate approve` shows, byte for byte",
        next_step="sign the statement again and change nothing in it",
    )
