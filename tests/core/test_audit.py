from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from story_of import (
    ANA,
    BOB,
    CAT,
    DOLLY,
    KEYS,
    MODEL,
    PEOPLE,
    POLICY,
    SIGNER,
    SIGNERS,
    STAGED,
    VERIFIER,
    Book,
    answered,
    approve,
    asked,
    evaluated,
    files_of,
    intention,
    judged_of,
    line,
    packaged,
    promote,
    requested,
    signers,
    take,
    tallied,
    time_at,
    trained,
    validated,
    waiting,
    whole,
)
from waivers_of import (
    ALLOWED,
    FAILING,
    WAIVERS,
    approved_book,
    excused,
    in_days,
    judged_book,
    known,
    may,
    revoke,
    revoked,
    spoken,
    waive,
    waived,
    waiver_book,
    with_waivers,
)

from headgate import sshsig
from headgate.approval import namespace, statement
from headgate.audit import Findings, audit
from headgate.canonical import canonical, digest_of
from headgate.ledger import Ledger
from headgate.package import HISTORY, manifest
from headgate.records import (
    ApprovalRequested,
    Approved,
    Evaluated,
    Packaged,
    PromotionStarted,
    Rejected,
    Requested,
    Validated,
    record_of,
    relied_on,
)
from headgate.signing import Signer, Verifier, new_key
from headgate.verdict import Verdict

STORY = whole()
SHORT = promote(approve(waiting(), "tiny-1"), "tiny-1")
LIVE = {"champion": 2}
MALLORY = "mallory@example.org"


def found(book: Book, live: dict[str, int | None] | None = None, **more: Any) -> Findings:
    return audit(MODEL, book.slots, VERIFIER, book.evidence, live, **more)


def names(findings: Findings) -> list[tuple[str, int]]:
    return [(a.name, a.slot) for a in findings.anomalies]


def retold(book: Book, change: Callable[[int, str, dict[str, Any]], dict[str, Any] | None]) -> Book:
    """The same story, signed anew by whoever holds the pipeline's key, with some bodies changed or left out."""
    again = Book(book.policy_file, Ledger(MODEL), dict(book.evidence))
    for entry in book.ledger.entries:
        body = change(entry.seq, entry.kind, json.loads(canonical(entry.body)))
        if body is not None:
            again.tell(entry.release, entry.kind, body, minutes=entry.seq)
    return again


def at(kind: str, which: int = 0, book: Book = STORY) -> int:
    return [e.seq for e in book.ledger.entries if e.kind == kind][which]


def test_a_sound_story_has_no_anomaly_and_much_was_checked():
    findings = found(STORY, LIVE, signers=signers())
    assert findings.anomalies == ()
    assert (findings.entries, findings.verdicts, findings.approvals) == (40, 7, 7)
    assert findings.digests > 90


def test_every_beginning_of_a_sound_story_is_sound():
    for size in range(STORY.ledger.size + 1):
        part = Book(ledger=STORY.ledger.at(size))
        part.evidence = STORY.evidence
        findings = found(part)
        assert (findings.entries, findings.anomalies) == (size, ())


def test_nothing_checked_is_not_all_well():
    findings = audit(MODEL, {}, VERIFIER, {})
    assert (findings.entries, findings.digests, findings.verdicts, findings.approvals) == (0, 0, 0, 0)
    assert names(audit(MODEL, {}, VERIFIER, {}, {"champion": 1})) == [("moved_alias", -1)]


def test_all_evidence_of_the_story_is_demanded():
    demanded = {d for e in STORY.ledger.entries for d in relied_on(record_of(e.kind, dict(e.body)))}
    packed = {
        d
        for data in STORY.evidence.values()
        if data.startswith(b'{"files"')
        for d in json.loads(data)["files"].values()
    }
    assert demanded | packed == set(STORY.evidence)
    asked_for = record_of("requested", dict(STORY.ledger.entries[0].body))
    assert isinstance(asked_for, Requested)
    assert {asked_for.policy, asked_for.policy_file} <= demanded


