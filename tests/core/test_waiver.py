from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from story_of import (
    ANA,
    BOB,
    CAT,
    DIGEST,
    DOLLY,
    KEYS,
    MODEL,
    POLICY,
    REQUESTER,
    Book,
    evaluated,
    take,
    time_at,
    waiting,
)
from waivers_of import (
    ALLOWED,
    FAILING,
    GATE,
    SIGNED_BY,
    UNDECIDED,
    WAIVERS,
    excused,
    in_days,
    judged_book,
    known,
    may,
    revoke,
    revoked,
    signatures,
    spoken,
    waive,
    waived,
    waiver_book,
)

from headgate import approval, sshsig
from headgate.approval import Statement
from headgate.canonical import digest_of
from headgate.errors import BadInput, HeadgateError, Tampered
from headgate.excuse import adds, covers, headline, hear, remaining, standing
from headgate.excuse import excused as excused_of
from headgate.judgement import Judged, Judgement
from headgate.policy_file import parse
from headgate.records import (
    Requested,
)
from headgate.release import Waiver
from headgate.revocation import RevocationStatement, revocation, revocation_objections
from headgate.verdict import Verdict
from headgate.waived import Signatory, Waived
from headgate.waiver import WaiverStatement, arranged, keys_of, namespace, objections, still, waiver

OTHER = digest_of(b"other")
BOOK = take(Book(FAILING), "tiny-1", until="registered")
RULES = parse(FAILING, "of the story")
NOW = time_at(BOOK.ledger.size)
MALLORY = "mallory@example.org"


def against(
    text: bytes, signed: Sequence[bytes], *, listed: str = WAIVERS, at: str = NOW, **more: Any
) -> tuple[str, ...]:
    given = {"ledger": BOOK.ledger, "policy": RULES, **more}
    return objections(text, signed, signers=known(listed), at=at, **given)


def said_against(made: WaiverStatement, keys: Sequence[str] | None = None, **more: Any) -> tuple[str, ...]:
    people = [(p.person, p.role) for p in made.people]
    return against(made.text(), signatures(made.text(), people, keys), **more)


# What counts.


@pytest.mark.parametrize(
    "people", [SIGNED_BY, SIGNED_BY[::-1], ((CAT, "risk"), (BOB, "product")), ((ANA, "risk"), (CAT, "product"))]
)
def test_two_people_in_the_policys_roles_count(people):
    assert said_against(spoken(BOOK, people=people)) == ()


def test_the_text_names_all_that_it_is_about_and_reads_back():
    made = spoken(BOOK, reason='Größe "2" ist gut – ja')
    assert json.loads(made.text()) == {
        "what": "Headgate waiver v1",
        "model": MODEL,
        "gate": GATE,
        "slice": None,
        "covers": "FAIL",
        "reason": 'Größe "2" ist gut – ja',
        "until": "2026-08-30",
        "people": [{"person": ANA, "role": "risk"}, {"person": BOB, "role": "product"}],
        "policy": RULES.digest,
        "dated": NOW,
        "ledger_size": BOOK.ledger.size,
        "ledger_root": BOOK.ledger.root(),
    }
    assert WaiverStatement.read(made.text()) == made
    assert "Größe" in made.text().decode(), "people sign what they can read"


def test_a_longer_ledger_keeps_what_was_signed_valid():
    made = spoken(BOOK)
    longer = BOOK.copy()
    longer.say("tiny-1", evaluated(longer, None))
    assert said_against(made, ledger=longer.ledger) == ()


def test_signatures_may_come_in_any_order():
    text = spoken(BOOK).text()
    signed = signatures(text, SIGNED_BY)
    assert against(text, signed[::-1]), "the text's order is what is judged"
    assert arranged(text, signed[::-1], known(), NOW) == tuple(signed)
    assert [key.fingerprint for key in keys_of(text, signed)] == [
        sshsig.public_key(KEYS[person]).fingerprint for person, _ in SIGNED_BY
    ]
    stranger = sshsig.sign(KEYS[MALLORY], text, namespace("risk")).encode()
    assert arranged(text, [stranger, signed[1]], known(), NOW) == (signed[1], stranger)


# Nothing in it can be changed.


