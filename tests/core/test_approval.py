from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from story_of import (
    ANA,
    BOB,
    CAT,
    DOLLY,
    KEYS,
    MODEL,
    REQUESTER,
    SIGNERS,
    Book,
    answered,
    line,
    signed,
    signers,
    take,
    time_at,
    waiting,
)

from headgate import sshsig
from headgate.approval import Statement, moment, namespace, objections, statement
from headgate.canonical import digest_of
from headgate.errors import BadInput, Tampered
from headgate.records import ApprovalRequested, Approved, Packaged, Registered, Requested
from headgate.release import Release

BOOK = waiting()
RELEASE = BOOK.release("tiny-1")
NOW, EXPIRES = time_at(60), RELEASE.step(ApprovalRequested).expires
OTHER = digest_of(b"other")


def spoken(person: str = ANA, role: str = "risk", **changes: Any) -> Statement:
    made = statement(BOOK.ledger, RELEASE, person=person, role=role, decision="approve")
    return made.model_copy(update=changes)


def against(
    text: bytes,
    signature: bytes,
    *,
    listed: str = SIGNERS,
    book: Book = BOOK,
    release: Release = RELEASE,
    at: str = NOW,
    record: Approved | None = None,
) -> tuple[str, ...]:
    return objections(
        text, signature, signers=signers(listed), ledger=book.ledger, release=release, at=at, record=record
    )


def said_against(made: Statement, **more: Any) -> tuple[str, ...]:
    key = more.pop("key", None)
    return against(*signed(made, key), **more)


@pytest.mark.parametrize(("person", "role"), [(ANA, "risk"), (BOB, "product"), (CAT, "product"), (CAT, "risk")])
def test_who_may_sign_counts(person, role):
    assert said_against(spoken(person, role)) == ()


def test_a_no_counts_as_much_as_a_yes():
    assert said_against(spoken(decision="reject", reason="too early")) == ()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("person", BOB),
        ("person", ANA.upper()),
        ("role", "product"),
        ("role", "legal"),
        ("model", "tiny2"),
        ("version", 2),
        ("release", "tiny-2"),
        ("package", OTHER),
        ("policy", OTHER),
        ("ledger_size", BOOK.ledger.size - 1),
        ("ledger_size", BOOK.ledger.size + 1),
        ("ledger_size", -1),
        ("ledger_root", OTHER),
        ("expires", time_at(10_000)),
    ],
)
def test_an_approval_never_survives_a_changed_field(field, value):
    changed = spoken(**{field: value})
    # Signed as it was, and signed again as it is now.
    assert any("signature" in reason for reason in against(changed.text(), signed(spoken())[1]))
    assert said_against(changed, key=ANA)
    assert said_against(changed, key=BOB)


@pytest.mark.parametrize(("field", "value"), [("decision", "reject"), ("reason", "because")])
def test_the_answer_itself_is_signed(field, value):
    assert any("signature" in reason for reason in against(spoken(**{field: value}).text(), signed(spoken())[1]))


def with_step(old: Any, **changes: Any) -> Release:
    def new(record: Any) -> Any:
        return record.model_copy(update=changes) if isinstance(record, old) else record

    requests = tuple(replace(request, record=new(request.record)) for request in RELEASE.requests)
    return replace(RELEASE, taken=tuple(map(new, RELEASE.taken)), requests=requests)


@pytest.mark.parametrize(
    ("release", "part"),
    [
        (with_step(Packaged, package=OTHER), "package"),
        (with_step(Requested, policy=OTHER), "policy"),
        (with_step(Registered, version=2), "version"),
        (with_step(ApprovalRequested, expires=time_at(99)), "expiry"),
        (with_step(ApprovalRequested, roles={"product": 2}), "not for the role risk"),
        (with_step(Requested, requester=ANA), "asked for this release"),
        (replace(RELEASE, id="tiny-2"), "release"),
    ],
)
def test_an_approval_is_of_this_release_as_it_stands(release, part):
    (reason, *_) = said_against(spoken(), release=release)
    assert part in reason