# Bits.


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_a_flipped_bit_in_any_evidence_is_found():
    draw, checked = random.Random(7), Counter[str]()  # noqa: S311  # no secret
    for digest, data in SHORT.evidence.items():
        for bit in [draw.randrange(len(data) * 8) for _ in range(3)]:
            book = SHORT.copy()
            book.evidence[digest] = flipped(data, bit)
            findings = found(book)
            assert ("changed_evidence", -1) in names(findings), (digest, bit)
            assert any(a.slot >= 0 and digest in a.expected + a.got for a in findings.anomalies), "who relied on it"
            checked[digest] += 1
    assert set(checked) == set(SHORT.evidence)
    assert checked.total() == 3 * len(SHORT.evidence) > 60


def missed_bits(book: Book, bits: dict[int, range | list[int]]) -> tuple[int, list[tuple[int, int]]]:
    checked, missed = 0, []
    for slot, those in bits.items():
        for bit in those:
            changed = {**book.slots, slot: flipped(book.slots[slot], bit)}
            findings = audit(MODEL, changed, VERIFIER, book.evidence)
            checked += 1
            if not any(a.slot == slot for a in findings.anomalies):
                missed.append((slot, bit))
    return checked, missed


def test_a_flipped_bit_in_any_slot_is_found():
    draw = random.Random(8)  # noqa: S311  # no secret
    bits = {slot: draw.sample(range(len(data) * 8), 8) for slot, data in STORY.slots.items()}
    assert missed_bits(STORY, bits) == (320, [])


def test_every_flipped_bit_of_a_short_ledger_is_found():
    book = take(Book(), "tiny-1", until="validated")
    slot = 2
    bits = range(len(book.slots[slot]) * 8)
    checked, missed = missed_bits(book, {slot: bits})
    assert (checked, missed) == (len(bits), [])
    assert checked > 4000


@pytest.mark.proof
def test_every_flipped_bit_of_a_whole_release_is_found():
    book = promote(approve(waiting(), "tiny-1"), "tiny-1")
    bits = {slot: range(len(data) * 8) for slot, data in book.slots.items()}
    checked, missed = missed_bits(book, bits)
    assert (checked, missed) == (sum(map(len, bits.values())), [])


# Things that are gone.


def test_removed_evidence_is_found_and_who_relied_on_it():
    for digest in SHORT.evidence:
        book = SHORT.copy()
        del book.evidence[digest]
        findings = found(book)
        gone = [a for a in findings.anomalies if a.name == "missing_evidence"]
        assert gone, digest
        assert all(digest in a.expected for a in gone)


@pytest.mark.parametrize("slot", range(STORY.ledger.size - 1))
def test_a_removed_slot_is_found(slot):
    slots = {n: data for n, data in STORY.slots.items() if n != slot}
    assert ("missing_slot", slot) in names(audit(MODEL, slots, VERIFIER, STORY.evidence))


def test_an_entry_left_out_of_a_resigned_ledger_is_found():
    unseen = []
    for slot, entry in enumerate(STORY.ledger.entries):
        again = retold(STORY, lambda n, _, body, slot=slot: None if n == slot else body)
        if not found(again, LIVE).anomalies:
            unseen.append((slot, entry.kind))
    # The last words of a model, which nobody signed after: only who saw them can say that they are gone.
    assert unseen == [(38, "rejected"), (39, "halted")]


def test_two_swapped_slots_are_found():
    slots = {**STORY.slots, 3: STORY.slots[4], 4: STORY.slots[3]}
    assert {slot for _, slot in names(audit(MODEL, slots, VERIFIER, STORY.evidence))} >= {3, 4}


def test_another_models_ledger_or_key_is_found():
    assert {n for n, _ in names(audit("other", STORY.slots, VERIFIER, STORY.evidence))} >= {"wrong_model"}
    stranger = Verifier(Signer(new_key()).public_pem)
    assert {n for n, _ in names(audit(MODEL, STORY.slots, stranger, STORY.evidence))} == {"wrong_key"}


# Whoever holds the pipeline's key signs what they like. What they cannot change is found by computing it again.