@pytest.mark.parametrize(
    ("field", "value", "part"),
    [
        ("model", "tiny2", "model"),
        ("gate", "no-worse", "lets nobody waive 'no-worse'"),
        ("gate", "latency-p99-ms", "lets nobody waive"),
        ("gate", "made-up", "lets nobody waive"),
        ("policy", OTHER, "policy"),
        ("until", in_days(91), "90 days"),
        ("until", in_days(-1), "ended with"),
        ("dated", time_at(10_000), "still to come"),
        ("ledger_size", BOOK.ledger.size - 1, "ledger root"),
        ("ledger_size", BOOK.ledger.size + 1, "ledger root"),
        ("ledger_size", -1, "ledger root"),
        ("ledger_root", OTHER, "ledger root"),
    ],
)
def test_terms_that_are_not_so_are_refused_though_they_are_signed(field, value, part):
    changed = spoken(BOOK, **{field: value})
    assert any(part in reason for reason in said_against(changed))
    (reason,) = against(changed.text(), signatures(spoken(BOOK).text(), SIGNED_BY))
    assert "signature" in reason


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("reason", "because"),
        ("covers", "INCONCLUSIVE"),
        ("slice", "sex=f"),
        ("until", in_days(59)),
        ("dated", time_at(0)),
    ],
)
def test_what_both_could_have_signed_they_must_have_signed(field, value):
    changed = spoken(BOOK, **{field: value})
    assert said_against(changed) == ()
    for signed in (
        signatures(spoken(BOOK).text(), SIGNED_BY),
        [*signatures(changed.text(), SIGNED_BY)[:1], *signatures(spoken(BOOK).text(), SIGNED_BY)[1:]],
    ):
        (reason,) = against(changed.text(), signed)
        assert "signature" in reason


