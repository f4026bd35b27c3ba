"""What people sign to except one gate from its verdict, and when that counts.

A waiver is a text with a name under it, at least two names: one gate (of one slice, or whole), the worst verdict that
it excuses, why, and the last day on which it does. It names the policy that it is an exception from, and the ledger's
size and root, so that whoever signs is a witness too. The namespace of a signature is the role's
(`risk@waiver.headgate`), and no approval has it: neither can ever be taken for the other. A pattern that lets a key
approve in every role (`*@headgate`) does not let it waive.

Whether it counts is judged when it is recorded, when the gates are judged, and when the promotion starts. It changes
no verdict; `headgate.excuse` has what it does change.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import combinations
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from headgate import sshsig
from headgate.approval import Signed, Visible, moment, not_showable, root_of, same_person
from headgate.entry import Digest, Line
from headgate.errors import HeadgateError
from headgate.ledger import Ledger
from headgate.policy import Policy
from headgate.policy import Waivers as Allowed
from headgate.record import Time
from headgate.release import Waiver
from headgate.signers import AllowedSigners
from headgate.sshkey import PublicKey
from headgate.waived import Waived

Covers = Literal["INCONCLUSIVE", "FAIL"]
Read = Callable[[Digest], bytes]


def _said(text: str) -> str:
    if not text or text != text.strip():
        raise ValueError("nothing, or blanks at an end")
    return text


Reason = Annotated[Visible, AfterValidator(_said)]


class Person(BaseModel):
    """Who signs, and in which role."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    person: Line
    role: Line


class WaiverStatement(Signed):
    """The text that all of its people sign.

    Attributes:
        slice: the label of one slice; None for the whole gate.
        until: the last day on which it counts, in UTC. dated: when the text was made.
    """

    subject = "waiver"
    command = "headgate waive --show"

    what: Literal["Headgate waiver v1"] = "Headgate waiver v1"
    model: Line
    gate: Line
    slice: Reason | None
    covers: Covers
    reason: Reason
    until: date
    people: Annotated[tuple[Person, ...], Field(min_length=1, max_length=40)]
    policy: Digest
    dated: Time
    ledger_size: int
    ledger_root: Digest


def namespace(role: str) -> str:
    """The SSH signature namespace in which a role waives."""
    return f"{role}@waiver.headgate"


def waiver(  # noqa: PLR0913 - the terms, each by its name
    ledger: Ledger,
    policy: Policy,
    *,
    gate: str,
    slice: str | None,
    covers: Covers,
    reason: str,
    until: date,
    people: Sequence[tuple[str, str]],
    at: str,
) -> WaiverStatement:
    """What `people`, each with a role, would sign now.

    Raises:
        BadInput: a text has signs in it that are not shown, or nothing in it.
    """
    try:
        return WaiverStatement(
            model=ledger.model,
            gate=gate,
            slice=slice,
            covers=covers,
            reason=reason,
            until=until,
            people=tuple(Person(person=person, role=role) for person, role in people),
            policy=policy.digest,
            dated=at,
            ledger_size=ledger.size,
            ledger_root=ledger.root(),
        )
    except ValidationError as error:
        raise not_showable(WaiverStatement, error) from error


def objections(
    text: bytes,
    signatures: Sequence[bytes],
    *,
    signers: AllowedSigners,
    ledger: Ledger,
    policy: Policy,
    at: str,
    record: Waived | None = None,
    requester: str | None = None,
) -> tuple[str, ...]:
    """Why a signed waiver does not count under `policy` at time `at`; nothing if it does.

    Args:
        text: the exact bytes. signatures: SSH signatures over them, armored, in the order of the text's people.
        signers: who may sign for what. ledger: of the model, as it stands.
        at: RFC 3339 time in UTC; it is judged when the waiver is recorded, and again whenever it is used.
        record: the waiver as the ledger has it, once it is recorded: it must say what was signed.
        requester: who asked for the release that wants to use it.

    Raises:
        BadInput: `at` is no time with a zone.
    """
    when = moment(at)
    try:
        spoken = WaiverStatement.read(text)
        if len(signatures) != len(spoken.people):
            return (f"{len(signatures)} signature(s) of {len(spoken.people)} people",)
        keys = keys_of(text, signatures)
    except HeadgateError as error:
        return (str(error),)
    found = [*_terms(spoken, policy), *_time(spoken, policy.waivers, when), *_subject(spoken, ledger, policy)]
    found += [*_people(spoken, keys, signers, when), *_requester(spoken, requester, signers)]
    return tuple(found if record is None else [*found, *_recorded(spoken, keys, record)])


def still(
    waiver: Waiver, read: Read, *, signers: AllowedSigners, ledger: Ledger, policy: Policy, requester: str, at: str
) -> tuple[str, ...]:
    """Why a recorded waiver does not count for a release at time `at`; nothing if it does.

    Args:
        read: the evidence behind a digest.
        policy, requester: those of the release that wants to use it.
    """
    if waiver.revoked is not None:
        return (f"it was revoked in slot {waiver.revoked}",)
    try:
        text, signatures = read(waiver.record.statement), [read(digest) for digest in waiver.record.signatures]
    except HeadgateError as error:
        return (str(error),)
    return objections(
        text,
        signatures,
        signers=signers,
        ledger=ledger,
        policy=policy,
        at=at,
        record=waiver.record,
        requester=requester,
    )


