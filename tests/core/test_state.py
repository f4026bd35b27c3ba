from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from story_of import (
    ANA,
    BOB,
    CAT,
    DIGEST,
    MODEL,
    PEOPLE,
    REQUESTER,
    Book,
    answered,
    approve,
    asked,
    done,
    evaluated,
    halt,
    intention,
    promote,
    registered,
    requested,
    snapshot,
    take,
    time_at,
    trained,
    validated,
    waiting,
    whole,
)
from waivers_of import (
    FAILING,
    excused,
    in_days,
    judged_book,
    revoke,
    revoked,
    waive,
    waived,
    waiver_book,
)
from waivers_of import approved_book as excused_and_approved
from waivers_of import waiting_book as excused_and_waiting

from headgate.entry import Entry
from headgate.errors import BadInput, Tampered
from headgate.records import (
    KINDS,
    RECORDS,
    ApprovalRequested,
    Approved,
    Evaluated,
    Failure,
    Halted,
    Packaged,
    Promoted,
    PromotionUndone,
    Registered,
    Snapshot,
    Trained,
    Validated,
    record_of,
)
from headgate.release import STEPS, Release
from headgate.state import State, advance, fold
from headgate.verdict import Verdict
from headgate.waived import Waived

OTHER = "sha256:" + "0" * 64


def approved_book() -> Book:
    return approve(waiting(), "tiny-1")


def promoting_book() -> Book:
    book = approved_book()
    book.say("tiny-1", intention(book, "tiny-1"))
    return book


def test_a_sound_story_folds_and_so_does_every_beginning_of_it():
    entries = whole().ledger.entries
    assert [r.stage for r in fold(MODEL, entries).releases.values()] == ["promoted", "promoted", "halted", "halted"]
    seen = Counter()
    for size in range(len(entries) + 1):
        state = fold(MODEL, entries[:size])
        seen.update(r.stage for r in state.releases.values())
        promoted = [e.body["new"] for e in entries[:size] if e.kind == "promoted"]
        assert state.aliases == ({"champion": promoted[-1]} if promoted else {})
        assert (state.intention is not None) == (size > 0 and entries[size - 1].kind == "promotion_started")
    assert set(seen) == {"running", "waiting", "approved", "promoting", "promoted", "rejected", "halted"}


def test_a_release_tells_what_is_due():
    book, due = Book(), []
    book.say("tiny-1", requested(book, None))
    for step in STEPS[1:]:
        (only,) = [kind for kind in RECORDS.values() if book.release("tiny-1").due(kind)]
        due.append(only)
        assert only is step
        book = take(Book(), "tiny-1", until={ApprovalRequested: "asked"}.get(step, KINDS[step]))
    assert not any(book.release("tiny-1").due(kind) for kind in RECORDS.values()), "people are due, not a step"
    approve(book, "tiny-1")
    assert [kind for kind in RECORDS.values() if book.release("tiny-1").due(kind)] == [Promoted]
    book.say("tiny-1", intention(book, "tiny-1"))
    assert [kind for kind in RECORDS.values() if book.release("tiny-1").due(kind)] == [Promoted]
    book.say("tiny-1", done(book))
    assert not any(book.release("tiny-1").due(kind) for kind in RECORDS.values())


@pytest.mark.parametrize("verdict", [Verdict.INCONCLUSIVE, Verdict.ERROR, Verdict.FAIL])
def test_after_a_no_only_a_halt_is_due(verdict):
    book = take(Book(), "tiny-1", until="snapshot")
    book.say("tiny-1", validated(book, verdict))
    assert [kind for kind in RECORDS.values() if book.release("tiny-1").due(kind)] == [Halted]
    halt(book, "tiny-1", "validate", "rows", verdict.name)
    assert not any(book.release("tiny-1").due(kind) for kind in RECORDS.values())


def test_after_a_persons_no_only_a_halt_is_due():
    book = approve(waiting(), "tiny-1", PEOPLE[:1])
    book.say("tiny-1", answered(book, "tiny-1", BOB, "product", reason="too early"))
    assert [kind for kind in RECORDS.values() if book.release("tiny-1").due(kind)] == [Halted]


def test_the_quorum_is_counted_down_by_role():
    book = waiting()
    assert book.release("tiny-1").missing == {"risk": 1, "product": 2}
    approve(book, "tiny-1", PEOPLE[1:2])
    assert book.release("tiny-1").missing == {"risk": 1, "product": 1}
    approve(book, "tiny-1", [PEOPLE[0], PEOPLE[2]])
    assert book.release("tiny-1").missing == {}


def test_an_undone_promotion_can_be_begun_again():
    book = promoting_book()
    book.say("tiny-1", PromotionUndone(alias="champion", now=None, started=book.ledger.size - 1, why="no answer"))
    assert (book.state.intention, book.release("tiny-1").stage) == (None, "approved")
    promote(book, "tiny-1")
    assert book.state.aliases == {"champion": 1}


def test_who_made_a_version():
    state = whole().state
    assert [getattr(state.maker(v), "id", None) for v in (1, 2, 3, 4)] == ["tiny-1", "tiny-2", "tiny-4", None]


def test_asking_for_what_is_not_there_is_bad_input():
    state = take(Book(), "tiny-1", until="snapshot").state
    with pytest.raises(BadInput, match="no such release"):
        state.release("tiny-9")
    with pytest.raises(BadInput, match="no 'Packaged' yet"):
        state.release("tiny-1").step(Packaged)


# Every rule, each broken in every way we could think of.


def told(until: str, record: Callable[[Book], Any]) -> Callable[[], Book]:
    def build() -> Book:
        book = take(Book(), "tiny-1", until=until)
        book.say("tiny-1", record(book))
        return book

    return build


def broken(before: Callable[[], Book], record: Callable[[Book], Any], release: str = "tiny-1") -> Callable[[], Book]:
    def build() -> Book:
        book = before()
        book.say(release, record(book))
        return book

    return build


def changed(make: Callable[[Book, str], Any], **changes: Any) -> Callable[[Book], Any]:
    return lambda book: make(book, "tiny-1").model_copy(update=changes)