def test_changed_bits_of_the_text_are_refused():
    text, tried = spoken(BOOK).text(), 0
    signed = signatures(text, SIGNED_BY)
    for bit in range(0, len(text) * 8, 3):
        changed = bytearray(text)
        changed[bit // 8] ^= 1 << bit % 8
        assert against(bytes(changed), signed), bit
        tried += 1
    assert tried > 1000


@pytest.mark.parametrize(
    "respell",
    [
        lambda t: t.rstrip(b"\n"),
        lambda t: b" " + t,
        lambda t: json.dumps(json.loads(t)).encode() + b"\n",
        lambda t: t.replace(b'"slice": null', b'"slice": null,\n  "also": "all gates"'),
        lambda t: t.replace(b'  "slice": null,\n', b""),
        lambda t: t.replace(b"2026-08-30", b"2026-08-30T00:00:00"),
        lambda t: t.replace(b"ana@", b"\\u0061na@"),
        lambda t: t.replace(b"the new", b"the \xe2\x80\xae new"),
        lambda t: b"",
        lambda t: b"[]",
    ],
)
def test_another_spelling_is_refused_though_it_is_signed(respell):
    text = respell(spoken(BOOK).text())
    assert text != spoken(BOOK).text()
    (reason,) = against(text, signatures(text, SIGNED_BY))
    assert reason.startswith("waiver")


@pytest.mark.parametrize("sign", ["\n", "\x1b[31m", "\u202e", "\u200b", "\0", "\ud800"])
def test_what_would_show_as_something_else_is_not_made(sign):
    book = Book(FAILING)
    for changes in (
        {"reason": f"a{sign}b"},
        {"slice": f"sex=f{sign}"},
        {"gate": f"g{sign}"},
        {"people": [(f"a{sign}", "risk")]},
    ):
        terms = {"gate": GATE, "slice": None, "covers": "FAIL", "reason": "r", "until": in_days(1), "people": SIGNED_BY}
        with pytest.raises(BadInput, match="waiver"):
            waiver(book.ledger, RULES, at=NOW, **{**terms, **changes})


@pytest.mark.parametrize("reason", ["", " ", " because", "x" * 2001])
def test_a_reason_must_be_given(reason):
    with pytest.raises(BadInput, match="reason"):
        waiver(
            BOOK.ledger, RULES, gate=GATE, slice=None, covers="FAIL", reason=reason, until=in_days(1),
            people=SIGNED_BY, at=NOW,
        )  # fmt: skip


# Signatures are for one thing only.


def test_an_approvals_signature_is_never_a_waivers():
    text = spoken(BOOK).text()
    replayed = [sshsig.sign(KEYS[person], text, approval.namespace(role)).encode() for person, role in SIGNED_BY]
    (reason,) = against(text, replayed)
    assert "namespace" in reason
    book = waiting()
    made = approval.statement(book.ledger, book.release("tiny-1"), person=ANA, role="risk", decision="approve")
    given = [sshsig.sign(KEYS[person], made.text(), namespace(role)).encode() for person, role in SIGNED_BY]
    (reason,) = against(made.text(), given)
    assert reason.startswith("waiver")


def test_a_waivers_signature_is_never_an_approvals():
    book = waiting()
    release = book.release("tiny-1")
    made = approval.statement(book.ledger, release, person=ANA, role="risk", decision="approve")
    as_waiver = sshsig.sign(KEYS[ANA], made.text(), namespace("risk")).encode()
    common = {"signers": known(), "ledger": book.ledger, "release": release, "at": NOW}
    (reason,) = approval.objections(made.text(), as_waiver, **common)
    assert "namespace" in reason
    text = spoken(book).text()
    (reason,) = approval.objections(text, signatures(text, SIGNED_BY)[0], **common)
    assert reason.startswith("approval statement")
    with pytest.raises(Tampered):
        Statement.read(text)


@pytest.mark.parametrize("role", ["risk@waiver", "waiver", "risk@waiver.headgate", "waiver.risk", "risk"])
def test_no_role_has_the_namespace_of_a_waiver(role):
    assert approval.namespace(role) != namespace("risk")


def test_whoever_may_only_approve_may_not_waive():
    plain = may(ANA, "risk") + may(BOB, "product")
    assert len(said_against(spoken(BOOK), listed=plain)) == 2
    wild = "".join(
        f'{person} namespaces="*@headgate" {sshsig.public_key(KEYS[person]).text}\n' for person in (ANA, BOB)
    )
    assert len(said_against(spoken(BOOK), listed=wild)) == 2


# Two people.


def test_nobody_waives_alone():
    for people, keys in (
        ([(CAT, "risk"), (CAT, "product")], None),
        ([(CAT, "risk"), (CAT.upper(), "product")], [CAT, CAT]),
    ):
        reasons = said_against(
            spoken(BOOK, people=people), keys, listed=WAIVERS + may(CAT.upper(), waive=["product"], key=CAT)
        )
        assert any("one person" in reason for reason in reasons)


def test_one_key_under_two_names_is_one_person():
    people = [(ANA, "risk"), ("annie@example.org", "product")]
    listed = WAIVERS + may("annie@example.org", waive=["product"], key=ANA)
    (reason,) = said_against(spoken(BOOK, people=people), [ANA, ANA], listed=listed)
    assert "one person" in reason


def test_two_keys_of_one_person_under_two_names_are_one_person():
    # Ana signs with her key, and with Bob's stolen one, which somebody also listed under her name.
    listed = WAIVERS + may(ANA, waive=["product"], key=BOB)
    (reason,) = said_against(spoken(BOOK), listed=listed)
    assert "one person" in reason


def test_two_keys_of_one_name_are_one_person():
    people = [(ANA, "risk"), (ANA, "product")]
    listed = WAIVERS + may(ANA, waive=["product"], key=MALLORY)
    (reason,) = said_against(spoken(BOOK, people=people), [ANA, MALLORY], listed=listed)
    assert "one person" in reason


@pytest.mark.parametrize(
    ("people", "part"),
    [
        ([(ANA, "risk")], "signed by 1 × risk"),
        ([(ANA, "risk"), (CAT, "risk")], "signed by 2 × risk"),
        ([(ANA, "risk"), (BOB, "product"), (CAT, "product")], "signed by 2 × product, 1 × risk"),
        ([(ANA, "risk"), (BOB, "legal")], "1 × legal"),
    ],
)
def test_the_roles_are_those_of_the_policy(people, part):
    assert any(part in reason for reason in said_against(spoken(BOOK, people=people)))


def test_every_person_in_the_text_must_have_signed():
    text = spoken(BOOK).text()
    signed = signatures(text, SIGNED_BY)
    for some in ([], signed[:1], [*signed, signed[0]]):
        assert against(text, some) == (f"{len(some)} signature(s) of 2 people",)
    assert against(text, [signed[0], signed[0]])
    for junk in (b"", b"junk", signed[1][:-60]):
        assert against(text, [signed[0], junk])
    (reason,) = said_against(spoken(BOOK), [ANA, MALLORY])
    assert "not for bob@example.org" in reason


def test_a_pattern_names_nobody():
    assert said_against(spoken(BOOK), listed=may("*@example.org", waive=["risk", "product"], key=ANA))


# The policy.


def test_without_the_part_nothing_can_be_waived():
    closed = parse(POLICY, "of the story")
    reasons = said_against(spoken(BOOK, policy=closed.digest), policy=closed)
    assert any("no part [waivers]" in reason for reason in reasons)
    empty = parse(POLICY + ALLOWED.replace(b'["roc-auc"]', b"[]"), "of the story")
    reasons = said_against(spoken(BOOK, policy=empty.digest), policy=empty)
    assert reasons == ("the policy lets nobody waive 'roc-auc', only nothing",)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ((b"{ risk = 1, product = 1 }", b"{ risk = 1 }"), "at least two people"),
        ((b"{ risk = 1, product = 1 }", b"{}"), "waivers.roles"),
        ((b"max_days = 90", b"max_days = 366"), "waivers.max_days"),
        ((b"max_days = 90", b"max_days = 0"), "waivers.max_days"),
        ((b'["roc-auc"]', b'["roc_auc"]'), "waivers.gates[0]: 'roc_auc' is not the label of a gate"),
        ((b"gates =", b"data = true\ngates ="), "waivers.data"),
    ],
)
def test_a_policy_that_says_too_much_is_refused(change, part):
    with pytest.raises(BadInput) as caught:
        parse(FAILING.replace(*change), "x")
    assert part in caught.value.got


