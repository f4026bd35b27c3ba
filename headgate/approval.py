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
from shlex import quote
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from headgate import sshsig
from headgate.entry import Digest, Line
from headgate.errors import BadInput, HeadgateError, Tampered
from headgate.ledger import Ledger
from headgate.record import Time
from headgate.records import ApprovalRequested, Approved, Packaged, Registered, Rejected, Requested
from headgate.release import Release, Request
from headgate.signers import AllowedSigners
from headgate.sshkey import PublicKey
from headgate.watch import Withdrawn

Decision = Literal["approve", "reject", "withdraw"]
"""What a person says: yes, no, or that their yes does not hold any more."""


def _visible(text: str) -> str:
    if not text.isprintable():
        raise ValueError("line breaks, control or invisible signs, which could show another text than is signed")
    return text


Visible = Annotated[str, Field(max_length=2000), AfterValidator(_visible)]


class Signed(BaseModel):
    """Base of all texts that people sign: each has one spelling."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    subject: ClassVar[str]
    command: ClassVar[str]

    def text(self) -> bytes:
        """The exact bytes to sign: readable JSON, in this order of fields, with a final newline."""
        return (json.dumps(self.spelled(), indent=2, ensure_ascii=False) + "\n").encode()

    def spelled(self) -> dict[str, object]:
        """The fields as they stand in the text."""
        return self.model_dump(mode="json")

    @classmethod
    def read(cls, text: bytes) -> Self:
        """The statement that `text` spells.

        Raises:
            Tampered: it spells none, or spells it otherwise than `text()` does.
        """
        try:
            statement = cls.model_validate_json(text)
        except ValueError as error:
            raise _not_a_statement(cls, str(error)) from error
        if statement.text() != text:
            raise _not_a_statement(cls, "another spelling of it")
        return statement


class Statement(Signed):
    """The text that an approver signs.

    Of a stage it speaks only where people are asked about one, and of waivers where the gates were judged with some.
    """

    subject = "approval statement"
    command = "headgate approve"

    what: Literal["Headgate approval statement v1"] = "Headgate approval statement v1"
    decision: Decision
    reason: Visible
    person: Line
    role: Line
    model: Line
    version: int
    release: Line
    package: Digest
    policy: Digest
    stage: Line | None = None
    waivers: tuple[Annotated[str, AfterValidator(_visible)], ...] = ()
    ledger_size: int
    ledger_root: Digest
    expires: Time

    def spelled(self) -> dict[str, object]:
        """The fields as they stand in the text."""
        silent = {name for name in ("stage", "waivers") if not getattr(self, name)}
        return self.model_dump(mode="json", exclude=silent)


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
            stage=release.question.stage,
            waivers=tuple(waiver.told() for waiver in release.waivers),
            ledger_size=ledger.size,
            ledger_root=ledger.root(),
            expires=release.question.expires,
        )
    except ValidationError as error:
        raise not_showable(Statement, error) from error


def as_asked(ledger: Ledger, release: Release) -> Ledger:
    """The ledger right after people were asked: a statement over it is the same text whenever it is made.

    Raises:
        BadInput: nobody was asked yet.
    """
    return ledger.at(release.request.seq + 1)


def command(spoken: Signed, space: str) -> str:
    """The shell command that prints a signature of exactly this text; the key's place is for its owner to change."""
    text = spoken.text().decode()
    return f"ssh-keygen -Y sign -n {quote(space)} -f ~/.ssh/id_ed25519 <<'STATEMENT'\n{text}STATEMENT"


def objections(
    text: bytes,
    signature: bytes | None,
    *,
    signers: AllowedSigners,
    ledger: Ledger,
    release: Release,
    at: str,
    record: Approved | Withdrawn | None = None,
    request: Request | None = None,
) -> tuple[str, ...]:
    """Why a signed statement does not count for `release` at time `at`; nothing if it does.

    Args:
        text: the statement's exact bytes. signature: the SSH signature over them, armored; None for a click.
        signers: who may sign for what. ledger, release: what the statement must speak of.
        at: RFC 3339 time in UTC; validity is judged when the answer is recorded and again when it is used.
        record: the answer as the ledger has it, once it is recorded: it must say what was signed.
        request: what it answers; by default what people were asked last.

    Raises:
        BadInput: the release has not asked for approval yet, or `at` is no time with a zone.
    """
    try:
        spoken = Statement.read(text)
        key = None if signature is None else sshsig.verify(text, signature, namespace(spoken.role))
    except HeadgateError as error:
        return (str(error),)
    when, space, about = moment(at), namespace(spoken.role), request or release.request
    named = signers.people(space, when) if key is None else signers.who(key, space, when)
    clicked = tuple(_clicked(spoken, about.record)) if key is None else ()
    identity = _identity(spoken, named, signers, release, clicked=key is None)
    recorded = () if record is None else _recorded(spoken, key, record)
    return (*clicked, *identity, *_subject(spoken, ledger, release, about, when), *recorded)