def arranged(text: bytes, signatures: Sequence[bytes], signers: AllowedSigners, at: str) -> tuple[bytes, ...]:
    """Signatures in the order of the people in the text; one that nobody of them made comes last."""
    people, when = WaiverStatement.read(text).people, moment(at)

    def place(signature: bytes) -> int:
        return next((n for n, p in enumerate(people) if _is_by(p, text, signature, signers, when)), len(people))

    return tuple(sorted(signatures, key=place))


def keys_of(text: bytes, signatures: Sequence[bytes]) -> tuple[PublicKey, ...]:
    """The keys that signed a waiver, in the order of its people.

    Raises:
        BadInput: one is no SSH signature.
        Tampered: the text is no waiver, or one is not of this text in the namespace of its person's role.
    """
    people = WaiverStatement.read(text).people
    return tuple(sshsig.verify(text, s, namespace(p.role)) for p, s in zip(people, signatures, strict=True))


def _is_by(person: Person, text: bytes, signature: bytes, signers: AllowedSigners, when: datetime) -> bool:
    try:
        key = sshsig.verify(text, signature, namespace(person.role))
    except HeadgateError:
        return False
    return person.person in signers.who(key, namespace(person.role), when)


def _people(
    spoken: WaiverStatement, keys: Sequence[PublicKey], signers: AllowedSigners, when: datetime
) -> Iterator[str]:
    for person, key in zip(spoken.people, keys, strict=True):
        yield from stranger(person, key, signers, when)
    for (one, key), (other, second) in combinations(zip(spoken.people, keys, strict=True), 2):
        if key == second or same_person(one.person, other.person, signers):
            yield f"{one.person} and {other.person} are one person, or share a key; nobody waives a gate alone"


def stranger(person: Person, key: PublicKey, signers: AllowedSigners, when: datetime) -> Iterator[str]:
    """What is to be said if the key may not sign for this person in this role."""
    named = signers.who(key, namespace(person.role), when)
    if person.person not in named:
        who, role = ", ".join(named) or "nobody", namespace(person.role)
        yield f"the key may sign in {role} for {who}, not for {person.person}; see allowed_signers"


def _requester(spoken: WaiverStatement, requester: str | None, signers: AllowedSigners) -> Iterator[str]:
    for person in spoken.people:
        if requester is not None and same_person(person.person, requester, signers):
            yield f"{person.person} asked for this release and cannot waive a gate of it; another person must"


def _terms(spoken: WaiverStatement, policy: Policy) -> Iterator[str]:
    allowed = policy.waivers
    if allowed is None:
        yield "the policy has no part [waivers]: none of its gates can be waived"
        return
    if spoken.gate not in allowed.gates:
        yield f"the policy lets nobody waive '{spoken.gate}', only {', '.join(allowed.gates) or 'nothing'}"
    given = Counter(person.role for person in spoken.people)
    if given != Counter(allowed.roles):
        yield f"signed by {_count(given)}; the policy asks for {_count(allowed.roles)}"


def _count(roles: Counter[str] | dict[str, int]) -> str:
    return ", ".join(f"{n} × {role}" for role, n in sorted(roles.items())) or "nobody"


def _time(spoken: WaiverStatement, allowed: Allowed | None, when: datetime) -> Iterator[str]:
    dated = moment(spoken.dated)
    days = allowed.max_days if allowed else 0
    if spoken.until > dated.date() + timedelta(days=days):
        yield f"it would last until {spoken.until}, but the policy allows {days} days from {dated.date()}"
    if when < dated:
        yield f"it is dated {spoken.dated}, which is still to come"
    if when.astimezone(UTC).date() > spoken.until:
        yield f"it ended with {spoken.until}; sign a new one if it is still wanted"


def _subject(spoken: WaiverStatement, ledger: Ledger, policy: Policy) -> tuple[str, ...]:
    return unlike(
        [
            ("model", spoken.model, ledger.model),
            ("policy", spoken.policy, policy.digest),
            ("ledger root", spoken.ledger_root, root_of(ledger, spoken.ledger_size)),
        ]
    )


def _recorded(spoken: WaiverStatement, keys: Sequence[PublicKey], record: Waived) -> tuple[str, ...]:
    people = [(p.person, p.role, key.fingerprint) for p, key in zip(spoken.people, keys, strict=True)]
    terms = ("gate", "slice", "covers", "reason", "until", "policy")
    return unlike(
        [
            *((f"recorded {name}", getattr(spoken, name), getattr(record, name)) for name in terms),
            ("recorded people", people, [(p.person, p.role, p.key) for p in record.people]),
        ]
    )


def unlike(pairs: Sequence[tuple[str, object, object]]) -> tuple[str, ...]:
    """What was signed and is otherwise here: of triples of a name, what was signed, and what is here."""
    return tuple(f"{what}: signed was {got}, but here it is {here}" for what, got, here in pairs if got != here)