def test_two_people_of_one_role_can_be_asked_for():
    policy = parse(FAILING.replace(b"{ risk = 1, product = 1 }", b"{ risk = 2 }"), "x")
    made = spoken(BOOK, people=[(ANA, "risk"), (CAT, "risk")], policy=policy.digest)
    assert said_against(made, policy=policy) == ()


def test_a_policy_without_waivers_has_the_digest_that_it_always_had():
    assert "waivers" not in parse(POLICY, "x").model_dump(mode="json")
    assert parse(FAILING, "x").model_dump(mode="json")["waivers"]["gates"] == ["roc-auc"]
    assert parse(FAILING, "x").digest != parse(FAILING.replace(b"90", b"91"), "x").digest


# Time.


@pytest.mark.parametrize(
    ("at", "counts"),
    [("2026-08-30T23:59:59.999Z", True), ("2026-08-31T00:00:00Z", False), ("2026-08-31T01:00:00+02:00", True)],
)
def test_its_last_day_belongs_to_it(at, counts):
    found = said_against(spoken(BOOK), at=at)
    assert (found == ()) == counts
    assert counts or "ended with 2026-08-30" in found[0]


@pytest.mark.parametrize(("days", "counts"), [(0, True), (90, True), (91, False), (365, False)])
def test_the_sunset_is_near(days, counts):
    assert (said_against(spoken(BOOK, until=in_days(days))) == ()) == counts


@pytest.mark.parametrize(
    ("options", "counts"), [("", True), (',valid-before="20260601Z"', False), (',valid-after="20260801Z"', False)]
)
def test_a_key_counts_in_its_time_only(options, counts):
    listed = may(ANA, waive=["risk"], options=options) + may(BOB, waive=["product"])
    assert (said_against(spoken(BOOK), listed=listed) == ()) == counts


def test_a_time_without_zone_is_bad_input():
    with pytest.raises(BadInput, match="time"):
        said_against(spoken(BOOK), at="2026-07-01T12:00:00")


# Whoever asks for the release.


@pytest.mark.parametrize("name", [REQUESTER, REQUESTER.title()])
def test_whoever_asked_for_the_release_cannot_have_waived(name):
    made = spoken(BOOK, people=[(ANA, "risk"), (REQUESTER, "product")])
    assert said_against(made) == (), "who will ask is not known when it is recorded"
    (reason,) = said_against(made, requester=name)
    assert "asked for this release" in reason
    assert said_against(spoken(BOOK), requester=name) == ()


def test_nor_under_another_name_with_the_same_key():
    made = spoken(BOOK, people=[(ANA, "risk"), (DOLLY, "product")])
    (reason,) = said_against(made, requester=REQUESTER)
    assert "asked for this release" in reason