def altered(kind: str, which: int = 0, **changes: Any) -> Book:
    slot = at(kind, which)
    return retold(STORY, lambda n, _, body: {**body, **changes} if n == slot else body)


def failing() -> Book:
    """A story whose gates did not pass, up to the verdict."""
    book = Book(POLICY.replace(b"min = 0.6", b"min = 0.95"))
    return take(book, "tiny-1", until="evaluated")


def test_a_verdict_changed_to_pass_is_found_by_computing_it_again():
    book = failing()
    honest = book.release("tiny-1").step(Evaluated)
    assert (honest.verdict.name, found(book).anomalies) == ("FAIL", ())
    again = retold(book, lambda _, kind, body: {**body, "verdict": "PASS"} if kind == "evaluated" else body)
    assert names(found(again)) == [("other_verdict", at("evaluated", book=book))]


def test_judgements_changed_to_pass_are_found_too():
    book = failing()
    judged = judged_of(book, "tiny-1")
    passed = [j.model_copy(update={"verdict": Verdict.PASS}) for j in judged.judgements]
    digest = book.keep(judged.model_copy(update={"judgements": tuple(passed)}).model_dump(mode="json"))
    changes = {"verdict": "PASS", "judged": digest}
    again = retold(book, lambda _, kind, body: {**body, **changes} if kind == "evaluated" else body)
    again.evidence = book.evidence
    (anomaly,) = found(again).anomalies
    assert (anomaly.name, anomaly.expected[:4]) == ("other_verdict", "FAIL")


def test_another_tally_under_the_same_verdict_is_found():
    book = STORY.copy()
    other = book.put(tallied(champion=False, seed=5).to_bytes())
    again = retold(book, lambda n, kind, body: {**body, "tally": other} if n == at("evaluated") else body)
    assert ("other_verdict", at("evaluated")) in names(found(again))
    assert ("other_package", at("packaged")) in names(found(again))


def test_bad_data_called_good_is_found():
    book = take(Book(), "tiny-1", until="snapshot")
    bad = validated(book, Verdict.FAIL)
    book.say("tiny-1", bad.model_copy(update={"verdict": Verdict.PASS}))
    book.say("tiny-1", trained(book))
    assert names(found(book)) == [("other_verdict", 2)]
    assert isinstance(bad, Validated)


def test_a_wrong_policy_digest_is_found():
    lax = POLICY.replace(b"min = 0.6", b"min = 0.01")
    book = STORY.copy()
    file = book.put(lax)
    again = retold(book, lambda n, _, body: {**body, "policy_file": file} if n == 0 else body)
    again.evidence = book.evidence
    assert ("wrong_policy", 0) in names(found(again))
    digest = book.keep({"any": "thing"})
    again = retold(book, lambda n, _, body: {**body, "policy": digest} if n == 0 else body)
    again.evidence = book.evidence
    assert ("wrong_policy", 0) in names(found(again))


def test_the_policy_of_another_model_is_found():
    book = Book(POLICY.replace(b'name = "tiny"', b'name = "other"'))
    book.say("tiny-1", requested(book, None))
    assert names(found(book)) == [("wrong_policy", 0)]


def test_a_champion_left_out_of_the_comparison_is_found():
    book = promote(approve(waiting(), "tiny-1"), "tiny-1")
    take(book, "tiny-2", version=2, champion=None, until="evaluated")
    assert names(found(book)) == [("other_champion", book.ledger.size - 6)]
    half = promote(approve(waiting(), "tiny-1"), "tiny-1")
    take(half, "tiny-2", version=2, champion=1, until="registered")
    half.say("tiny-2", evaluated(half, None))
    assert names(found(half)) == [("other_champion", half.ledger.size - 1)]


def test_a_package_that_says_something_else_is_found():
    for name in ("policy.toml", "verdicts.json", "tally.json", "serving.json", "data-report.json", HISTORY):
        book = take(Book(), "tiny-1", until="evaluated")
        files = {**files_of(book, "tiny-1"), name: b"something else\n"}
        for data in files.values():
            book.put(data)
        book.say("tiny-1", Packaged(package=book.put(manifest(files))))
        assert names(found(book)) == [("other_package", 6)], name