def yes(person: str, role: str) -> Callable[[Book], Approved]:
    return lambda book: answered(book, "tiny-1", person, role)


def after_answers(*people: tuple[str, str], no: str | None = None) -> Callable[[], Book]:
    def build() -> Book:
        book = approve(waiting(), "tiny-1", people)
        if no is not None:
            book.say("tiny-1", answered(book, "tiny-1", no, "product", reason="too early"))
        return book

    return build


def two_approved() -> Book:
    book = approved_book()
    return approve(take(book, "tiny-2", version=2), "tiny-2")


def first_is_promoting() -> Book:
    book = two_approved()
    book.say("tiny-1", intention(book, "tiny-1"))
    return book


def second_after_first_is_live() -> Book:
    return promote(two_approved(), "tiny-1")


def refused_by(step: str) -> Callable[[], Book]:
    def build() -> Book:
        if step == "validated":
            return told("snapshot", lambda b: validated(b, Verdict.INCONCLUSIVE))()
        return told("registered", lambda b: evaluated(b, None, serving=None))()

    return build


def undone(**changes: Any) -> Callable[[Book], PromotionUndone]:
    return lambda b: PromotionUndone(
        **({"alias": "champion", "now": None, "started": b.ledger.size - 1, "why": "x"} | changes)
    )


def intended(book: Book, _: str) -> Promoted:
    return done(book)


def model_level(before: Callable[[], Book], record: Callable[[Book], Any]) -> Callable[[], Book]:
    def build() -> Book:
        book = before()
        made = record(book)
        book.tell(None, KINDS[type(made)], made.model_dump(mode="json"))
        return book

    return build


def a_waiver(**changes: Any) -> Callable[[Book], Waived]:
    return lambda book: waived(book).model_copy(update=changes)


def again(book: Book) -> Waived:
    record = book.state.waivers[0].record
    return record.model_copy(update={"reason": "once more, with what was signed before"})


def second_person(**changes: str) -> Callable[[Book], Waived]:
    def build(book: Book) -> Waived:
        one, other = waived(book).people
        return waived(book).model_copy(update={"people": (one, other.model_copy(update=changes))})

    return build


def before_the_verdict(waivers: Callable[[Book], Any] = waive, policy: bytes = FAILING) -> Callable[[], Book]:
    def build() -> Book:
        book = Book(policy)
        waivers(book)
        return take(book, "tiny-1", until="registered")

    return build


def with_revoked(book: Book) -> None:
    waive(book)
    revoke(book, 0)


def by_the_requester(book: Book) -> None:
    waive(book, second_person(person=REQUESTER.upper())(book))


def saying(*slots: int, **changes: Any) -> Callable[[Book], Evaluated]:
    def build(book: Book) -> Evaluated:
        made = evaluated(book, None).model_copy(update={"waived": slots, "unwaived": Verdict.PASS, **changes})
        return Evaluated.model_validate(dict(made))

    return build


def two_waivers(book: Book) -> None:
    waive(book)
    waive(book)


def late(book: Book) -> Book:
    """The gates are judged after the waiver's last day."""
    book.say("tiny-1", saying(0)(book), minutes=61 * 24 * 60)
    return book


def late_promotion() -> Book:
    book = excused_and_approved()
    book.say("tiny-1", intention(book, "tiny-1"), minutes=61 * 24 * 60)
    return book


def revoked_promotion() -> Book:
    book = excused_and_approved()
    revoke(book, 0)
    return book


NO = Halted(
    step="evaluate", verdict="FAIL", failures=(Failure(what="g", verdict="FAIL", reason="r"),),
    owner="o", playbook="p", next_step="n", then=(),
)  # fmt: skip