# The ledger says what was signed.


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"gate": "no-worse"}, "recorded gate"),
        ({"slice": "sex=f"}, "recorded slice"),
        ({"covers": "INCONCLUSIVE"}, "recorded covers"),
        ({"reason": "put in their mouths"}, "recorded reason"),
        ({"until": in_days(80)}, "recorded until"),
        ({"policy": OTHER}, "recorded policy"),
        ({"people": (Signatory(role="risk", person=ANA, key="SHA256:x"),) * 2}, "recorded people"),
    ],
)
def test_the_ledger_must_say_what_was_signed(changes, part):
    book = BOOK.copy()
    record = waived(book)
    text, signed = book.evidence[record.statement], [book.evidence[digest] for digest in record.signatures]
    assert against(text, signed, record=record) == ()
    (reason,) = against(text, signed, record=record.model_copy(update=changes))
    assert part in reason


def test_a_recorded_waiver_is_judged_again_from_its_evidence():
    book, slot = waiver_book()
    one = book.state.waivers[slot]

    def heard(now: Waiver, evidence: dict[str, bytes], **more: Any) -> tuple[str, ...]:
        def read(digest: str) -> bytes:
            if digest not in evidence:
                raise Tampered(digest, got="nothing", expected="bytes", next_step="look")
            return evidence[digest]

        given = {"signers": known(), "requester": REQUESTER, "at": NOW, **more}
        return still(now, read, ledger=book.ledger, policy=RULES, **given)

    assert heard(one, book.evidence) == ()
    assert heard(replace(one, revoked=7), book.evidence) == ("it was revoked in slot 7",)
    for digest in (one.record.statement, *one.record.signatures):
        assert heard(one, {d: data for d, data in book.evidence.items() if d != digest})
        assert heard(one, {**book.evidence, digest: b"other"})
    assert heard(one, book.evidence, signers=known(WAIVERS.replace(may(ANA, "risk", waive=["risk"]), "")))
    assert heard(one, book.evidence, requester=BOB)
    assert heard(one, book.evidence, at="2026-09-01T00:00:00Z")


# Taking it back.


def revocation_against(
    book: Book, slot: int, made: RevocationStatement, key: str = ANA, **more: Any
) -> tuple[str, ...]:
    signed = sshsig.sign(KEYS[key], made.text(), namespace(more.pop("role", made.role))).encode()
    given = {"signers": known(), "ledger": book.ledger, "waiver": book.state.waivers[slot], "at": NOW, **more}
    return revocation_objections(made.text(), signed, **given)


@pytest.mark.parametrize(("person", "role"), [(ANA, "risk"), (BOB, "product"), (CAT, "risk"), (DOLLY, "product")])
def test_any_one_person_of_its_roles_takes_it_back(person, role):
    book, slot = waiver_book()
    made = revocation(book.ledger, book.state.waivers[slot], person=person, role=role, reason="recalibrated")
    assert revocation_against(book, slot, made, key=person) == ()


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"model": "tiny2"}, "model"),
        ({"waiver": 3}, "slot"),
        ({"statement": OTHER}, "waiver"),
        ({"ledger_root": OTHER}, "ledger root"),
        ({"person": BOB}, "not for bob@example.org"),
        ({"role": "legal"}, "not a role of this waiver"),
    ],
)
def test_a_revocation_is_of_this_waiver_by_this_person(changes, part):
    book, slot = waiver_book()
    made = revocation(book.ledger, book.state.waivers[slot], person=ANA, role="risk", reason="recalibrated")
    assert any(part in reason for reason in revocation_against(book, slot, made.model_copy(update=changes)))


def test_a_revocation_needs_a_signature_of_its_own():
    book, slot = waiver_book()
    made = revocation(book.ledger, book.state.waivers[slot], person=ANA, role="risk", reason="recalibrated")
    assert revocation_against(book, slot, made, key=MALLORY)
    record = book.state.waivers[slot].record
    given = {"signers": known(), "ledger": book.ledger, "waiver": book.state.waivers[slot], "at": NOW}
    assert revocation_objections(made.text(), book.evidence[record.signatures[0]], **given)
    (reason,) = revocation_objections(book.evidence[record.statement], book.evidence[record.signatures[0]], **given)
    assert reason.startswith("revocation of a waiver")
    as_approval = sshsig.sign(KEYS[ANA], made.text(), approval.namespace("risk")).encode()
    assert revocation_objections(made.text(), as_approval, **given)
    with pytest.raises(BadInput, match="reason"):
        revocation(book.ledger, book.state.waivers[slot], person=ANA, role="risk", reason="")