@pytest.mark.parametrize("name", [HISTORY, "verdicts.json", "tally.json"])
def test_a_package_without_its_parts_is_found(name):
    book = take(Book(), "tiny-1", until="evaluated")
    files = {n: d for n, d in files_of(book, "tiny-1").items() if n != name}
    for data in files.values():
        book.put(data)
    book.say("tiny-1", Packaged(package=book.put(manifest(files))))
    assert {n for n, _ in names(found(book))} & {"other_package", "not_recomputable"}


def test_a_shortened_history_in_the_package_is_found():
    for lines in range(6):
        book = take(Book(), "tiny-1", until="evaluated")
        history = b"".join(entry + b"\n" for entry in book.ledger.stored[:lines])
        files = {**files_of(book, "tiny-1"), HISTORY: history}
        for data in files.values():
            book.put(data)
        book.say("tiny-1", Packaged(package=book.put(manifest(files))))
        assert ("other_package", 6) in names(found(book)), lines


@pytest.mark.parametrize(
    "changes", [{"roles": {"risk": 1}}, {"roles": {"risk": 1, "product": 1}}, {"expires": time_at(200_000)}]
)
def test_a_smaller_quorum_than_the_policys_is_found(changes):
    book = take(Book(), "tiny-1", until="packaged")
    book.say("tiny-1", asked(book).model_copy(update=changes))
    assert names(found(book)) == [("other_quorum", 7)]
    assert isinstance(asked(book), ApprovalRequested)


# Approvals.


def forged(book: Book, person: str, role: str, *, key: str, listed: str = SIGNERS) -> Approved:
    spoken = statement(book.ledger, book.release("tiny-1"), person=person, role=role, decision="approve")
    signature = sshsig.sign(KEYS[key], spoken.text(), namespace(role)).encode()
    return Approved(
        role=role,
        person=person,
        key=sshsig.public_key(KEYS[key]).fingerprint,
        statement=book.put(spoken.text()),
        signature=book.put(signature),
        signers=book.put(listed.encode()),
    )


def test_a_forged_approval_is_found():
    for key in (MALLORY, BOB):
        book = waiting()
        book.say("tiny-1", forged(book, ANA, "risk", key=key))
        findings = found(book)
        assert names(findings) == [("void_approval", 8)]
        assert findings.approvals == 1


def test_a_forged_approval_with_a_forged_list_of_signers_is_found_by_whoever_knows_the_signers():
    book = waiting()
    book.say("tiny-1", forged(book, ANA, "risk", key=MALLORY, listed=line(ANA, "risk", key=MALLORY)))
    assert names(found(book, signers=signers())) == [("unknown_signer", 8)]
    # What the docstring says it cannot see: whoever holds the key can also write the list.
    assert found(book).anomalies == ()


def test_an_approval_copied_from_another_release_is_found():
    book = take(approve(waiting(), "tiny-1"), "tiny-2", version=2)
    copied = record_of("approved", dict(book.ledger.entries[8].body))
    book.say("tiny-2", copied)
    assert {n for n, _ in names(found(book))} == {"void_approval"}


@pytest.mark.parametrize(
    "changes", [{"person": CAT}, {"role": "product"}, {"key": "SHA256:other"}], ids=["person", "role", "key"]
)
def test_an_approval_recorded_as_another_persons_is_found(changes):
    book = waiting()
    book.say("tiny-1", answered(book, "tiny-1", ANA, "risk").model_copy(update=changes))
    assert names(found(book)) == [("void_approval", 8)]


def test_a_no_recorded_as_a_yes_is_found():
    book = waiting()
    no = answered(book, "tiny-1", ANA, "risk", reason="too early")
    book.say("tiny-1", Approved(**{k: v for k, v in no.model_dump().items() if k != "reason"}))
    assert names(found(book)) == [("void_approval", 8)]
    book = waiting()
    yes = answered(book, "tiny-1", ANA, "risk")
    book.say("tiny-1", Rejected(**yes.model_dump(), reason="put in their mouth"))
    assert names(found(book)) == [("void_approval", 8)]


