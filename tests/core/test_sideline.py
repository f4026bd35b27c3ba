"""What happens beside the steps: going back, incidents, deputies, approvals taken back, and what was live when."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from story_of import (
    ANA,
    BOB,
    CAT,
    DIGEST,
    PEOPLE,
    POLICY,
    Book,
    answered,
    approve,
    intention,
    line,
    promote,
    signed,
    signers,
    take,
    time_at,
    waiting,
    whole,
)

from headgate.approval import objections, statement
from headgate.custody import Target, incident, moved, retreat
from headgate.errors import BadInput, Tampered
from headgate.history import live, spans
from headgate.oversight import Guard
from headgate.patience import overdue
from headgate.policy_file import parse
from headgate.record import Record
from headgate.records import KINDS, ApprovalRequested, Halted, PromotionUndone
from headgate.watch import (
    Escalated,
    Incident,
    IncidentClosed,
    Notified,
    Reminded,
    RollbackStarted,
    RolledBack,
    Withdrawn,
)

BACK = RollbackStarted(alias="champion", old=2, new=1, reason="complaints from one branch")


def say(book: Book, record: Record, release: str | None = None, minutes: float | None = None) -> int:
    book.tell(release, KINDS[type(record)], record.model_dump(mode="json"), minutes=minutes)
    return book.ledger.size - 1


def rolled_back(book: Book) -> Book:
    slot = say(book, BACK)
    say(book, RolledBack(alias="champion", old=2, new=1, started=slot))
    return book


def found(book: Book, shown: int | None = 7) -> int:
    recorded = book.state.aliases.get("champion")
    return say(book, Incident(alias="champion", recorded=recorded, shown=shown, response="restore", why="w"))


def closed(book: Book, slot: int) -> IncidentClosed:
    return IncidentClosed(incident=slot, alias="champion", now=book.state.aliases.get("champion"), how="put back")


def withdrawal(answer: int, person: str = ANA, role: str = "risk") -> Withdrawn:
    return Withdrawn(
        answer=answer, role=role, person=person, key="k", reason="r", statement=DIGEST, signature=DIGEST, signers=DIGEST
    )


def told(about: int) -> Notified:
    return Notified(about=about, event="asked", audience="a", channel="c", template="plain", outcome="sent")


def test_an_alias_goes_back_and_what_was_left_is_not_gone_back_to() -> None:
    book = whole()
    assert book.state.behind == {"champion": (1,)}
    rolled_back(book)
    assert (book.state.aliases, book.state.behind) == ({"champion": 1}, {"champion": ()})
    assert book.release("tiny-2").stage == "promoted", "what was decided stays decided"
    say(book, RollbackStarted(alias="champion", old=1, new=2, reason="forward again"))
    with pytest.raises(Tampered, match="a version that the alias had before"):
        assert book.state


def test_after_a_rollback_the_next_release_is_compared_with_what_is_live() -> None:
    book = rolled_back(whole())
    promote(approve(take(book, "tiny-5", version=5, champion=1), "tiny-5"), "tiny-5")
    assert (book.state.aliases, book.state.behind) == ({"champion": 5}, {"champion": (1,)})


def test_a_rollback_can_be_given_up() -> None:
    book = whole()
    slot = say(book, BACK)
    say(book, PromotionUndone(alias="champion", now=2, started=slot, why="no answer"))
    assert (book.state.intention, book.state.aliases) == (None, {"champion": 2})


def test_a_promotion_waits_until_an_incident_is_closed_and_a_rollback_does_not() -> None:
    book = whole()
    approve(take(book, "tiny-5", version=5, champion=2), "tiny-5")
    slot = found(book)
    blocked = book.copy()
    blocked.say("tiny-5", intention(blocked, "tiny-5"))
    with pytest.raises(Tampered, match="no open incident"):
        assert blocked.state
    assert rolled_back(book.copy()).state.aliases == {"champion": 1}
    say(book, closed(book, slot))
    promote(book, "tiny-5")
    assert book.state.aliases == {"champion": 5}


BROKEN: dict[str, tuple[Callable[[], Book], Callable[[Book], tuple[Record, str | None]]]] = {
    "10 of a release": (whole, lambda _: (BACK, "tiny-2")),
    "10 from elsewhere": (whole, lambda _: (BACK.model_copy(update={"old": 1}), None)),
    "10 to what never was live": (whole, lambda _: (BACK.model_copy(update={"new": 3}), None)),
    "10 to itself": (whole, lambda _: (BACK.model_copy(update={"new": 2}), None)),
    "10 another alias": (whole, lambda _: (BACK.model_copy(update={"alias": "pilot"}), None)),
    "10 while one is open": (lambda: rolled(whole()), lambda _: (BACK, None)),
    "10 not begun": (whole, lambda b: (RolledBack(alias="champion", old=2, new=1, started=3), None)),
    "10 ended elsewhere": (
        lambda: rolled(whole()),
        lambda b: (RolledBack(alias="champion", old=2, new=2, started=b.ledger.size - 1), None),
    ),
    "10 given up elsewhere": (
        lambda: rolled(whole()),
        lambda b: (PromotionUndone(alias="champion", now=1, started=b.ledger.size - 1, why="w"), None),
    ),
    "10 a promotion ended as one": (
        lambda: begun(whole()),
        lambda b: (RolledBack(alias="champion", old=2, new=5, started=b.ledger.size - 1), None),
    ),
    "11 nothing is wrong": (
        whole,
        lambda _: (Incident(alias="champion", recorded=2, shown=2, response="freeze", why="w"), None),
    ),
    "11 not as recorded": (
        whole,
        lambda _: (Incident(alias="champion", recorded=1, shown=3, response="freeze", why="w"), None),
    ),
    "11 twice": (
        lambda: with_incident(whole()),
        lambda _: (Incident(alias="champion", recorded=2, shown=9, response="freeze", why="w"), None),
    ),
    "11 closed elsewhere": (
        lambda: with_incident(whole()),
        lambda b: (IncidentClosed(incident=b.ledger.size - 1, alias="champion", now=7, how="h"), None),
    ),
    "11 closed and not open": (whole, lambda b: (closed(b, 3), None)),
    "12 reminded of a release that is over": (whole, lambda _: (Reminded(missing={"risk": 1}), "tiny-1")),
    "12 reminded of what is not missing": (waiting, lambda _: (Reminded(missing={"risk": 9}), "tiny-1")),
    "12 a role that owes nothing": (waiting, lambda _: (Escalated(role="legal", to="board"), "tiny-1")),
    "12 a second deputy": (
        lambda: with_deputy(waiting()),
        lambda _: (Escalated(role="risk", to="others"), "tiny-1"),
    ),
    "13 of another person": (lambda: approve(waiting(), "tiny-1"), lambda b: (withdrawal(8, BOB), "tiny-1")),
    "13 of nobody's": (lambda: approve(waiting(), "tiny-1"), lambda b: (withdrawal(3), "tiny-1")),
    "13 after the promotion": (whole, lambda b: (withdrawal(8), "tiny-1")),
    "14 about itself": (whole, lambda b: (told(b.ledger.size), None)),
}


def rolled(book: Book) -> Book:
    say(book, BACK)
    return book


def begun(book: Book) -> Book:
    approve(take(book, "tiny-5", version=5, champion=2), "tiny-5")
    book.say("tiny-5", intention(book, "tiny-5"))
    return book


def with_incident(book: Book) -> Book:
    found(book)
    return book


def with_deputy(book: Book) -> Book:
    say(book, Escalated(role="risk", to="board"), "tiny-1")
    return book


@pytest.mark.parametrize("rule", BROKEN)
def test_a_ledger_that_breaks_a_rule_is_refused(rule: str) -> None:
    make, bad = BROKEN[rule]
    book = make()
    assert book.state, "sound so far"
    record, release = bad(book)
    say(book, record, release)
    with pytest.raises(Tampered, match=f"slot {book.ledger.size - 1}"):
        assert book.state


def test_a_deputy_answers_for_a_role_and_nobody_counts_twice() -> None:
    book = with_deputy(waiting())
    listed = signers(line(ANA, "risk", "board") + line(CAT, "board") + line(BOB, "product"))
    assert book.release("tiny-1").speaking == ("product", "risk", "board")
    for person, left in ((CAT, {"product": 2}),):
        spoken = statement(book.ledger, book.release("tiny-1"), person=person, role="board", decision="approve")
        text, signature = signed(spoken)
        now = time_at(book.ledger.size)
        against = objections(
            text, signature, signers=listed, ledger=book.ledger, release=book.release("tiny-1"), at=now
        )
        assert against == ()
        book.say("tiny-1", answered(book, "tiny-1", person, "board"))
        assert book.release("tiny-1").missing == left


def test_one_person_in_a_role_and_as_its_deputy_is_one() -> None:
    policy = POLICY.replace(b"risk = 1, product = 2", b"risk = 2, product = 1")
    book = take(Book(policy), "tiny-1", until="packaged")
    book.say("tiny-1", ApprovalRequested(roles={"risk": 2, "product": 1}, expires=time_at(48 * 60)))
    say(book, Escalated(role="risk", to="board"), "tiny-1")
    for role in ("risk", "board"):
        book.say("tiny-1", answered(book, "tiny-1", ANA, role))
    assert book.release("tiny-1").missing == {"risk": 1, "product": 1}


def test_an_approval_is_taken_back_and_may_be_given_again() -> None:
    book = approve(waiting(), "tiny-1")
    first = book.release("tiny-1").approvals[0].seq
    say(book, withdrawal(first), "tiny-1")
    assert (book.release("tiny-1").stage, book.release("tiny-1").missing) == ("waiting", {"risk": 1})
    approve(book, "tiny-1", PEOPLE[:1])
    promote(book, "tiny-1")
    assert book.state.aliases == {"champion": 1}


def test_whoever_answers_for_the_training_cannot_approve_it() -> None:
    book = waiting()
    release = book.release("tiny-1")
    text, signature = signed(statement(book.ledger, release, person=ANA, role="risk", decision="approve"))
    for trainer, known in ((ANA.upper(), True), ("x@example.org", False)):
        asked = release.taken[0].model_copy(update={"trainer": trainer})
        owned = type(release)(release.id, release.opened, (asked, *release.taken[1:]), requests=release.requests)
        now = time_at(book.ledger.size)
        against = objections(text, signature, signers=signers(), ledger=book.ledger, release=owned, at=now)
        assert any("answers for the training" in reason for reason in against) is known


# Custody.

SOUND, GONE, SWAPPED = Target(), Target(exists=False), Target(changed=("model.skops",))


def test_what_somebody_else_moved_is_seen_and_an_open_intention_is_not_somebody_else() -> None:
    state = whole().state
    assert moved(state, {"champion": 2}) == {}
    assert moved(state, {"champion": 1}) == {"champion": 1}
    assert moved(state, {"champion": None}) == {"champion": None}
    assert moved(state, {"champion": 2, "pilot": 4}) == {"pilot": 4}, "an alias that nobody decided"
    assert moved(begun(whole()).state, {"champion": 5}) == {}
    assert moved(begun(whole()).state, {"champion": 7}) == {"champion": 7}
    assert moved(with_incident(whole()).state, {"champion": 7}) == {}, "it is known already"


def test_what_is_done_about_it_is_what_the_policy_says_as_long_as_it_can_be() -> None:
    state, at = whole().state, time_at(100)
    assert incident(state, "champion", 1, Guard(), SOUND, at).response == "restore"
    assert incident(state, "champion", 1, Guard(response="freeze"), SOUND, at).response == "freeze"
    gone, swapped = (incident(state, "champion", None, Guard(), target, at) for target in (GONE, SWAPPED))
    assert (gone.response, swapped.response) == ("freeze", "freeze")
    assert "deleted" in gone.why
    assert "model.skops" in swapped.why
    assert incident(state, "pilot", 4, Guard(), SOUND, at).recorded is None


def test_what_is_moved_again_and_again_is_frozen() -> None:
    book = whole()
    for _ in range(3):
        say(book, closed(book, found(book)))
    now = time_at(book.ledger.size)
    assert incident(book.state, "champion", 7, Guard(), SOUND, now).response == "freeze"
    assert incident(book.state, "champion", 7, Guard(max_restores_per_hour=4), SOUND, now).response == "restore"
    assert incident(book.state, "champion", 7, Guard(), SOUND, time_at(200)).response == "restore", "an hour later"


def test_a_retreat_takes_the_newest_version_that_can_be_served() -> None:
    book = whole()
    promote(approve(take(book, "tiny-5", version=5, champion=2), "tiny-5"), "tiny-5")
    state = book.state
    assert state.behind == {"champion": (1, 2)}
    assert retreat(state, "champion", None, {1: SOUND, 2: SOUND}) == 2
    assert retreat(state, "champion", None, {1: SOUND, 2: SWAPPED}) == 1
    assert retreat(state, "champion", 1, {1: SOUND, 2: SOUND}) == 1
    for wanted, targets, said in (
        (None, {1: GONE, 2: SWAPPED}, "version 2: its files have changed: model.skops; version 1: it was deleted"),
        (2, {1: SOUND, 2: GONE}, "version 2: it was deleted"),
        (7, {1: SOUND, 2: SOUND}, "versions 1, 2 to go back to"),
        (None, {}, "version 2: not looked at"),
    ):
        with pytest.raises(BadInput, match=said):
            retreat(state, "champion", wanted, targets)
    with pytest.raises(BadInput, match="nothing to go back to"):
        retreat(state, "pilot", None, {})


# Patience.

PATIENT = POLICY.replace(
    b"expires_hours = 48",
    b'expires_hours = 48\nremind_hours = [12, 24]\nescalation = [{ role = "risk", after_hours = 30, to = "board" }]',
)


def test_a_wait_reminds_then_escalates_and_in_the_end_halts() -> None:
    policy, book = parse(PATIENT, "of the story"), waiting()
    since = book.ledger.size - 1

    def due(hours: float) -> Record | None:
        return overdue(book.release("tiny-1"), policy, time_at(since + hours * 60))

    def record(hours: float) -> None:
        said = due(hours)
        assert said is not None
        say(book, said, "tiny-1", minutes=since + hours * 60)

    assert due(11.9) is None
    assert due(12) == Reminded(missing={"risk": 1, "product": 2})
    record(12)
    assert due(13) is None
    record(25)
    assert due(29) is None
    assert due(30) == Escalated(role="risk", to="board")
    record(30)
    assert due(47) is None
    halted = due(48)
    assert isinstance(halted, Halted)
    assert halted.failures[0].reason.startswith("2 × product, 1 × risk did not answer by ")
    record(48)
    assert book.release("tiny-1").stage == "halted"
    assert book.state.aliases == {}, "it never promotes"


def test_who_answered_is_not_waited_for() -> None:
    policy = parse(PATIENT, "of the story")
    assert overdue(approve(waiting(), "tiny-1").release("tiny-1"), policy, time_at(10**6)) is None
    assert overdue(whole().release("tiny-1"), policy, time_at(10**6)) is None
    book = approve(waiting(), "tiny-1", PEOPLE[:1])
    late = overdue(book.release("tiny-1"), policy, time_at(40 * 60))
    assert isinstance(late, Reminded), "risk has answered, so nobody is put in its place"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (b"remind_hours = [48]", "after 48 hours nothing is waited for"),
        (b"remind_hours = [3, 2]", "ascend"),
        (b"remind_hours = [0]", "positive"),
        (b'escalation = [{ role = "legal", after_hours = 3, to = "board" }]', "no other role has one"),
        (b'escalation = [{ role = "risk", after_hours = 50, to = "board" }]', "nothing is waited for"),
    ],
)
def test_a_wait_that_cannot_be_kept_is_refused(given: bytes, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        parse(POLICY.replace(b"expires_hours = 48", b"expires_hours = 48\n" + given), "of the story")


def test_a_policy_that_does_not_use_them_keeps_its_digest() -> None:
    plain = parse(POLICY, "of the story").model_dump(mode="json")
    assert "guard" not in plain
    assert {"remind_hours", "escalation"} & set(plain["approval"]) == set()
    assert "owner" not in plain["train"]


# History.


def test_what_was_live_when_by_whom_and_why() -> None:
    book = rolled_back(whole())
    entries = book.ledger.entries
    first, second, third = spans(entries)
    assert [(s.version, s.release) for s in (first, second, third)] == [(1, "tiny-1"), (2, "tiny-2"), (1, None)]
    assert first.people == (f"{ANA} as risk", f"{BOB} as product", f"{CAT} as product")
    assert third.why == "rolled back: complaints from one branch"
    assert (first.until, second.until, third.until) == (second.since, third.since, None)
    assert live(entries, second.since)["champion"] == second, "its end belongs to the next one"
    assert live(entries, time_at(0)) == {}
    assert live(entries, time_at(10**6))["champion"] == third


def test_a_history_tells_what_the_registry_showed_meanwhile() -> None:
    book = whole()
    slot = found(book, shown=7)
    (open_doubt,) = [d for d in spans(book.ledger.entries)[-1].doubts if d.slot == slot]
    assert (open_doubt.shown, open_doubt.until) == (7, None)
    say(book, closed(book, slot))
    (closed_doubt,) = [d for d in spans(book.ledger.entries)[-1].doubts if d.slot == slot]
    assert closed_doubt.until == book.ledger.entries[-1].time


def test_the_spans_of_an_alias_never_overlap_and_agree_with_the_fold_at_every_size() -> None:
    book = rolled_back(whole())
    promote(approve(take(book, "tiny-5", version=5, champion=1), "tiny-5"), "tiny-5")
    for size in range(book.ledger.size + 1):
        cut = Book(ledger=book.ledger.at(size))
        at = cut.ledger.entries[-1].time if size else time_at(0)
        assert {a: s.version for a, s in live(cut.ledger.entries, at).items()} == cut.state.aliases
        told = spans(cut.ledger.entries)
        assert all(a.until == b.since for a, b in pairwise(told))