def test_every_changed_bit_of_the_text_is_refused():
    text, signature = signed(spoken())
    for bit in range(len(text) * 8):
        changed = bytearray(text)
        changed[bit // 8] ^= 1 << bit % 8
        assert against(bytes(changed), signature), bit
    assert len(text) > 400


@pytest.mark.parametrize(
    "respell",
    [
        lambda t: t.rstrip(b"\n"),
        lambda t: t + b"\n",
        lambda t: b" " + t,
        lambda t: t.replace(b'": ', b'" : ', 1),
        lambda t: t.replace(b"\n", b"\r\n"),
        lambda t: json.dumps(json.loads(t)).encode() + b"\n",
        lambda t: (json.dumps(json.loads(t), indent=2, sort_keys=True) + "\n").encode(),
        lambda t: t.replace(b'"version": 1,', b'"version": 1.0,'),
        lambda t: t.replace(b'"version": 1,', b'"version": 2,\n  "version": 1,'),
        lambda t: t.replace(b"ana@", b"\\u0061na@"),
        lambda t: t.replace(b'"reason": "",', b'"reason": "",\n  "waiver": true,'),
        lambda t: t.replace(b'  "reason": "",\n', b""),
        lambda t: b"\xef\xbb\xbf" + t,
        lambda t: t.decode().encode("utf-16"),
        lambda t: b"",
        lambda t: b"[]",
    ],
)
def test_another_spelling_is_refused_though_it_is_signed(respell):
    text = respell(spoken().text())
    assert text != spoken().text()
    signature = sshsig.sign(KEYS[ANA], text, namespace("risk")).encode()
    (reason,) = against(text, signature)
    assert reason.startswith("approval statement")
    with pytest.raises(Tampered):
        Statement.read(text)


def test_a_statement_reads_back():
    made = spoken(reason='Größe "2" ist gut – ja')
    assert Statement.read(made.text()) == made
    assert made.text().endswith(b"}\n")
    assert "Größe" in made.text().decode(), "people sign what they can read"


def test_the_signature_must_be_in_the_roles_namespace_and_by_a_listed_key():
    for role in ("product", "legal", "Risk"):
        assert against(*signed(spoken(), role=role)), role
    for stranger in (BOB, "mallory@example.org"):
        (reason,) = said_against(spoken(), key=stranger)
        assert "not for ana@example.org" in reason
    _, plain = signed(spoken())
    file_namespace = sshsig.sign(KEYS[ANA], spoken().text(), "file").encode()
    assert against(spoken().text(), file_namespace)
    assert against(spoken().text(), b"")
    assert against(spoken().text(), plain[: len(plain) // 2])
    broken = bytearray(base64.b64decode(b"".join(plain.split(b"\n")[1:-2])))
    broken[-1] ^= 1
    armored = b"-----BEGIN SSH SIGNATURE-----\n" + base64.b64encode(broken) + b"\n-----END SSH SIGNATURE-----\n"
    assert against(spoken().text(), armored)


def test_cat_may_sign_as_risk_only_what_says_risk():
    assert said_against(spoken(CAT, "risk")) == ()
    assert against(*signed(spoken(CAT, "risk"), role="product"))


@pytest.mark.parametrize(
    ("options", "counts"),
    [
        ("", True),
        (',valid-after="20260701115900Z"', True),
        (',valid-after="20260701130001Z"', False),
        (',valid-after="20270101Z"', False),
        (',valid-before="20260701130000Z"', True),
        (',valid-before="20260701125959Z"', False),
        (',valid-before="20260101Z"', False),
    ],
)
def test_a_key_counts_in_its_time_only(options, counts):
    assert (said_against(spoken(), listed=line(ANA, "risk", options=options)) == ()) == counts


def test_a_revoked_key_does_not_count_any_more():
    without = SIGNERS.replace(line(ANA, "risk"), "")
    assert without != SIGNERS
    (reason,) = said_against(spoken(), listed=without)
    assert "for nobody" in reason
    assert said_against(spoken(), listed="")
    assert said_against(spoken(), listed=without + line(ANA, "product"))


@pytest.mark.parametrize(
    ("at", "counts"),
    [(time_at(0), True), (EXPIRES.replace("00Z", "00.001Z"), False), (EXPIRES, False), (time_at(1e6), False)],
)
def test_an_approval_expires(at, counts):
    found = said_against(spoken(), at=at)
    assert (found == ()) == counts
    assert counts or "expired" in found[0]


@pytest.mark.parametrize("name", [REQUESTER, REQUESTER.upper(), REQUESTER.title()])
def test_the_requester_cannot_approve_in_any_case(name):
    listed = SIGNERS.replace(line(REQUESTER, "product"), line(name, "product", key=REQUESTER))
    found = said_against(spoken(name, "product"), key=REQUESTER, listed=listed)
    assert any("asked for this release" in reason for reason in found)


@pytest.mark.parametrize("asked_as", [REQUESTER, REQUESTER.upper(), DOLLY, DOLLY.title()])
def test_the_requester_cannot_approve_under_another_name_with_the_same_key(asked_as):
    release = with_step(Requested, requester=asked_as)
    for person in (REQUESTER, DOLLY):
        found = said_against(spoken(person, "product"), release=release)
        assert any("asked for this release" in reason for reason in found), (asked_as, person)


def test_the_requester_cannot_approve_with_a_second_key_of_their_name():
    listed = SIGNERS + line(REQUESTER, "risk", key=BOB)
    assert said_against(spoken(REQUESTER, "risk"), key=BOB, listed=listed)


def test_a_pattern_names_nobody():
    assert said_against(spoken(), listed=line("*@example.org", "risk", key=ANA))
    assert said_against(spoken("anybody@example.org"), key=ANA, listed=line("*", "risk", key=ANA))


def test_another_history_is_refused():
    other = take(Book(), "tiny-1", until="requested")
    other.tell("tiny-1", "snapshot", dict(BOOK.ledger.entries[1].body), minutes=1.5)
    for entry in BOOK.ledger.entries[2:]:
        other.tell("tiny-1", entry.kind, dict(entry.body), minutes=entry.seq)
    assert other.ledger.size == BOOK.ledger.size
    assert other.release("tiny-1") == RELEASE
    (reason,) = said_against(spoken(), book=other)
    assert "ledger root" in reason


def test_a_shorter_ledger_than_was_signed_is_refused():
    cut = BOOK.ledger.at(BOOK.ledger.size - 1)
    assert any("ledger root" in r for r in said_against(spoken(), book=Book(ledger=cut)))


def test_a_statement_about_the_ledger_before_the_request_witnesses_nothing():
    for size in range(BOOK.ledger.size):
        old = spoken(ledger_size=size, ledger_root=BOOK.ledger.root_at(size))
        assert any("before the approval was asked for" in reason for reason in said_against(old)), size


def test_a_longer_ledger_keeps_what_was_signed_valid():
    longer = BOOK.copy()
    longer.say("tiny-1", answered(longer, "tiny-1", BOB, "product"))
    assert said_against(spoken(), book=longer, release=longer.release("tiny-1")) == ()


def test_all_objections_come_together():
    made = spoken(BOB, "legal", package=OTHER, policy=OTHER, version=9, ledger_size=0, ledger_root=OTHER)
    found = "\n".join(said_against(made, at=time_at(10_000)))
    for part in (
        "nobody",
        "package",
        "policy",
        "version",
        "ledger root",
        "not for the role legal",
        "expired",
        "before",
    ):
        assert part in found


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"person": BOB}, "person"),
        ({"role": "product"}, "role"),
        ({"key": sshsig.public_key(KEYS[BOB]).fingerprint}, "key"),
    ],
)
def test_the_ledger_must_say_what_was_signed(changes, part):
    book = BOOK.copy()
    record = answered(book, "tiny-1", ANA, "risk")
    text, signature = book.evidence[record.statement], book.evidence[record.signature]
    assert against(text, signature, record=record) == ()
    (reason,) = against(text, signature, record=record.model_copy(update=changes))
    assert f"the ledger's {part} is" in reason