def test_a_promotion_on_expired_approvals_is_found():
    book = approve(waiting(), "tiny-1")
    book.say("tiny-1", intention(book, "tiny-1"), minutes=49 * 60)
    findings = found(book)
    assert names(findings) == [("void_approval", 11)] * len(PEOPLE)
    assert all("expired" in a.got for a in findings.anomalies)


def test_history_rewritten_before_an_approval_is_found_by_the_approval():
    # The key's holder changes a field that no rule and no computation looks at, and signs everything anew.
    again = altered("trained", seconds=99.0)
    assert again.ledger.entries[at("trained")].body["seconds"] == 99.0
    findings = found(again, LIVE)
    first_answer = at("approved")
    assert ("void_approval", first_answer) in names(findings)
    assert "ledger root" in next(a.got for a in findings.anomalies if a.slot == first_answer)


def test_whatever_a_holder_of_the_key_changes_before_an_approval_is_found():
    checked = 0
    for entry in SHORT.ledger.entries[: at("approved", -1, SHORT)]:
        for name, value in entry.body.items():
            for other in others(value):
                changed = {**dict(entry.body), name: other}
                again = retold(SHORT, lambda n, _, body, e=entry, c=changed: c if n == e.seq else body)
                checked += 1
                assert found(again).anomalies, (entry.seq, entry.kind, name)
    assert checked > 30


def others(value: Any) -> list[Any]:
    if isinstance(value, str):
        return ["sha256:" + "0" * 64 if value.startswith("sha256:") else f"{value}x"]
    return [value + 1] if isinstance(value, (int, float)) else []


# Waivers.


WAIVED = promote(approved_book(), "tiny-1")


def waived_story(record: Callable[[Book], Any], policy: bytes = FAILING) -> Book:
    """A waiver as it is told, used by a release all the same."""
    book = Book(policy)
    waive(book, record(book))
    take(book, "tiny-1", until="registered")
    book.say("tiny-1", with_waivers(book, evaluated(book, None), [book.state.waivers[0]]))
    return book


def test_a_release_that_was_promoted_with_a_waiver_is_sound_and_the_waiver_was_checked():
    findings = found(WAIVED, {"champion": 1}, signers=known())
    assert findings.anomalies == ()
    assert findings.waivers == 1
    book = WAIVED.copy()
    revoke(book, 0)
    assert found(book, {"champion": 1}, signers=known()).anomalies == ()


def test_every_beginning_of_it_is_sound():
    for size in range(WAIVED.ledger.size + 1):
        part = Book(FAILING, WAIVED.ledger.at(size), WAIVED.evidence)
        assert found(part).anomalies == ()


def test_evidence_of_a_waiver_is_demanded_and_its_bits_are_checked():
    draw = random.Random(9)  # noqa: S311  # no secret
    record = WAIVED.state.waivers[0].record
    assert set(relied_on(record)) == {
        record.policy, record.policy_file, record.statement, record.signers, *record.signatures
    }  # fmt: skip
    for digest in relied_on(record):
        book = WAIVED.copy()
        data = book.evidence.pop(digest)
        assert any(a.name == "missing_evidence" and a.slot == 0 for a in found(book).anomalies)
        book.evidence[digest] = flipped(data, draw.randrange(len(data) * 8))
        assert ("changed_evidence", -1) in names(found(book))


@pytest.mark.parametrize("kind", ["waived", "waiver_revoked"])
def test_an_entry_about_a_waiver_left_out_of_a_resigned_ledger_is_found(kind):
    book = approved_book()
    if kind == "waiver_revoked":
        revoke(book, 0)
        book.say("tiny-1", answered(book, "tiny-1", CAT, "risk", signers=WAIVERS))
    again = retold(book, lambda _, k, body: None if k == kind else body)
    assert found(again).anomalies