VIOLATIONS: dict[str, Callable[[], Book]] = {
    "1 a release opened twice": broken(waiting, lambda b: requested(b, None)),
    "1 opened again after its end": broken(whole, lambda b: requested(b, 2)),
    "2 a step of no release": broken(Book, lambda b: snapshot()),
    "2 a step of a release never opened": broken(waiting, lambda b: snapshot(), "tiny-9"),
    "2 an answer to a release never opened": broken(waiting, yes(ANA, "risk"), "tiny-9"),
    "2 a step after the halt": broken(
        lambda: halt(take(Book(), "tiny-1", until="snapshot"), "tiny-1", "s", "x", "ERROR"), validated
    ),
    "2 an answer after the halt": broken(lambda: halt(waiting(), "tiny-1", "s", "x", "ERROR"), yes(ANA, "risk")),
    "2 a promotion after the halt": broken(
        lambda: halt(approved_book(), "tiny-1", "s", "x", "ERROR"), lambda b: intention(b, "tiny-1")
    ),
    "2 a second halt": broken(lambda: halt(waiting(), "tiny-1", "s", "x", "ERROR"), lambda b: NO),
    "2 a halt after the promotion": broken(whole, lambda b: NO),
    "2 an answer after the promotion": broken(lambda: promote(approved_book(), "tiny-1"), yes(CAT, "risk")),
    "2 a second promotion": broken(lambda: promote(approved_book(), "tiny-1"), lambda b: intention(b, "tiny-1")),
    "3 registered twice": told("registered", lambda b: registered(b, 2)),
    "3 another release's version": broken(
        lambda: take(waiting(), "tiny-2", until="trained"), lambda b: registered(b, 1), "tiny-2"
    ),
    "4 trained on undecided data": broken(refused_by("validated"), trained),
    "4 validated again after a no": broken(refused_by("validated"), validated),
    "4 packaged without passing": broken(refused_by("evaluated"), lambda b: Packaged(package=DIGEST)),
    "4 judged again after a no": broken(refused_by("evaluated"), lambda b: evaluated(b, None)),
    "5 an answer before anybody was asked": told(
        "packaged", lambda b: answered(approved_book(), "tiny-1", ANA, "risk")
    ),
    "5 an answer in a role nobody asked for": broken(
        waiting, lambda b: answered(b, "tiny-1", ANA, "risk").model_copy(update={"role": "legal"})
    ),
    "5 the same person twice": broken(after_answers((BOB, "product")), yes(BOB, "product")),
    "5 the same person in another case": broken(
        after_answers((BOB, "product")),
        lambda b: answered(b, "tiny-1", CAT, "product").model_copy(update={"person": "BOB@Example.org"}),
    ),
    "5 the same key under another name": broken(
        after_answers((BOB, "product")),
        lambda b: answered(b, "tiny-1", BOB, "product").model_copy(update={"person": "somebody@else.org"}),
    ),
    "5 yes after no by the same person": broken(after_answers(no=BOB), yes(BOB, "product")),
    "5 an answer while promoting": broken(promoting_book, yes(CAT, "risk")),
    "6 nobody agreed": broken(waiting, lambda b: intention(b, "tiny-1")),
    "6 one product approval is missing": broken(
        after_answers((ANA, "risk"), (BOB, "product")), lambda b: intention(b, "tiny-1")
    ),
    "6 three approvals in the wrong roles": broken(
        after_answers((ANA, "risk"), (CAT, "risk"), (BOB, "product")), lambda b: intention(b, "tiny-1")
    ),
    "6 a person declined": broken(
        after_answers(*PEOPLE[:2], (CAT, "product"), no=REQUESTER), lambda b: intention(b, "tiny-1")
    ),
    "6 begun before people were asked": told("packaged", lambda b: intention(approved_book(), "tiny-1")),
    "6 begun twice": broken(promoting_book, lambda b: intention(b, "tiny-1")),
    "6 begun while another is open": broken(
        first_is_promoting, lambda b: intention(b, "tiny-2"), "tiny-2"
    ),
    "6 from an alias that is not there": broken(approved_book, changed(intention, old=1)),
    "6 from where the alias was": broken(
        second_after_first_is_live, lambda b: intention(b, "tiny-2").model_copy(update={"old": None}), "tiny-2"
    ),
    "6 against another champion than the gates'": broken(
        second_after_first_is_live, lambda b: intention(b, "tiny-2"), "tiny-2"
    ),
    "6 of another version": broken(approved_book, changed(intention, new=2)),
    "6 of another package": broken(approved_book, changed(intention, package=OTHER)),
    "6 of another policy": broken(approved_book, changed(intention, policy=OTHER)),
    "6 with an approval left out": broken(approved_book, changed(intention, approvals=(8, 9))),
    "6 with an approval too many": broken(approved_book, changed(intention, approvals=(8, 9, 10, 7))),
    "6 with no approvals": broken(approved_book, changed(intention, approvals=())),
    "6 with an approval named twice": broken(approved_book, changed(intention, approvals=(8, 8, 9, 10))),
    "7 promoted without an intention": broken(
        approved_book, lambda b: Promoted(alias="champion", old=None, new=1, started=10)
    ),
    "7 promoted by another's intention": broken(
        first_is_promoting, lambda b: Promoted(alias="champion", old=None, new=1, started=b.ledger.size - 1), "tiny-2"
    ),
    "7 promoted as another version": broken(promoting_book, changed(intended, new=7)),
    "7 promoted as another alias": broken(promoting_book, changed(intended, alias="pilot")),
    "7 promoted from elsewhere": broken(promoting_book, changed(intended, old=3)),
    "7 promoted by another slot": broken(promoting_book, changed(intended, started=3)),
    "7 undone without an intention": broken(approved_book, undone()),
    "7 undone by another's intention": broken(first_is_promoting, undone(), "tiny-2"),
    "7 undone by another slot": broken(promoting_book, undone(started=3)),
    "7 undone with the alias moved": broken(promoting_book, undone(now=1)),
    "7 halted in the middle of a promotion": broken(promoting_book, lambda b: NO),
    "8 a waiver of a release": broken(waiting, waived),
    "8 a revocation of a release": broken(lambda: waiver_book()[0], lambda b: revoked(b, 0)),
    "8 the same waiver twice": model_level(lambda: waiver_book()[0], again),
    "8 a revoked waiver recorded again": model_level(lambda: (b := waiver_book()[0], revoke(b, 0))[0], again),
    "8 a waiver that is over": model_level(Book, a_waiver(until=in_days(-1))),
    "8 one person twice": model_level(Book, second_person(person=ANA)),
    "8 one person twice in another case": model_level(Book, second_person(person=ANA.upper())),
    "8 one key twice": model_level(Book, lambda b: second_person(key=waived(b).people[0].key)(b)),
    "8 a signature too many": model_level(Book, a_waiver(signatures=(DIGEST, OTHER, DIGEST))),
    "8 revoked twice": model_level(
        lambda: (b := waiver_book()[0], revoke(b, 0))[0],
        lambda b: revoked(waiver_book()[0], 0),
    ),
    "8 revoked though never recorded": model_level(
        lambda: waiver_book()[0], lambda b: revoked(b, 0).model_copy(update={"waiver": 1})
    ),
    "9 a waiver that was never recorded": broken(before_the_verdict(), saying(0, 7)),
    "9 a waiver of a negative slot": broken(before_the_verdict(), saying(-1)),
    "9 the slot of something else": broken(before_the_verdict(), saying(1)),
    "9 one waiver named twice": broken(before_the_verdict(), saying(0, 0)),
    "9 waivers out of order": broken(before_the_verdict(two_waivers), saying(1, 0)),
    "9 a revoked waiver": broken(before_the_verdict(with_revoked), saying(0)),
    "9 a waiver that is over": lambda: late(before_the_verdict()()),
    "9 a waiver under another policy": broken(
        before_the_verdict(lambda b: waive(b, a_waiver(policy=OTHER)(b))), saying(0)
    ),
    "9 a waiver by whoever asked for the release": broken(before_the_verdict(by_the_requester), saying(0)),
    "9 a waiver that makes a verdict worse": broken(
        before_the_verdict(), saying(0, verdict=Verdict.INCONCLUSIVE, unwaived=Verdict.FAIL)
    ),
    "9 an ERROR waived": broken(before_the_verdict(), saying(0, verdict=Verdict.ERROR)),
    "9 an ERROR made undecided": broken(
        before_the_verdict(), saying(0, verdict=Verdict.ERROR, unwaived=Verdict.INCONCLUSIVE)
    ),
    "9 promoted after the last day": late_promotion,
    "9 promoted after the revocation": broken(revoked_promotion, lambda b: intention(b, "tiny-1")),
}  # fmt: skip

