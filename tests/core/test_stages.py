"""A rollout through several stages: rules 15 and 16 of the state, what comes next, and what people sign for a stage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from stages_of import FOR_BROAD, back, in_stage, later, soaked
from story_of import (
    ANA,
    BOB,
    CAT,
    MODEL,
    POLICY,
    STAGED,
    VERIFIER,
    Book,
    answered,
    approve,
    asked,
    done,
    intention,
    minutes,
    promote,
    signed,
    signers,
    take,
    time_at,
)
from watch_of import MONITORING, alarmed, closed, judged, known, monitored, say

from headgate.approval import Statement, as_asked, objections, statement
from headgate.audit import audit
from headgate.errors import Tampered
from headgate.history import live, spans
from headgate.notice import due
from headgate.oversight import Notify
from headgate.pedigree import pedigree
from headgate.phase import Soaked
from headgate.policy_file import parse
from headgate.promotion import Seen, refusals
from headgate.records import (
    Failure,
    Halted,
    Promoted,
)
from headgate.rollout import Advance, Ask, Hold, Retreat, quorum, step, terms
from headgate.state import fold
from headgate.watch import Incident, RollbackStarted

POLICY_OF = parse(STAGED, "of the stages")
STOP = Halted(
    step="rollout", verdict="FAIL", failures=(Failure(what="rollout", verdict="FAIL", reason="complaints"),),
    owner="o", playbook="rejected", next_step="n", then=(),
)  # fmt: skip


def test_a_release_goes_through_its_stages_and_is_promoted_by_the_last_one():
    seen = []
    for stages in range(4):
        book = in_stage(stages)
        seen.append((book.release("tiny-1").stage, dict(book.state.aliases)))
    internal, pilot = {"internal": 1}, {"internal": 1, "pilot": 1}
    everywhere = {**pilot, "champion": 1}
    assert seen == [("approved", {}), ("rolling", internal), ("rolling", pilot), ("promoted", everywhere)]
    release = book.release("tiny-1")
    assert [one.soaked.requests if one.soaked else None for one in release.reached] == [0, 20, None]
    assert release.promoted == Promoted(
        alias="champion", old=None, new=1, started=next(iter(release.reached[::-1])).record.started
    )
    assert [a.stage for a in release.approvals] == [None, None, None, "broad", "broad"]


def test_the_whole_rollout_is_audited_and_nothing_is_wrong():
    book = in_stage(3)
    everywhere = dict.fromkeys(("internal", "pilot", "champion"), 1)
    found = audit(MODEL, book.slots, VERIFIER, book.evidence, everywhere)
    assert (found.anomalies, found.approvals) == ((), 5)


def test_history_tells_each_stage():
    book = in_stage(3)
    told = [(span.alias, span.version, span.people) for span in spans(book.ledger.entries)]
    people = (f"{ANA} as risk", f"{BOB} as product", f"{CAT} as product")
    again = (*people, f"{ANA} as risk", f"{BOB} as product")
    assert told == [("internal", 1, people), ("pilot", 1, people), ("champion", 1, again)]
    book = back(in_stage(1), "internal", None)
    assert live(book.ledger.entries, time_at(minutes(book) + 1)) == {}
    (span,) = spans(book.ledger.entries)
    assert span.until == book.ledger.entries[-1].time


def test_quorum_per_stage():
    assert quorum(POLICY_OF, None) == {"risk": 1, "product": 2}
    assert quorum(POLICY_OF, "pilot") == {}
    assert quorum(POLICY_OF, "broad") == {"risk": 1, "product": 1}
    assert quorum(POLICY_OF, "nowhere") == {}
    more = parse(POLICY.replace(b'needs = ["risk"]', b"needs = { risk = 3 }"), "of one stage")
    assert quorum(more, None) == {"risk": 3, "product": 2}, "the only stage asks together with the release"
    assert [t.roles for t in terms(more)] == [{}]


def test_who_is_in_a_stage():
    assert [t.who for t in terms(POLICY_OF)] == ["group employee", "5% of everybody", "everybody"]


# What comes next.


def test_a_stage_holds_until_it_has_soaked_then_the_next_one_is_due():
    book = in_stage(1)
    release, since = book.release("tiny-1"), minutes(book)
    early = step(book.state, release, 10**6, time_at(since + 1.9))
    assert early == Hold("the stage internal has lasted 1.9 of 2 minutes and answered 1,000,000 of 0")
    assert step(book.state, release, 7, time_at(since + 2)) == Soaked(stage="internal", minutes=2.0, requests=7)
    soaked(book)
    assert step(book.state, book.release("tiny-1"), 0, time_at(since + 3)) == Advance(release.rollout[1])


def test_a_stage_that_answered_too_little_holds_for_ever():
    book = in_stage(2)
    held = step(book.state, book.release("tiny-1"), 19, time_at(10**6))
    assert isinstance(held, Hold)
    assert "answered 19 of 20" in held.why


def test_people_are_asked_about_a_stage_that_needs_them():
    book = soaked(in_stage(2))
    assert step(book.state, book.release("tiny-1"), 0, time_at(99)) == Ask(terms(POLICY_OF)[2])
    later(book, asked(book, "broad"))
    release = book.release("tiny-1")
    assert (release.stage, release.missing, release.speaking) == (
        "waiting", {"risk": 1, "product": 1}, ("product", "risk"),
    )  # fmt: skip
    assert approve(book, "tiny-1", FOR_BROAD).release("tiny-1").stage == "approved"


def test_a_rollout_whose_alias_went_elsewhere_retreats():
    book = back(in_stage(2), "pilot", None)
    due = step(book.state, book.release("tiny-1"), 10**6, time_at(10**6))
    assert due == Retreat("'pilot' is not at its version any more")


def test_an_open_incident_holds_a_rollout():
    book = soaked(in_stage(1))
    later(book, Incident(alias="pilot", recorded=None, shown=9, response="freeze", why="w"), release=None)
    held = step(book.state, book.release("tiny-1"), 0, time_at(99))
    assert held == Hold("an incident is open; see `headgate guard tiny`")


def test_a_later_release_waits_for_the_rollout_to_end_and_can_then_only_be_released_again():
    book = in_stage(1)
    approve(take(book, "tiny-2", version=2), "tiny-2")
    looked = {str(n): () for n, _ in enumerate(book.release("tiny-2").approvals)}
    why = refusals(book.state, book.release("tiny-2"), "internal", Seen(live=1), looked)
    assert why == ("the rollout of tiny-1 has not ended: `headgate rollback tiny` ends it",)
    later(book, intention(book, "tiny-2"), release="tiny-2")
    with pytest.raises(Tampered, match="no other rollout"):
        fold(MODEL, book.ledger.entries)


@pytest.mark.parametrize(
    ("book", "why"),
    [
        (lambda: in_stage(2), "the stage 'pilot' has not soaked yet: it takes 3 minutes and 20 requests"),
        (lambda: soaked(in_stage(2)), "the stage 'broad' needs 1 × product, 1 × risk for itself"),
        (lambda: back(in_stage(2), "internal", None), "a stage that it had reached is not at its version any more"),
    ],
)
def test_what_the_next_stage_lacks_is_said(book, why):
    state = book().state
    release = state.release("tiny-1")
    looked = {str(n): () for n, _ in enumerate(release.approvals)}
    alias = release.next_stage.alias
    assert why in refusals(state, release, alias, Seen(live=state.aliases.get(alias)), looked)


# Every rule, broken.


def saying(**changes: Any) -> Callable[[Book], Any]:
    return lambda book: intention(book, "tiny-1").model_copy(update=changes)


VIOLATIONS: dict[str, tuple[Callable[[], Book], Callable[[Book], Any]]] = {
    "15 the second stage first": (lambda: in_stage(0), saying(alias="pilot")),
    "15 the last stage first": (lambda: in_stage(0), saying(alias="champion")),
    "15 before the stage has soaked": (lambda: in_stage(1), saying()),
    "15 the same stage again": (lambda: soaked(in_stage(1)), saying(alias="internal", old=1)),
    "15 a stage left out": (lambda: soaked(in_stage(1)), saying(alias="champion")),
    "15 nobody was asked about it": (lambda: soaked(in_stage(2)), saying()),
    "15 only one of two agreed to it": (
        lambda: approve(later(b := soaked(in_stage(2)), asked(b, "broad")), "tiny-1", FOR_BROAD[:1]),
        saying(),
    ),
    "15 without the approvals of the stage": (
        lambda: approve(later(b := soaked(in_stage(2)), asked(b, "broad")), "tiny-1", FOR_BROAD),
        lambda b: intention(b, "tiny-1").model_copy(update={"approvals": (8, 9, 10)}),
    ),
    "15 a stage that went back": (lambda: back(soaked(in_stage(1)), "internal", None), saying()),
    "15 soaked for too short a time": (lambda: in_stage(1), lambda b: Soaked(stage="internal", minutes=1, requests=0)),
    "15 soaked for longer than has passed": (
        lambda: in_stage(1), lambda b: Soaked(stage="internal", minutes=2, requests=0),
    ),
    "15 soaked with too few answers": (lambda: in_stage(2), lambda b: Soaked(stage="pilot", minutes=3, requests=19)),
    "15 another stage soaked": (lambda: in_stage(2), lambda b: Soaked(stage="internal", minutes=3, requests=99)),
    "15 soaked twice": (lambda: soaked(in_stage(1)), lambda b: Soaked(stage="internal", minutes=2, requests=0)),
    "15 soaked before it was reached": (lambda: in_stage(0), lambda b: Soaked(stage="internal", minutes=2, requests=0)),
    "15 soaked after the end": (lambda: in_stage(3), lambda b: Soaked(stage="broad", minutes=0, requests=0)),
    "15 asked before the stage before has soaked": (lambda: in_stage(2), lambda b: asked(b, "broad")),
    "15 asked about a stage that needs nobody": (
        lambda: soaked(in_stage(1)), lambda b: asked(b).model_copy(update={"stage": "pilot", "rollout": ()}),
    ),
    "15 asked for a smaller quorum": (
        lambda: soaked(in_stage(2)), lambda b: asked(b, "broad").model_copy(update={"roles": {"risk": 1}}),
    ),
    "15 told of other stages on the way": (
        lambda: soaked(in_stage(2)), lambda b: asked(b, "broad").model_copy(update={"rollout": terms(POLICY_OF)}),
    ),
    "15 asked twice": (lambda: later(b := soaked(in_stage(2)), asked(b, "broad")), lambda b: asked(b, "broad")),
    "5 an answer between two stages": (
        lambda: in_stage(1),
        lambda b: answered(b, "tiny-1", CAT, "risk"),
    ),
    "5 one person twice for a stage": (
        lambda: approve(later(b := soaked(in_stage(2)), asked(b, "broad")), "tiny-1", FOR_BROAD[:1]),
        lambda b: answered(b, "tiny-1", ANA, "risk"),
    ),
    "16 halted while a stage is served its version": (lambda: in_stage(1), lambda b: STOP),
    "16 halted while one of two stages is": (lambda: back(in_stage(2), "pilot", None), lambda b: STOP),
}  # fmt: skip


@pytest.mark.parametrize("rule", VIOLATIONS)
def test_a_broken_rule_is_tampering(rule):
    before, record = VIOLATIONS[rule]
    book = before()
    fold(MODEL, book.ledger.entries)
    later(book, record(book))
    with pytest.raises(Tampered, match=f"slot {book.ledger.size - 1}"):
        fold(MODEL, book.ledger.entries)


def test_the_last_stage_is_never_left_with_nothing():
    book = in_stage(3)
    later(book, RollbackStarted(alias="champion", old=1, new=None, reason="r"), release=None)
    with pytest.raises(Tampered, match="a version that the alias had before"):
        fold(MODEL, book.ledger.entries)


def test_a_rollout_goes_back_and_then_halts_and_the_next_release_may_begin():
    book = in_stage(3)
    in_stage(2, book, "tiny-2", version=2, champion=1)
    assert book.state.aliases == {"internal": 2, "pilot": 2, "champion": 1}
    assert book.state.reaches(book.release("tiny-2")) == ("pilot", "internal")
    for alias in ("pilot", "internal"):
        back(book, alias, 1, old=2)
    later(book, STOP, release="tiny-2")
    assert book.state.aliases == {"internal": 1, "pilot": 1, "champion": 1}
    assert book.release("tiny-2").stage == "halted"
    in_stage(1, book, "tiny-3", version=3, champion=1)
    assert book.state.aliases == {"internal": 3, "pilot": 1, "champion": 1}


# What people sign for a stage.


def waiting_for_broad() -> Book:
    book = soaked(in_stage(2))
    return later(book, asked(book, "broad"))


def said(book: Book, text: bytes, signature: bytes | None) -> tuple[str, ...]:
    release = book.release("tiny-1")
    return objections(
        text, signature, signers=signers(), ledger=book.ledger, release=release, at=time_at(minutes(book) + 1)
    )


def test_the_text_names_the_stage_and_covers_the_request():
    book = waiting_for_broad()
    spoken = statement(book.ledger, book.release("tiny-1"), person=ANA, role="risk", decision="approve")
    assert spoken.stage == "broad"
    assert b'"stage": "broad"' in spoken.text()
    assert Statement.read(spoken.text()) == spoken
    assert as_asked(book.ledger, book.release("tiny-1")).size == book.ledger.size
    assert said(book, *signed(spoken)) == ()


def test_an_approval_of_the_release_is_none_of_a_stage():
    before = in_stage(0)
    given = before.release("tiny-1").approvals[0].record
    text, signature = before.evidence[given.statement], before.evidence[given.signature or ""]
    against = said(waiting_for_broad(), text, signature)
    assert any("the statement's stage is None; this release's is broad" in reason for reason in against)
    assert any("ends before the approval was asked for" in reason for reason in against)


def test_an_approval_of_another_stage_is_none():
    book = waiting_for_broad()
    spoken = statement(book.ledger, book.release("tiny-1"), person=ANA, role="risk", decision="approve")
    (reason,) = said(book, *signed(spoken.model_copy(update={"stage": "pilot"})))
    assert "the statement's stage is pilot; this release's is broad" in reason


def test_a_text_about_a_release_says_nothing_of_stages():
    spoken = statement(in_stage(0).ledger, in_stage(0).release("tiny-1"), person=ANA, role="risk", decision="approve")
    assert b"stage" not in spoken.text()


def test_approvals_that_were_used_in_time_do_not_expire_between_stages_but_can_be_revoked():
    book = soaked(in_stage(1))
    release, late = book.release("tiny-1"), time_at(10**5)
    answer = release.approvals[0]
    given = {
        "ledger": book.ledger, "release": release, "at": release.judged_at(answer, late), "record": answer.record,
        "request": release.answered(answer),
    }  # fmt: skip
    text, signature = (book.evidence[d] for d in (answer.record.statement, answer.record.signature or ""))
    assert objections(text, signature, signers=signers(), **given) == ()
    (reason,) = objections(text, signature, signers=type(signers()).parse(""), **given)
    assert "the key may sign as risk for nobody" in reason
    unused = in_stage(0).release("tiny-1")
    assert unused.judged_at(unused.approvals[0], late) == late


def test_every_stage_counts_its_own_people():
    book = approve(waiting_for_broad(), "tiny-1", ((ANA, "risk"),))
    release = book.release("tiny-1")
    assert release.missing == {"product": 1}, "who agreed to the release in a role has not agreed to the stage"
    assert [a.record.person for a in release.agreed] == [ANA]


def test_a_no_to_a_stage_stops_the_rollout():
    book = waiting_for_broad()
    later(book, answered(book, "tiny-1", BOB, "product", reason="too many complaints"))
    release = book.release("tiny-1")
    assert (release.stage, release.due(Halted), release.due(Promoted)) == ("rejected", True, False)


def test_a_forged_answer_for_a_stage_is_found_by_the_audit():
    # What whoever holds the pipeline's key could write without its person: an answer that was given for the release.
    book = waiting_for_broad()
    later(book, book.release("tiny-1").approvals[0].record)
    later(book, answered(book, "tiny-1", BOB, "product"))
    later(book, intention(book, "tiny-1"))
    later(book, done(book))
    found = audit(MODEL, book.slots, VERIFIER, book.evidence)
    assert {a.name for a in found.anomalies} == {"void_approval"}


def test_one_stage_is_promoted_as_ever():
    book = promote(approve(take(Book(), "tiny-1"), "tiny-1"), "tiny-1")
    assert (book.release("tiny-1").stage, book.state.aliases) == ("promoted", {"champion": 1})
    assert book.state.rolling is None


def test_a_rollout_whose_champion_went_elsewhere_retreats():
    book = in_stage(3)
    in_stage(3, book, "tiny-2", version=2, champion=1)
    in_stage(1, book, "tiny-3", version=3, champion=2)
    back(book, "champion", 1, old=2)
    next_one = step(book.state, book.release("tiny-3"), 0, time_at(10**6))
    assert next_one == Retreat("'champion' is not at the version any more that the gates compared with")


def test_people_outside_are_told_whom_a_stage_serves():
    book = in_stage(3)
    line = Notify(audience="branches", channel="env:BRANCHES", events=("promoted",), template="plain")
    told = {book.ledger.entries[n.about].body["alias"]: n.body for n in due(book.ledger.entries, lambda _: (line,))}
    assert "It is used for: 5% of everybody. Everybody else is served as before." in told["pilot"]
    assert "From now on a new version of tiny is in use." in told["champion"]


def test_an_alarm_in_use_stops_a_rollout_until_a_person_ends_it():
    book = soaked(in_stage(1, Book(STAGED + MONITORING)))
    found = judged(until="2026-07-01T14:00:00.000Z", harmed=True)
    say(book, monitored(book, known(book), found, alias="internal"), minutes=minutes(book))
    slot = say(book, alarmed(book, found, "ranks"), minutes=minutes(book))
    release, why = book.release("tiny-1"), f"the alarm of slot {slot}"
    held = step(book.state, release, 0, time_at(10**4))
    assert held == Hold(f"{why} is open; see `headgate respond tiny`")
    looked = {str(n): () for n, _ in enumerate(release.approvals)}
    assert any(why in reason for reason in refusals(book.state, release, "pilot", Seen(live=None), looked))
    forged = later(book.copy(), intention(book, "tiny-1"))
    with pytest.raises(Tampered, match="no open incident of the version in use"):
        fold(MODEL, forged.ledger.entries)
    say(book, closed(slot, "ranks"), minutes=minutes(book))
    assert step(book.state, book.release("tiny-1"), 0, time_at(10**4)) == Advance(release.rollout[1])


def test_the_picture_leads_each_approval_to_what_it_is_about():
    drawn = pedigree("tiny", in_stage(3).release("tiny-1"), stages=terms(POLICY_OF))
    # The middles of boxes in one column are 92 apart: three approvals lead to the first alias, two to the third.
    for approval, alias in ((129, 129), (221, 129), (313, 129), (405, 313), (497, 313)):
        bend = "" if approval == alias else f"H628V{alias}"
        assert f'"M618 {approval}{bend}H633"' in drawn
    for name in ("group employee", "5% of everybody", "everybody", "20 answered"):
        assert name in drawn