def test_a_waiver_that_never_was_is_found():
    book = take(Book(FAILING), "tiny-1", until="registered")
    plain = evaluated(book, None)
    book.say("tiny-1", type(plain)(**{**dict(plain), "waived": (3,), "unwaived": Verdict.PASS}))
    assert names(found(book)) == [("broken_rule", 5)]


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"reason": "put in their mouths"}, "recorded reason"),
        ({"until": in_days(200)}, "recorded until"),
        ({"covers": "INCONCLUSIVE"}, "recorded covers"),
        ({"gate": "no-worse"}, "recorded gate"),
        ({"slice": "sex=f"}, "recorded slice"),
    ],
)
def test_a_waiver_that_says_otherwise_than_was_signed_is_found(changes, part):
    book = Book(FAILING)
    waive(book, waived(book).model_copy(update=changes))
    (anomaly,) = found(book).anomalies
    assert (anomaly.name, anomaly.slot) == ("void_waiver", 0)
    assert part in anomaly.got


@pytest.mark.parametrize(
    ("record", "part"),
    [
        (lambda b: waived(b, keys=[ANA, MALLORY]), "not for bob@example.org"),
        (lambda b: waived(b, keys=[CAT, BOB]).model_copy(update={"people": waived(b).people}), "recorded people"),
        (lambda b: waived(b, spoken(b, until=in_days(91))), "90 days"),
        (lambda b: waived(b, spoken(b, gate="latency-p99-ms")), "lets nobody waive 'latency-p99-ms'"),
        (lambda b: waived(b, spoken(b, model="other")), "model"),
        (lambda b: waived(b, spoken(b, policy="sha256:" + "0" * 64)), "policy"),
        (lambda b: waived(b, spoken(b, people=[(ANA, "risk"), (CAT, "risk")])), "signed by 2 × risk"),
        (lambda b: waived(b, spoken(b, dated=time_at(9))), "still to come"),
        (lambda b: waived(b, spoken(b, ledger_size=1)), "ledger root"),
        (
            lambda b: waived(
                b, spoken(b, people=[(ANA, "risk"), ("annie@example.org", "product")]), keys=[ANA, BOB],
                listed=may(ANA, waive=["risk"]) + may(ANA, waive=["risk"], key=BOB)
                + may("annie@example.org", waive=["product"], key=BOB),
            ),
            "one person",
        ),
    ],
    ids=["key", "keys", "sunset", "gate", "model", "policy", "roles", "future", "root", "one person"],
)  # fmt: skip
def test_a_waiver_whose_signatures_do_not_count_is_found_where_it_stands(record, part):
    book = Book(FAILING)
    waive(book, record(book))
    findings = found(book)
    assert {a.slot for a in findings.anomalies} == {0}
    assert any(part in a.got for a in findings.anomalies if a.name == "void_waiver")


def test_a_void_waiver_is_also_found_where_it_is_used():
    book = waived_story(lambda b: waived(b, keys=[ANA, MALLORY]))
    assert names(found(book)) == [("void_waiver", 0), ("void_waiver", 6)]


def test_an_approvals_signatures_under_a_waiver_are_found():
    book = Book(FAILING)
    made = waived(book)
    text = book.evidence[made.statement]
    replayed = tuple(book.put(sshsig.sign(KEYS[p.person], text, namespace(p.role)).encode()) for p in made.people)
    waive(book, made.model_copy(update={"signatures": replayed}))
    (anomaly,) = found(book).anomalies
    assert (anomaly.name, anomaly.slot) == ("void_waiver", 0)
    assert "namespace" in anomaly.got


def test_a_waiver_by_whoever_asked_under_another_name_is_found_where_it_is_used():
    book = waived_story(lambda b: waived(b, spoken(b, people=[(ANA, "risk"), (DOLLY, "product")])))
    (anomaly,) = found(book).anomalies
    assert (anomaly.name, anomaly.slot) == ("void_waiver", 6)
    assert "asked for this release" in anomaly.got