MAKERS: dict[type, Callable[[Book], Any]] = {
    Snapshot: lambda b: snapshot(),
    Validated: validated,
    Trained: trained,
    Registered: lambda b: registered(b, 9),
    Evaluated: lambda b: evaluated(b, None),
    Packaged: lambda b: Packaged(package=DIGEST),
    ApprovalRequested: asked,
}


@pytest.mark.parametrize("rule", VIOLATIONS)
def test_a_broken_rule_is_tampering_and_names_its_slot(rule):
    book = VIOLATIONS[rule]()
    fold(MODEL, book.ledger.entries[:-1])
    with pytest.raises(Tampered) as caught:
        fold(MODEL, book.ledger.entries)
    assert caught.value.subject == f"ledger of {MODEL}, slot {book.ledger.size - 1}"
    if rule.startswith("4"):
        assert caught.value.expected == "nothing but a halt after data or gates that did not pass"


def test_a_waiver_lets_a_release_go_on_and_the_verdict_stays():
    release = judged_book().release("tiny-1")
    said = release.step(Evaluated)
    assert (said.verdict, said.standing, release.is_refused) == (Verdict.FAIL, Verdict.PASS, False)
    assert release.due(Packaged)
    assert [w.seq for w in release.waivers] == [0]
    book = promote(excused_and_approved(), "tiny-1")
    assert book.state.aliases == {"champion": 1}
    assert [w.seq for w in book.release("tiny-1").waivers] == [0]


def test_without_its_waiver_the_same_release_can_only_halt():
    book = before_the_verdict()()
    book.say("tiny-1", evaluated(book, None))
    assert [kind for kind in RECORDS.values() if book.release("tiny-1").due(kind)] == [Halted]


def test_a_waiver_belongs_to_the_model_and_is_used_by_any_release():
    book = promote(excused_and_approved(), "tiny-1")
    take(book, "tiny-2", version=2, champion=1, until="registered")
    book.say("tiny-2", excused(book, 0, champion=1))
    assert not book.release("tiny-2").is_refused


def test_a_revocation_stops_what_has_not_begun_and_leaves_what_is_done():
    book = excused_and_waiting()
    revoke(book, 0)
    assert book.state.waivers[0].revoked == book.ledger.size - 1
    assert not book.state.waivers[0].stands(time_at(0))
    assert book.release("tiny-1").stage == "waiting", "its approvers may answer; it cannot be promoted"
    done_before = promote(excused_and_approved(), "tiny-1")
    revoke(done_before, 0)
    assert done_before.state.aliases == {"champion": 1}
    assert done_before.release("tiny-1").stage == "promoted"


def test_waived_and_unwaived_are_said_together():
    said = evaluated(Book(FAILING), None).model_dump(mode="json")
    for changes in ({"waived": [0]}, {"unwaived": "PASS"}, {"waived": [], "unwaived": "PASS"}):
        with pytest.raises(Tampered, match="waived"):
            record_of("evaluated", {**said, **changes})
    old = {name: value for name, value in said.items() if name not in ("waived", "unwaived")}
    assert record_of("evaluated", old).standing is Verdict.FAIL, "a verdict from before there were waivers"  # type: ignore[attr-defined]


def test_each_step_has_one_place():
    names = ["requested", "snapshot", "validated", "trained", "registered", "evaluated", "packaged", "asked"]
    tried = 0
    for index, until in enumerate(names):
        for place, (kind, make) in enumerate(MAKERS.items(), 1):
            book = take(Book(), "tiny-1", until=until)
            book.say("tiny-1", make(book))
            if place == index + 1:
                assert kind in map(type, fold(MODEL, book.ledger.entries).releases["tiny-1"].taken)
                continue
            tried += 1
            with pytest.raises(Tampered, match=f"slot {index + 1}:"):
                fold(MODEL, book.ledger.entries)
    assert tried == 8 * 7 - 7


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("gate_waived", {}),
        ("waived", {}),
        ("waived", {"people": []}),
        ("waiver_revoked", {}),
        ("validated", {}),
        ("validated", {"verdict": "PASS"}),
        ("validated", {"verdict": "pass", "report": DIGEST}),
        ("validated", {"verdict": 0, "report": DIGEST}),
        ("validated", {"verdict": "PASS", "report": DIGEST, "note": ""}),
        ("validated", {"verdict": "PASS", "report": DIGEST.upper()}),
        ("approval_requested", {"roles": {}, "expires": time_at(9)}),
        ("approval_requested", {"roles": {"risk": 0}, "expires": time_at(9)}),
        ("approval_requested", {"roles": {"risk": -1}, "expires": time_at(9)}),
        ("approval_requested", {"roles": {"risk": True}, "expires": time_at(9)}),
        ("approval_requested", {"roles": {"risk": 1}, "expires": "2026-07-01T12:00:00"}),
        ("approval_requested", {"roles": {"risk": 1}, "expires": "2026-02-30T12:00:00Z"}),
        ("approval_requested", {"roles": {"risk": 1}, "expires": "٢٠٢٦-07-01T12:00:00Z"}),
        ("promoted", {"alias": "champion", "old": None, "new": "1", "started": 3}),
        ("halted", NO.model_dump(mode="json") | {"failures": []}),
        ("trained", {"estimator": DIGEST, "environment": DIGEST, "format": "pickle", "features": [], "seconds": 1}),
    ],
)
def test_a_record_of_another_shape_is_tampering(kind, body):
    with pytest.raises(Tampered):
        record_of(kind, body)