def _clicked(spoken: Statement, asked: ApprovalRequested) -> Iterator[str]:
    if spoken.role not in asked.clicks:
        yield f"the answer is not signed, and the policy lets nobody answer as {spoken.role} by a click"
    if spoken.decision != "approve":
        yield "a click can only agree; what stops or takes back needs a signature"


def _recorded(spoken: Statement, key: PublicKey | None, record: Approved | Withdrawn) -> Iterator[str]:
    said = "withdraw" if isinstance(record, Withdrawn) else "approve"
    decision = "reject" if isinstance(record, Rejected) else said
    for what, got, expected in (
        ("person", record.person, spoken.person),
        ("role", record.role, spoken.role),
        ("decision", decision, spoken.decision),
        ("key", record.key, key and key.fingerprint),
    ):
        if got != expected:
            yield f"the ledger's {what} is {got}, but {expected} was signed"


def _identity(
    spoken: Statement, named: tuple[str, ...], signers: AllowedSigners, release: Release, *, clicked: bool
) -> Iterator[str]:
    if spoken.person not in named:
        who = ", ".join(named) or "nobody"
        what = "a click speaks" if clicked else "the key may sign"
        yield f"{what} as {spoken.role} for {who}, not for {spoken.person}; see allowed_signers"
    for part in parts_of(spoken.person, release.step(Requested), signers):
        yield f"{spoken.person} {part} and cannot approve it; another person must"


def parts_of(person: str, asked: Requested, signers: AllowedSigners) -> Iterator[str]:
    """What a person has to do with a release that keeps them from answering for it, in words; nothing for others."""
    for part, who in (("asked for this release", asked.requester), ("answers for the training", asked.trainer)):
        if who is not None and same_person(person, who, signers):
            yield part


def same_person(one: str, other: str, signers: AllowedSigners) -> bool:
    """Whether two names are one person: in whatever case, or because a key stands under both."""
    return one.casefold() == other.casefold() or bool(_keys(one, signers) & _keys(other, signers))


def _keys(person: str, signers: AllowedSigners) -> set[PublicKey]:
    # Whoever asks types a name of their own choice: another case of a listed name is still that person.
    listed = {name for line in signers.lines for name in line.names if name.casefold() == person.casefold()}
    return {key for name in (person, *listed) for key in signers.keys_of(name)}


def _subject(spoken: Statement, ledger: Ledger, release: Release, about: Request, when: datetime) -> Iterator[str]:
    asked, answered = about.record, release.used(about.record.stage)
    for what, got, expected in (
        ("model", spoken.model, ledger.model),
        ("release", spoken.release, release.id),
        ("version", spoken.version, release.step(Registered).version),
        ("package", spoken.package, release.step(Packaged).package),
        ("policy", spoken.policy, release.step(Requested).policy),
        ("stage", spoken.stage, asked.stage),
        ("list of waivers", list(spoken.waivers), [waiver.told() for waiver in release.waivers]),
        ("expiry", spoken.expires, asked.expires),
        ("ledger root", spoken.ledger_root, root_of(ledger, spoken.ledger_size)),
    ):
        if got != expected:
            yield f"the statement's {what} is {got}; this release's is {expected}: sign the current statement"
    if not answered and spoken.role not in release.speaking:
        yield f"the policy asks for {', '.join(sorted(release.speaking))}, not for the role {spoken.role}"
    # Only a statement that covers the request makes its signer a witness of what is approved.
    if spoken.ledger_size <= about.seq:
        yield f"the statement's ledger of {spoken.ledger_size} entries ends before the approval was asked for"
    # What was approved in time and has led to a promotion stays approved for the stages that ask nobody again.
    if not answered and when >= moment(asked.expires):
        yield f"approval expired at {asked.expires}; ask for a new release"


def root_of(ledger: Ledger, size: int) -> str:
    """The root that a statement about a ledger of this size must name."""
    return ledger.root_at(size) if 0 <= size <= ledger.size else f"none of that size ({size} of {ledger.size} entries)"


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


def not_showable(kind: type[Signed], error: ValidationError) -> BadInput:
    """The error of a text that would show something else than is signed."""
    found = error.errors(include_url=False, include_context=False)
    return BadInput(
        kind.subject,
        got="; ".join(f"{'.'.join(map(str, one['loc']))} {ascii(one['input'])[:80]}: {one['msg']}" for one in found),
        expected="one line of visible signs in each field",
        next_step="correct the name or the reason, and sign again",
    )


def _not_a_statement(kind: type[Signed], why: str) -> Tampered:
    return Tampered(
        kind.subject,
        got=why,
        expected=f"the text that `{kind.command}` shows, byte for byte",
        next_step="sign the statement again and change nothing in it",
    )