@pytest.mark.parametrize("changes", [{"gate": "no-worse"}, {"slice": "sex=f"}, {"covers": "INCONCLUSIVE"}])
def test_a_waiver_of_something_else_is_found_where_it_is_used(changes):
    policy = FAILING.replace(b'gates = ["roc-auc"]', b'gates = ["roc-auc", "no-worse"]')
    book = Book(policy)
    waive(book, waived(book, spoken(book, **changes)))
    take(book, "tiny-1", until="registered")
    plain = evaluated(book, None)
    book.say("tiny-1", type(plain)(**{**dict(plain), "waived": (0,), "unwaived": Verdict.PASS}))
    assert names(found(book)) == [("other_standing", 6), ("void_waiver", 6)]


def test_a_second_waiver_that_covers_nothing_more_is_found():
    book, _ = waiver_book()
    waive(book)
    take(book, "tiny-1", until="registered")
    book.say("tiny-1", excused(book, 0, 1))
    assert names(found(book)) == [("void_waiver", 7)]


def test_a_standing_that_is_too_good_is_found_by_computing_it_again():
    strict = FAILING.replace(b"max = 50", b"max = 1")
    book, _ = waiver_book(strict)
    take(book, "tiny-1", until="registered")
    honest = excused(book, 0)
    assert honest.standing is Verdict.FAIL
    book.say("tiny-1", honest.model_copy(update={"unwaived": Verdict.PASS}))
    assert names(found(book)) == [("other_standing", 6)]


def test_a_waiver_that_ended_between_verdict_and_promotion_is_found():
    book = approved_book()
    book.say("tiny-1", intention(book, "tiny-1"), minutes=61 * 24 * 60)
    assert names(found(book)) == [("broken_rule", book.ledger.size - 1)]


def test_a_key_that_ended_between_verdict_and_promotion_is_found():
    listed = WAIVERS.replace(may(ANA, "risk", waive=["risk"]), "") + may(
        ANA, "risk", waive=["risk"], options=',valid-before="20260702Z"'
    )
    book = judged_book(listed=listed)
    book.say("tiny-1", packaged(book, "tiny-1"))
    book.say("tiny-1", asked(book))
    approve(book, "tiny-1")
    book.say("tiny-1", intention(book, "tiny-1"), minutes=24 * 60)
    assert names(found(book)) == [("void_waiver", book.ledger.size - 1)]


def test_a_waiver_of_another_models_ledger_is_found():
    other = Book(FAILING.replace(b'name = "tiny"', b'name = "other"'))
    record = waived(other, spoken(other, model="other"))
    book = Book(FAILING, evidence=dict(other.evidence))
    waive(book, record)
    assert names(found(book)) == [("void_waiver", 0)]


def test_a_waiver_under_a_policy_that_says_another_thing_is_found():
    lax = FAILING.replace(b"max_days = 90", b"max_days = 365")
    book = Book(FAILING)
    made = waived(book, spoken(book, until=in_days(300)))
    waive(book, made.model_copy(update={"policy_file": book.put(lax)}))
    assert ("wrong_policy", 0) in names(found(book))


def test_a_forged_waiver_with_a_forged_list_is_found_by_whoever_knows_the_signers():
    forged = may(ANA, waive=["risk"], key=MALLORY) + may(BOB, waive=["product"], key=CAT)
    book, _ = waiver_book(keys=[MALLORY, CAT], listed=forged)
    assert {n for n, _ in names(found(book, signers=known()))} == {"unknown_signer"}
    assert found(book).anomalies == ()


@pytest.mark.parametrize(
    "changes", [{"reason": "x"}, {"person": BOB}, {"role": "product"}, {"key": "SHA256:x"}], ids=lambda c: next(iter(c))
)
def test_a_revocation_that_says_otherwise_than_was_signed_is_found(changes):
    book, slot = waiver_book()
    made = revoked(book, slot).model_copy(update=changes)
    book.tell(None, "waiver_revoked", made.model_dump(mode="json"))
    assert set(names(found(book))) == {("void_waiver", 1)}