def test_an_empty_quorum_is_never_complete():
    book = take(Book(), "tiny-1", until="packaged")
    book.tell("tiny-1", "approval_requested", {"roles": {}, "expires": time_at(600)})
    with pytest.raises(Tampered, match="approval_requested"):
        fold(MODEL, book.ledger.entries)


def test_records_survive_the_ledger():
    for entry in whole().ledger.entries:
        record = record_of(entry.kind, dict(entry.body))
        assert KINDS[type(record)] == entry.kind
        assert record.model_dump(mode="json") == entry.body


# What holds of every ledger that folds, said again from the raw entries and nothing of `state`.


def the_law(entries: Sequence[Entry]) -> int:
    """Assert of every promotion in a ledger that it was deserved, and return how many there were."""
    live: dict[str, int] = {}
    promotions = 0
    back: dict[str, list[int]] = {}
    for at, entry in enumerate(entries):
        if entry.kind == "rolled_back":
            rollbacks_law(entries, at, live, back)
        halts_law(entries[:at], entry, live)
        if entry.kind != "promoted":
            continue
        promotions += 1
        assert not open_incidents(entries[: entry.body["started"]]), "nothing is promoted while an incident is open"
        own = [e for e in entries[:at] if e.release == entry.release]
        kinds = [e.kind for e in own]
        bodies = {e.kind: e.body for e in reversed(own)}
        assert kinds.count("validated") == kinds.count("evaluated") == kinds.count("packaged") == 1
        assert bodies["validated"]["verdict"] == "PASS"
        promotions_law(entries, own, bodies["evaluated"], entries[entry.body["started"]])
        assert "halted" not in kinds
        assert "rejected" not in kinds
        begun = entries[entry.body["started"]]
        assert (begun.kind, begun.release, begun.seq) == ("promotion_started", entry.release, entry.body["started"])
        assert all(e.kind not in ("promoted", "promotion_undone") for e in entries[begun.seq : at])
        questions = [e for e in own if e.kind == "approval_requested" and e.seq < begun.seq]
        taken_back = {e.body["answer"] for e in own if e.kind == "approval_withdrawn" and e.seq < begun.seq}
        said = [e for e in own if e.kind == "approved" and e.seq < begun.seq and e.seq not in taken_back]
        for question, end in zip(questions, [*(q.seq for q in questions[1:]), begun.seq], strict=True):
            people_law(question, [e for e in own if question.seq < e.seq < end], said)
        assert begun.body["approvals"] == [e.seq for e in said]
        assert begun.body["package"] == bodies["packaged"]["package"]
        assert begun.body["policy"] == bodies["requested"]["policy"]
        assert entry.body["new"] == begun.body["new"] == bodies["registered"]["version"]
        alias = str(entry.body["alias"])
        assert entry.body["old"] == begun.body["old"] == live.get(alias)
        stages_law(entries[:at], own, questions, begun, live)
        back.setdefault(alias, []).extend([] if live.get(alias) is None else [live[alias]])
        live[alias] = int(str(entry.body["new"]))
    for name in {e.release for e in entries if e.release}:
        kinds = [e.kind for e in entries if e.release == name]
        asked_of = [e.body.get("rollout") for e in entries if (e.release, e.kind) == (name, "approval_requested")]
        last = len(asked_of[0]) or 1 if asked_of else 1  # type: ignore[arg-type]
        moves = [n for n, kind in enumerate(kinds) if kind == "promoted"]
        ends = [*moves[last - 1 :], *(n for n, kind in enumerate(kinds) if kind == "halted")]
        assert ends in ([], [len(kinds) - 1]), "nothing follows an end"
        refused = [
            n for n, e in enumerate(x for x in entries if x.release == name)
            if (e.body.get("unwaived") or e.body.get("verdict")) not in (None, "PASS")
            and e.kind in ("validated", "evaluated")
        ]  # fmt: skip
        assert all(kinds[n + 1 :] in ([], ["halted"]) for n in refused), "only a halt follows a no"
    registrations = [e.body["version"] for e in entries if e.kind == "registered"]
    assert len(registrations) == len(set(registrations))
    return promotions


def halts_law(before: Sequence[Entry], entry: Entry, live: dict[str, int]) -> None:
    """Assert of a halt that no alias is left at the release's version."""
    made = {e.body["version"] for e in before if (e.release, e.kind) == (entry.release, "registered")}
    assert entry.kind != "halted" or not made & set(live.values())


def people_law(question: Entry, here: Sequence[Entry], said: Sequence[Entry]) -> None:
    """Assert that every role that was asked agreed, by as many people and as many keys, before something else."""
    deputies = {e.body["role"]: e.body["to"] for e in here if e.kind == "escalated"}
    assert question.body["roles"], "somebody must be asked"
    for role, needed in dict(question.body["roles"]).items():  # type: ignore[arg-type]
        for what in ("person", "key"):
            fit = [e for e in here if e in said and e.body["role"] in (role, deputies.get(role))]
            assert len({str(e.body[what]).casefold() for e in fit}) >= int(needed) >= 1


def stages_law(
    before: Sequence[Entry], own: Sequence[Entry], questions: Sequence[Entry], begun: Entry, live: dict[str, int]
) -> None:
    """Assert that a promotion is to the next stage, after the one before has soaked and who it needs has agreed."""
    stages: Any = questions[0].body["rollout"] or [{"name": "", "alias": begun.body["alias"], "roles": {}}]
    moved = [e for e in own if e.kind == "promoted"]
    due, version = stages[len(moved)], begun.body["new"]
    assert due["alias"] == begun.body["alias"]
    assert live.get(stages[-1]["alias"]) == next(e for e in own if e.kind == "evaluated").body["champion"]
    assert all(live[stage["alias"]] == version for stage in stages[: len(moved)])
    if moved:
        here = stages[len(moved) - 1]
        (soaked,) = [e for e in own if e.kind == "soaked" and moved[-1].seq < e.seq < begun.seq]
        assert soaked.body["stage"] == here["name"]
        assert soaked.body["minutes"] >= here["soak_minutes"]
        assert soaked.body["requests"] >= here["min_requests"]
        # Entry n of these ledgers is written in minute n.
        assert soaked.seq - moved[-1].seq >= soaked.body["minutes"]
        assert (questions[-1].body["stage"] == due["name"]) == bool(due["roles"])
        assert questions[-1].body["roles"] == (due["roles"] or questions[-1].body["roles"])
        assert not due["roles"] or questions[-1].seq > soaked.seq
    begun_by = {e.release for e in before if e.kind == "promoted"} - {begun.release}
    assert not [name for name in begun_by if not ended(before, name)], "one rollout at a time"


