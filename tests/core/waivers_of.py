"""Releases whose ROC AUC gate does not pass, and the waivers that people sign for it: on top of `story_of`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from story_of import (
    ANA,
    BOB,
    CAT,
    DOLLY,
    KEYS,
    PEOPLE,
    POLICY,
    REQUESTER,
    START,
    Book,
    answered,
    asked,
    evaluated,
    packaged,
    take,
    time_at,
)

from headgate import approval, sshsig
from headgate.excuse import standing
from headgate.policy_file import parse
from headgate.records import (
    Evaluated,
)
from headgate.release import Waiver
from headgate.revocation import RevocationStatement, revocation
from headgate.signers import AllowedSigners
from headgate.waived import Signatory, Waived, WaiverRevoked
from headgate.waiver import WaiverStatement, namespace, waiver

GATE = "roc-auc"
ALLOWED = b'\n[waivers]\nroles = { risk = 1, product = 1 }\nmax_days = 90\ngates = ["roc-auc"]\n'
FAILING = POLICY.replace(b"min = 0.6", b"min = 0.95") + ALLOWED
UNDECIDED = POLICY.replace(b"min = 0.6", b"min = 0.83") + ALLOWED
SIGNED_BY = ((ANA, "risk"), (BOB, "product"))
TODAY = START.date()


def may(person: str, *roles: str, waive: Sequence[str] = (), key: str | None = None, options: str = "") -> str:
    """One line of allowed_signers: the roles in which a key approves, and those in which it waives."""
    spaces = ",".join((*map(approval.namespace, roles), *map(namespace, waive)))
    return f'{person} namespaces="{spaces}"{options} {sshsig.public_key(KEYS[key or person]).text}\n'


WAIVERS = "".join(
    (
        may(ANA, "risk", waive=["risk"]),
        may(BOB, "product", waive=["product"]),
        may(CAT, "product", "risk", waive=["product", "risk"]),
        may(REQUESTER, "product", waive=["product"]),
        may(DOLLY, "product", waive=["product"]),
    )
)


def known(text: str = WAIVERS) -> AllowedSigners:
    return AllowedSigners.parse(text)


def in_days(days: int) -> date:
    return TODAY + timedelta(days=days)


def spoken(book: Book, *, people: Sequence[tuple[str, str]] = SIGNED_BY, **changes: Any) -> WaiverStatement:
    """The text of a waiver of the failing gate, for what the ledger holds now."""
    made = waiver(
        book.ledger, parse(book.policy_file, "of the story"), gate=GATE, slice=None, covers="FAIL",
        reason="the new extract comes in autumn", until=in_days(60), people=people, at=time_at(book.ledger.size),
    )  # fmt: skip
    return made.model_copy(update=changes)


def signatures(text: bytes, people: Sequence[tuple[str, str]], keys: Sequence[str] | None = None) -> list[bytes]:
    names = keys or [person for person, _ in people]
    return [
        sshsig.sign(KEYS[key], text, namespace(role)).encode() for (_, role), key in zip(people, names, strict=True)
    ]


def waived(
    book: Book, made: WaiverStatement | None = None, *, keys: Sequence[str] | None = None, listed: str = WAIVERS
) -> Waived:
    """The record of a waiver as its people signed it."""
    made = made or spoken(book)
    people = [(p.person, p.role) for p in made.people]
    names = keys or [person for person, _ in people]
    said = {name: getattr(made, name) for name in ("gate", "slice", "covers", "reason", "until", "policy")}
    book.keep(parse(book.policy_file, "of the story").model_dump(mode="json"))
    return Waived(
        **said,
        policy_file=book.put(book.policy_file),
        people=tuple(
            Signatory(role=role, person=person, key=sshsig.public_key(KEYS[key]).fingerprint)
            for (person, role), key in zip(people, names, strict=True)
        ),
        statement=book.put(made.text()),
        signatures=tuple(book.put(signature) for signature in signatures(made.text(), people, keys)),
        signers=book.put(listed.encode()),
    )


def waive(book: Book, record: Waived | None = None, **given: Any) -> int:
    """Record a waiver, and return its slot."""
    book.tell(None, "waived", (record or waived(book, **given)).model_dump(mode="json"))
    return book.ledger.size - 1


def revoked(book: Book, slot: int, person: str = ANA, role: str = "risk", **changes: Any) -> WaiverRevoked:
    made: RevocationStatement = revocation(
        book.ledger, book.state.waivers[slot], person=person, role=role, reason="recalibrated"
    )
    made = made.model_copy(update=changes)
    return WaiverRevoked(
        waiver=slot,
        role=role,
        person=person,
        key=sshsig.public_key(KEYS[person]).fingerprint,
        reason=made.reason,
        statement=book.put(made.text()),
        signature=book.put(sshsig.sign(KEYS[person], made.text(), namespace(role)).encode()),
        signers=book.put(WAIVERS.encode()),
    )


def revoke(book: Book, slot: int, **given: Any) -> int:
    book.tell(None, "waiver_revoked", revoked(book, slot, **given).model_dump(mode="json"))
    return book.ledger.size - 1


def excused(book: Book, *slots: int, champion: int | None = None, **more: Any) -> Evaluated:
    """A verdict with waivers, as `headgate.excuse` has it."""
    plain = evaluated(book, champion, **more)
    used = [book.state.waivers[slot] for slot in slots]
    return with_waivers(book, plain, used)


def with_waivers(book: Book, plain: Evaluated, used: Sequence[Waiver]) -> Evaluated:
    from headgate.judgement import Judged

    judged = Judged.model_validate_json(book.evidence[plain.judged])
    said = {"waived": tuple(w.seq for w in used), "unwaived": standing(judged, used)}
    return Evaluated(**{**dict(plain), **said})


def waiver_book(policy: bytes = FAILING, **given: Any) -> tuple[Book, int]:
    """A ledger that begins with a waiver, and its slot."""
    book = Book(policy)
    return book, waive(book, **given)


def judged_book(policy: bytes = FAILING, **given: Any) -> Book:
    """A release that goes on with one waiver, up to the verdict."""
    book, slot = waiver_book(policy, **given)
    take(book, "tiny-1", until="registered")
    book.say("tiny-1", excused(book, slot))
    return book


def waiting_book(policy: bytes = FAILING) -> Book:
    """A release that goes on with one waiver, and waits for approval."""
    book = judged_book(policy)
    book.say("tiny-1", packaged(book, "tiny-1"))
    book.say("tiny-1", asked(book))
    return book


def approved_book(policy: bytes = FAILING) -> Book:
    book = waiting_book(policy)
    for person, role in PEOPLE:
        book.say("tiny-1", answered(book, "tiny-1", person, role, signers=WAIVERS))
    return book