def test_what_a_holder_of_the_key_changes_in_a_waiver_is_found():
    checked = 0
    entry = WAIVED.ledger.entries[0]
    for name, value in entry.body.items():
        for other in others(value):
            again = retold(WAIVED, lambda n, _, body, f=name, o=other: {**body, f: o} if n == 0 else body)
            checked += 1
            assert found(again).anomalies, name
    assert checked >= 7
    assert ALLOWED in FAILING


# The outside.


@pytest.mark.parametrize("live", [{"champion": 1}, {"champion": None}, {}, {"champion": 3}])
def test_a_moved_alias_is_found(live):
    assert names(found(STORY, live)) == [("moved_alias", STORY.ledger.size - 1)]


def test_an_alias_that_nobody_decided_is_found():
    assert names(found(STORY, {**LIVE, "pilot": 1})) == [("moved_alias", STORY.ledger.size - 1)]
    assert found(STORY, {**LIVE, "pilot": None}).anomalies == ()
    assert found(STORY, None).anomalies == ()


@pytest.mark.parametrize(("live", "sound"), [(None, True), (1, True), (2, False)])
def test_in_the_middle_of_a_promotion_the_alias_is_at_one_of_its_ends(live, sound):
    book = approve(waiting(), "tiny-1")
    book.say("tiny-1", intention(book, "tiny-1"))
    assert (found(book, {"champion": live}).anomalies == ()) == sound
    assert names(found(book, {"champion": live, "pilot": 1}))[-1] == ("moved_alias", 11)


def test_another_alias_than_the_policys_is_found():
    for stages, anomaly in ((None, "broken_rule"), ((), "other_alias")):
        book = take(Book(), "tiny-1", until="packaged")
        terms = asked(book) if stages is None else asked(book).model_copy(update={"rollout": stages})
        book.say("tiny-1", terms)
        made = intention(approve(book, "tiny-1"), "tiny-1")
        book.say("tiny-1", made.model_copy(update={"alias": "pilot"}))
        assert names(found(book)) == [(anomaly, 11)]
        assert isinstance(made, PromotionStarted)


@pytest.mark.parametrize("stages", ["one too many", "none in a policy of two", "another share"])
def test_another_rollout_than_the_policys_is_found(stages):
    book = take(Book(STAGED), "tiny-1", until="packaged")
    due = asked(book)
    wrong = {
        "one too many": (*due.rollout, due.rollout[-1]),
        "none in a policy of two": (),
        "another share": (due.rollout[0].model_copy(update={"share": 0.9}), *due.rollout[1:]),
    }[stages]
    book.say("tiny-1", due.model_copy(update={"rollout": wrong}))
    assert names(found(book)) == [("other_rollout", 7)]


# Whatever it is given, it answers.


def test_a_broken_rule_is_named_with_its_slot_and_ends_the_walk():
    book = waiting()
    book.say("tiny-1", validated(book))
    book.say("tiny-1", trained(book))
    assert names(found(book)) == [("broken_rule", 8)]
    unknown = waiting()
    unknown.tell("tiny-1", "gates_waived", {})
    assert names(found(unknown)) == [("broken_rule", 8)]


@pytest.mark.parametrize("junk", [b"", b"[]", b"{}", b"null", b"\xff\xfe", b'{"files": 3}', b"[" * 100_000, b"1e400"])
def test_forged_evidence_of_any_shape_is_a_finding_and_no_crash(junk):
    digest, tried = digest_of(junk), 0
    for entry in SHORT.ledger.entries:
        record = record_of(entry.kind, dict(entry.body))
        for name in [n for n, value in entry.body.items() if value in relied_on(record) and value != digest]:
            again = retold(SHORT, lambda n, _, body, e=entry, f=name: {**body, f: digest} if n == e.seq else body)
            again.evidence[digest] = junk
            tried += 1
            assert found(again).anomalies, (entry.kind, name)
    assert tried > 15


def test_two_audits_say_the_same():
    book = STORY.copy()
    for digest in list(book.evidence)[:5]:
        book.evidence[digest] += b" "
    assert found(book, {}) == found(book, {})
    assert SIGNER.key_id == VERIFIER.key_id