def ended(entries: Sequence[Entry], name: str | None) -> bool:
    own = [e for e in entries if e.release == name]
    stages: Any = next(e for e in own if e.kind == "approval_requested").body["rollout"]
    return "halted" in [e.kind for e in own] or sum(e.kind == "promoted" for e in own) == (len(stages) or 1)


def rollbacks_law(entries: Sequence[Entry], at: int, live: dict[str, int], back: dict[str, list[int]]) -> None:
    """Assert that an alias went back from where it was to where it had been, as it was intended."""
    body = entries[at].body
    alias, begun = str(body["alias"]), entries[int(str(body["started"]))]
    assert (begun.kind, begun.release) == ("rollback_started", None)
    assert all(e.kind not in ("rolled_back", "promoted", "promotion_undone") for e in entries[begun.seq : at])
    assert body["old"] == begun.body["old"] == live[alias]
    assert body["new"] == begun.body["new"]
    if body["new"] is None:
        assert alias == "pilot", "the last stage is never left with nothing"
        del live[alias]
        return
    assert body["new"] in back[alias], "it was live, and was not rolled back from"
    back[alias] = back[alias][: back[alias].index(int(str(body["new"])))]
    live[alias] = int(str(body["new"]))


def open_incidents(entries: Sequence[Entry]) -> set[int]:
    closed = {e.body["incident"] for e in entries if e.kind == "incident_closed"}
    return {e.seq for e in entries if e.kind == "incident" and e.seq not in closed}


def promotions_law(entries: Sequence[Entry], own: Sequence[Entry], said: Any, begun: Entry) -> None:
    """Assert that gates which did not pass were excused by two people, both others, who have not taken it back."""
    assert (said.get("unwaived") or said["verdict"]) == "PASS"
    assert said["verdict"] in ("PASS", *(("FAIL", "INCONCLUSIVE") if said.get("waived") else ()))
    for slot in said.get("waived", ()):
        one = entries[slot]
        assert (one.kind, one.release) == ("waived", None)
        for what in ("person", "key"):
            assert len({str(p[what]).casefold() for p in one.body["people"]}) >= 2
        assert own[0].body["requester"].casefold() not in {str(p["person"]).casefold() for p in one.body["people"]}
        assert one.body["policy"] == own[0].body["policy"]
        assert begun.time[:10] <= str(one.body["until"])
        back = [e.seq for e in entries if e.kind == "waiver_revoked" and e.body["waiver"] == slot]
        assert all(seq > begun.seq for seq in back)
        assert len(back) <= 1