@pytest.mark.parametrize("changes", [{"person": BOB}, {"reason": "x"}, {"key": "SHA256:x"}, {"waiver": 9}])
def test_the_ledger_must_say_who_took_it_back_and_why(changes):
    book, slot = waiver_book()
    record = revoked(book, slot)
    text, signed = book.evidence[record.statement], book.evidence[record.signature]
    given = {"signers": known(), "ledger": book.ledger, "waiver": book.state.waivers[slot], "at": NOW}
    assert revocation_objections(text, signed, record=record, **given) == ()
    assert revocation_objections(text, signed, record=record.model_copy(update=changes), **given)


# What it changes.


def judgement(gate: str = "g", slice: str = "all", verdict: Verdict = Verdict.PASS) -> Judgement:
    return Judgement.model_validate(
        {
            "gate": gate, "metric": "roc_auc", "slice": slice, "form": "limit", "verdict": verdict, "reason": "r",
            "value": 0.7, "lower": 0.65, "upper": 0.75, "n": 400, "limit": 0.6, "alpha": 0.05, "p_harm": 1.0,
            "method": "DeLong", "rows_needed": None, "evidence": None,
        }
    )  # fmt: skip


def judged(*each: Judgement) -> Judged:
    return Judged(judgements=each, family=len(each), alpha=0.05)


def excuse(gate: str = "g", slice: str | None = None, covers: str = "FAIL", seq: int = 0) -> Waiver:
    record = Waived(
        gate=gate, slice=slice, covers=covers, reason="r", until=date(2026, 8, 1), policy=DIGEST, policy_file=DIGEST,
        people=(Signatory(role="risk", person=ANA, key="a"), Signatory(role="product", person=BOB, key="b")),
        statement=DIGEST, signatures=(DIGEST, OTHER), signers=DIGEST,
    )  # fmt: skip
    return Waiver(seq, NOW, record)


@pytest.mark.parametrize("verdict", list(Verdict))
@pytest.mark.parametrize("ceiling", ["INCONCLUSIVE", "FAIL"])
def test_what_could_not_be_measured_is_never_excused_and_fail_only_where_it_is_said(verdict, ceiling):
    expected = {"INCONCLUSIVE": {Verdict.INCONCLUSIVE}, "FAIL": {Verdict.INCONCLUSIVE, Verdict.FAIL}}[ceiling]
    assert covers(excuse(covers=ceiling), judgement(verdict=verdict)) == (verdict in expected)


def test_a_waiver_is_about_one_gate_and_one_slice():
    bad = judgement("g", "sex=f", Verdict.FAIL)
    assert covers(excuse("g"), bad)
    assert covers(excuse("g", "sex=f"), bad)
    assert not covers(excuse("g", "sex=m"), bad)
    assert not covers(excuse("g", "all"), bad)
    assert not covers(excuse("h"), bad)


judgements = st.lists(
    st.builds(judgement, st.sampled_from("gh"), st.sampled_from(["all", "sex=f"]), st.sampled_from(list(Verdict))),
    max_size=6,
)
waivers = st.lists(
    st.builds(
        excuse,
        st.sampled_from("gh"),
        st.sampled_from([None, "all", "sex=f"]),
        st.sampled_from(["INCONCLUSIVE", "FAIL"]),
    ),
    max_size=3,
)


@given(judgements, waivers)
def test_waivers_never_make_more_of_a_verdict_than_they_say(each, some):
    found = judged(*each)
    left = standing(found, some)
    assert left <= found.verdict
    assert standing(found, []) is found.verdict
    for verdict in (Verdict.ERROR,):
        assert any(j.verdict is verdict for j in each) <= (left >= verdict)
    assert (left is Verdict.PASS) == (
        bool(each) and all(j.verdict is Verdict.PASS or any(covers(w, j) for w in some) for j in each)
    )
    assert sorted(map(id, (*remaining(found, some), *excused_of(found, some)))) == sorted(map(id, found.judgements))
    assert all(standing(found, [*some, more]) <= left for more in some)


def test_of_nothing_judged_there_is_nothing_to_excuse():
    assert standing(judged(), [excuse()]) is Verdict.ERROR


def test_the_headline_never_hides_a_waiver():
    found = judged(
        judgement(), judgement("calibration", "all", Verdict.FAIL), judgement("calibration", "x", Verdict.INCONCLUSIVE)
    )
    assert headline(found, []) == "FAIL"
    assert headline(found, [excuse("calibration")]) == "PASS with 1 waiver (calibration: FAIL)"
    assert (
        headline(found, [excuse("calibration", "all"), excuse("calibration", "x")])
        == "PASS with 2 waivers (calibration: FAIL)"
    )
    assert headline(found, [excuse("calibration", "x")]) == "FAIL with 1 waiver (calibration: INCONCLUSIVE)"