def test_a_signed_no_is_never_a_yes():
    book = BOOK.copy()
    no = answered(book, "tiny-1", ANA, "risk", reason="too early")
    text, signature = book.evidence[no.statement], book.evidence[no.signature]
    assert against(text, signature, record=no) == ()
    yes = Approved(**{k: v for k, v in no.model_dump().items() if k != "reason"})
    assert against(text, signature, record=yes) == ("the ledger's decision is approve, but reject was signed",)


@pytest.mark.parametrize("sign", ["\n", "\r", "\t", "\x1b[31m", "\x9b", "\u202e", "\u2066", "\u200b", "\u2028", "\0"])
def test_what_would_show_as_something_else_is_neither_made_nor_taken(sign):
    makers: list[Callable[[], Statement]] = [
        lambda: statement(BOOK.ledger, RELEASE, person=f"a{sign}b", role="risk", decision="approve"),
        lambda: statement(BOOK.ledger, RELEASE, person=ANA, role=f"a{sign}b", decision="approve"),
        lambda: statement(BOOK.ledger, RELEASE, person=ANA, role="risk", decision="reject", reason=f"a{sign}b"),
    ]
    for make in makers:
        with pytest.raises(BadInput, match="approval statement"):
            make()
    text = spoken(reason=f"a{sign}b").text()
    (reason,) = against(text, sshsig.sign(KEYS[ANA], text, namespace("risk")).encode())
    assert "approval statement" in reason


def test_a_lone_surrogate_is_bad_input():
    with pytest.raises(BadInput):
        statement(BOOK.ledger, RELEASE, person="a\ud800", role="risk", decision="approve")


def test_before_anybody_is_asked_there_is_nothing_to_sign():
    book = take(Book(), "tiny-1", until="packaged")
    with pytest.raises(BadInput, match="ApprovalRequested"):
        statement(book.ledger, book.release("tiny-1"), person=ANA, role="risk", decision="approve")


def test_a_time_means_the_same_everywhere():
    expected = datetime(2026, 7, 1, 12, tzinfo=UTC)
    assert moment("2026-07-01T12:00:00Z") == moment("2026-07-01T14:00:00.000+02:00") == expected
    for nothing in ("2026-07-01T12:00:00", "2026-02-30T12:00:00Z", "yesterday", ""):
        with pytest.raises(BadInput, match="time"):
            moment(nothing)


def test_the_statement_names_all_that_it_is_about():
    made = json.loads(spoken().text())
    assert made == {
        "what": "Headgate approval statement v1",
        "decision": "approve",
        "reason": "",
        "person": ANA,
        "role": "risk",
        "model": MODEL,
        "version": 1,
        "release": "tiny-1",
        "package": RELEASE.step(Packaged).package,
        "policy": RELEASE.step(Requested).policy,
        "ledger_size": BOOK.ledger.size,
        "ledger_root": BOOK.ledger.root(),
        "expires": EXPIRES,
    }