class Writer:
    """Writes good and bad entries; keeps those that the rules accept."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.state = State(MODEL)
        self.refused: Counter[str] = Counter()

    def offer(self, release: str | None, kind: str, body: dict[str, Any]) -> bool:
        seq = len(self.entries)
        release = None if kind in MODEL_LEVEL and release else release
        entry = Entry.model_construct(
            model=MODEL, seq=seq, time=time_at(seq), release=release, kind=kind, body=body, actor="x"
        )
        try:
            self.state = advance(self.state, entry)
        except Tampered:
            self.refused[kind] += 1
            return False
        self.entries.append(entry)
        return True

    def raw(self, release: str, kind: str) -> dict[str, Any] | None:
        return next((dict(e.body) for e in self.entries if (e.release, e.kind) == (release, kind)), None)


MODEL_LEVEL = (
    *("waived", "waiver_revoked", "rollback_started", "rolled_back"),
    *("incident", "incident_closed", "notified"),
    *("monitored", "alarmed", "step_taken", "alarm_overdue", "alarm_closed", "drilled"),
)  # fmt: skip


def body_of(kind: str, writer: Writer, release: str, draw: random.Random) -> dict[str, Any]:
    """A body that is right for the ledger more often than not."""
    version = int(release[-1])
    moving = writer.state.intention.record.alias if writer.state.intention else None
    standing = writer.state.releases.get(release)
    due = standing.next_stage if standing else None
    alias = draw.choice([due.alias if due else "champion"] * 5 + ["champion", "pilot"])
    last, live = writer.state.aliases.get("champion"), writer.state.aliases.get(alias)
    open_one = writer.state.intention
    said = [e for e in writer.entries if e.release == release and e.kind == "approved"]
    verdict = draw.choice(["PASS"] * 9 + ["FAIL", "INCONCLUSIVE", "ERROR"])
    person = draw.choice(["ann", "Ann", "ben", "cid"])
    answer = {
        "role": draw.choice(["risk", "risk", "product", "legal"]), "person": person,
        "key": draw.choice([person.lower(), "ann"]), "statement": DIGEST, "signature": DIGEST, "signers": DIGEST,
    }  # fmt: skip
    champion = draw.choice([last, last, last, None, 1])
    again = standing is not None and standing.stage == "rolling" and due is not None and bool(due.roles)
    started = open_one.seq if open_one and draw.random() < 0.9 else draw.randrange(40)
    old, new = (open_one.record.old, open_one.record.new) if open_one else (live, version)
    table = snapshot().training.model_dump(mode="json")
    slots = list(writer.state.waivers)
    if kind == "evaluated" and slots and draw.random() < 0.5:
        verdict = "FAIL"
    use = draw.random() < 0.9 and bool(slots) and verdict != "PASS"
    signer = {"person": draw.choice(["ann"] * 4 + ["x"]), "role": "risk", "key": "a"}
    return {
        "waived": {
            "gate": "g", "slice": None, "covers": "FAIL", "reason": "r", "policy_file": DIGEST,
            "until": str(in_days(draw.choice([9] * 5 + [-1]))), "policy": draw.choice([DIGEST] * 5 + [OTHER]),
            "people": [signer, {"person": draw.choice(["ben"] * 5 + ["Ann"]), "role": "product", "key": "b"}],
            "statement": f"sha256:{draw.choice([len(writer.entries), 1]):064x}",
            "signatures": [DIGEST, OTHER], "signers": DIGEST,
        },
        "waiver_revoked": {
            "waiver": draw.choice([*slots, 3]), "role": "risk", "person": "ann", "key": "a", "reason": "r",
            "statement": DIGEST, "signature": DIGEST, "signers": DIGEST,
        },
        "requested": {
            "requester": "x", "folder": "x", "policy": DIGEST, "policy_file": DIGEST, "training_suite": DIGEST,
            "evaluation_suite": DIGEST, "training": "x", "evaluation": "x", "champion": last,
        },
        "snapshot": {"training": table, "evaluation": table},
        "validated": {"verdict": verdict, "report": DIGEST},
        "trained": {
            "estimator": DIGEST, "environment": DIGEST, "format": "skops", "features": ["a"], "seconds": 1,
        },
        "registered": {
            "version": draw.choice([version, version, version, 1]), "run": "r", "source": "s", "files": {},
            "signature": DIGEST,
        },
        "evaluated": {
            "verdict": verdict, "judged": DIGEST, "tally": DIGEST, "serving": None, "champion": champion,
            "waived": [draw.choice([*slots, *slots, 3])] if use else [],
            "unwaived": draw.choice(["PASS"] * 4 + ["INCONCLUSIVE"]) if use else None,
        },
        "packaged": {"package": DIGEST},
        "approval_requested": {
            "roles": draw.choice([{"risk": 1, "product": 1}, {"risk": 2}, {"risk": 1}, {}, {"risk": 0}]),
            "expires": time_at(10_000), "rollout": draw.choice([[], *ROLLOUTS]), "stage": None,
        } if not again or draw.random() < 0.2 else {
            "roles": draw.choice([dict(due.roles)] * 4 + [{"risk": 3}]), "expires": time_at(10_000), "rollout": [],
            "stage": draw.choice([due.name] * 4 + ["pilot"]),
        },
        "soaked": {
            "stage": draw.choice([standing.rollout[len(standing.reached) - 1].name] * 4 + ["x"]) if again or (
                standing and standing.reached and standing.rollout) else "pilot",
            "minutes": draw.choice([2.0, 2.0, 2.0, 1.0, 50.0]), "requests": draw.choice([3, 3, 3, 2]),
        },
        "approved": answer,
        "rejected": {**answer, "reason": "no"},
        "promotion_started": {
            "alias": alias, "old": draw.choice([live, live, live, None]),
            "new": draw.choice([version, version, version, 9]),
            "package": draw.choice([DIGEST, DIGEST, OTHER]), "policy": draw.choice([DIGEST, DIGEST, OTHER]),
            "approvals": draw.choice([[e.seq for e in said]] * 3 + [[]]),
        },
        "promoted": {
            "serves": standing.serves if standing else None,
            "alias": moving or alias, "old": old, "new": draw.choice([new, new, 9]), "started": started,
        },
        "promotion_undone": {"alias": moving or alias, "now": draw.choice([old, 9]), "started": started, "why": "x"},
        "halted": NO.model_dump(mode="json"),
        **beside(writer, release, draw, started),
        **in_use(writer, draw),
    }[kind]  # fmt: skip


def beside(writer: Writer, release: str, draw: random.Random, started: int) -> dict[str, dict[str, Any]]:
    """Bodies of what happens beside the steps."""
    state, open_one = writer.state, writer.state.intention
    alias = open_one.record.alias if open_one else draw.choice([*state.aliases, "champion"])
    live, behind = state.aliases.get(alias), state.behind.get(alias, ())
    standing = state.releases.get(release)
    missing = standing.missing if standing else {}
    given = standing.approvals if standing else ()
    one = draw.choice(given) if given else None
    new = open_one.record.new if open_one else 1
    return {
        "rollback_started": {
            "alias": alias, "old": live or 1, "new": draw.choice([*behind, *behind, None, 9]), "reason": "r",
        },
        "rolled_back": {"alias": alias, "old": live or 1, "new": draw.choice([new, new, 9]), "started": started},
        "incident": {
            "alias": alias, "recorded": draw.choice([live, live, 9]), "shown": draw.choice([7, 7, live]),
            "response": "restore", "why": "w",
        },
        "incident_closed": {
            "incident": draw.choice([*state.incidents, *state.incidents, 3]),
            "alias": next((i.alias for i in state.incidents.values()), alias),
            "now": draw.choice([live, live, 7]), "how": "h",
        },
        "reminded": {"missing": draw.choice([missing or {"x": 1}, {"risk": 9}])},
        "escalated": {"role": draw.choice([*missing, *missing, "legal"]), "to": "legal"},
        "approval_withdrawn": {
            "answer": one.seq if one and draw.random() < 0.8 else 2, "role": one.record.role if one else "risk",
            "person": one.record.person if one else "x", "key": "k", "reason": "r",
            "statement": DIGEST, "signature": DIGEST, "signers": DIGEST,
        },
        "notified": {
            "about": draw.choice([0, len(writer.entries)]), "event": "asked", "audience": "a", "channel": "c",
            "template": "plain", "outcome": "sent", "detail": "",
        },
    }  # fmt: skip


def in_use(writer: Writer, draw: random.Random) -> dict[str, dict[str, Any]]:
    """Bodies of what is watched of a version in use."""
    state = writer.state
    live = state.aliases.get("champion", 1)
    last, maker = state.looks.get(live), state.maker(live)
    plans = {"plan": DIGEST, "incidents": DIGEST, "findings": DIGEST}
    slot = draw.choice([*state.alarms, *state.alarms, *state.alarms, 3])
    check = state.alarms[slot].record.check if slot in state.alarms else "ranks"
    made, by = maker.id if maker else "tiny-1", time_at(-60)
    return {
        "monitored": {
            "version": live, "alias": "champion", "look": (last.look if last else 0) + draw.choice([1, 1, 1, 2]),
            **plans, "until": time_at(0), "due": time_at(1), "verdict": "FAIL", "reference": None,
        },
        "alarmed": {
            "version": live, "release": made, "check": draw.choice(["ranks", "fails"]), "severity": "incident",
            "playbook": "slow", "reason": "r", **plans, "respond_by": by,
        },
        "step_taken": {"alarm": slot, "step": draw.choice([1, 2]), "of": "o", "who": "w", "note": "n"},
        "alarm_overdue": {"alarm": slot, "release": made, "check": check, "respond_by": by},
        "alarm_closed": {"alarm": slot, "check": check, "who": draw.choice(["w", None]), "reason": "r"},
        "drilled": {
            "release": made, "incidents": DIGEST, "situation": "slow", "started": time_at(0), "steps": ["s"],
            "seconds": [draw.choice([0.0, 1e9])], "notes": [""], "who": "w",
        },
    }  # fmt: skip


ROLLOUTS: list[list[dict[str, Any]]] = [
    [
        {
            "name": "pilot", "alias": "pilot", "audience": {}, "share": 0.1, "soak_minutes": 2.0, "min_requests": 3,
            "roles": {},
        },
        {
            "name": "broad", "alias": "champion", "audience": {}, "share": 1.0, "soak_minutes": 0.0, "min_requests": 0,
            "roles": roles,
        },
    ]
    for roles in ({}, {"risk": 1})
]  # fmt: skip

STRAIGHT = (*(KINDS[step] for step in STEPS), "approved", "approved", "promotion_started", "promoted")


def next_kind(writer: Writer, release: str) -> str:
    taken = [e.kind for e in writer.entries if e.release == release]
    steps = [kind for kind in STRAIGHT[: len(STEPS)] if kind not in taken]
    if steps:
        return steps[0]
    if "promotion_started" in taken[-1:]:
        return "promoted"
    standing = writer.state.releases[release]
    if writer.state.incidents or (writer.state.alarms and len(writer.entries) % 2):
        alarmed = ("step_taken", "alarm_overdue", "alarm_closed")[len(writer.entries) % 3]
        return "incident_closed" if writer.state.incidents else alarmed
    if standing.promoted:
        return "rolled_back" if writer.state.intention else "rollback_started"
    if standing.stage == "rolling":
        return next_of_rollout(writer, standing)
    return "approved" if standing.missing else "promotion_started"


def next_of_rollout(writer: Writer, standing: Release) -> str:
    if not writer.state.holds(standing):
        still = any(version == standing.step(Registered).version for version in writer.state.aliases.values())
        return "rollback_started" if still else "halted"
    if standing.reached[-1].soaked is None:
        return "soaked"
    return "approval_requested" if standing.next_stage and standing.next_stage.roles else "promotion_started"


def test_random_ledgers_never_promote_what_does_not_deserve_it():
    draw = random.Random(20260701)  # noqa: S311  # no secret
    promotions, excused_ones, rolled_out, accepted = 0, 0, 0, 0
    refused, taken = Counter[str](), Counter[str]()
    for _ in range(300):
        writer = Writer()
        if draw.random() < 0.5:
            writer.offer(None, "waived", body_of("waived", writer, "tiny-1", draw))
        for _ in range(80):
            release = f"tiny-{draw.choice([1, 1, 1, 2])}"
            straight = draw.random() < 0.75
            kind = next_kind(writer, release) if straight else draw.choice(list(RECORDS))
            writer.offer(release, kind, body_of(kind, writer, release, draw))
        promotions += the_law(writer.entries)
        rolled_out += sum(r.stage == "promoted" and len(r.rollout) > 1 for r in writer.state.releases.values())
        assert sum(e.kind == "promoted" for e in writer.entries) == sum(
            len(r.reached) for r in writer.state.releases.values()
        )
        excused_ones += sum(r.stage == "promoted" and bool(r.waivers) for r in writer.state.releases.values())
        accepted += len(writer.entries)
        taken.update(e.kind for e in writer.entries)
        refused += writer.refused
    assert promotions > 60, "too few ledgers came to a promotion to prove anything"
    assert excused_ones > 5, "too few of them by a waiver"
    assert rolled_out > 10, "too few of them through several stages"
    assert set(refused) == set(RECORDS), "every kind of entry was refused at least once"
    assert set(taken) == set(RECORDS), "and taken at least once"
    assert accepted > 3000
    assert refused.total() > 3000


class Ledgers(RuleBasedStateMachine):
    """Hypothesis chooses; `the_law` judges after every entry."""

    promotions: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self.writer = Writer()

    @rule(release=st.sampled_from(["tiny-1", "tiny-2"]), steps=st.integers(1, 9), seed=st.integers(0, 2**16))
    def go_on(self, release: str, steps: int, seed: int) -> None:
        draw = random.Random(seed)  # noqa: S311  # no secret
        for _ in range(steps):
            kind = next_kind(self.writer, release)
            self.writer.offer(release, kind, body_of(kind, self.writer, release, draw))

    @rule(
        release=st.sampled_from(["tiny-1", "tiny-2", ""]),
        kind=st.sampled_from(list(RECORDS)),
        seed=st.integers(0, 2**16),
    )
    def disturb(self, release: str, kind: str, seed: int) -> None:
        draw = random.Random(seed)  # noqa: S311  # no secret
        if release:
            self.writer.offer(release, kind, body_of(kind, self.writer, release, draw))
        else:
            assert not self.writer.offer("", kind, body_of(kind, self.writer, "tiny-1", draw))

    @invariant()
    def it_is_lawful(self) -> None:
        Ledgers.promotions += the_law(self.writer.entries)
        assert fold(MODEL, self.writer.entries) == self.writer.state


def test_whatever_is_written_the_law_holds():
    Ledgers.promotions = 0
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Ledgers,
        settings=settings(
            max_examples=40,
            stateful_step_count=20,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert Ledgers.promotions > 5