# Which of the recorded ones are used.


def heard(book: Book, **more: Any) -> Any:
    plain = evaluated(book, None, **{k: more.pop(k) for k in list(more) if k == "serving"})
    found = Judged.model_validate_json(book.evidence[plain.judged])
    given = {"signers": known(), "at": time_at(book.ledger.size), **more}
    state = book.state
    return hear(
        found, state, state.release("tiny-1"), policy=parse(book.policy_file, "x"), ledger=book.ledger,
        read=book.evidence.__getitem__, **given,
    )  # fmt: skip


def before_the_verdict(policy: bytes = FAILING, **given: Any) -> Book:
    book, _ = waiver_book(policy, **given)
    return take(book, "tiny-1", until="registered")


def test_a_waiver_that_counts_is_used():
    found = heard(before_the_verdict())
    assert ([w.seq for w in found.used], found.refused) == ([0], {})
    book = judged_book()
    assert book.release("tiny-1").waivers == found.used
    assert not book.release("tiny-1").is_refused
    assert book.release("tiny-1").step(type(evaluated(book, None))).verdict is Verdict.FAIL


def test_an_undecided_gate_needs_only_the_default():
    book = Book(UNDECIDED)
    waive(book, waived(book, spoken(book, covers="INCONCLUSIVE")))
    assert len(heard(take(book, "tiny-1", until="registered")).used) == 1
    failing = Book(FAILING)
    waive(failing, waived(failing, spoken(failing, covers="INCONCLUSIVE")))
    found = heard(take(failing, "tiny-1", until="registered"))
    assert (found.used, found.refused) == ((), {}), "it does not speak of a FAIL"


def test_what_is_not_needed_is_not_used():
    good = take(waiver_book(POLICY + ALLOWED)[0], "tiny-1", until="registered")
    assert heard(good).used == ()
    twice = Book(FAILING)
    waive(twice)
    waive(twice)
    assert [w.seq for w in heard(take(twice, "tiny-1", until="registered")).used] == [0]


def test_what_does_not_count_is_told_with_its_reason():
    forged = Book(FAILING)
    waive(forged, waived(forged, keys=[ANA, MALLORY]))
    take(forged, "tiny-1", until="registered")
    for book, part, more in (
        (before_the_verdict(), "ended with", {"at": "2026-09-01T00:00:00Z"}),
        (before_the_verdict(), "for nobody", {"signers": known(may(BOB, waive=["product"]))}),
        (forged, "for nobody, not for bob@example.org", {}),
    ):
        found = heard(book, **more)
        assert found.used == ()
        assert any(part in reason for reason in found.refused[0])


def test_a_requesters_own_waiver_is_not_used():
    book = Book(FAILING)
    waive(book, waived(book, spoken(book, people=[(ANA, "risk"), (REQUESTER, "product")])))
    found = heard(take(book, "tiny-1", until="registered"))
    assert found.used == ()
    assert "asked for this release" in found.refused[0][0]
    assert book.release("tiny-1").step(Requested).requester == REQUESTER


def test_a_revoked_waiver_is_not_even_heard():
    book, slot = waiver_book()
    revoke(book, slot)
    found = heard(take(book, "tiny-1", until="registered"))
    assert (found.used, found.refused) == ((), {})


def test_a_waiver_under_another_policy_is_not_used():
    book, _ = waiver_book()
    book.policy_file = FAILING.replace(b"expires_hours = 48", b"expires_hours = 24")
    found = heard(take(book, "tiny-1", until="registered"))
    assert found.used == ()
    assert any("policy" in reason for reason in found.refused[0])


def test_an_error_beside_a_waived_gate_still_stops_the_release():
    book = before_the_verdict()
    found = heard(book, serving=None)
    assert [w.seq for w in found.used] == [0]
    book.say("tiny-1", excused(book, 0, serving=None))
    assert book.release("tiny-1").is_refused
    latency = judgement("latency-p99-ms", verdict=Verdict.ERROR)
    assert not adds(excuse("latency-p99-ms"), judged(latency), [])


def test_bytes_that_are_no_waiver_are_an_error_that_names_it():
    with pytest.raises(HeadgateError, match="waiver"):
        keys_of(b"{}", [])
