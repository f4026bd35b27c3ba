"""The rules of looks and alarms, and what the audit finds where somebody tells them otherwise."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from story_of import MODEL, VERIFIER, Book, time_at
from watch_of import (
    alarmed,
    closed,
    in_use,
    judged,
    known,
    looked,
    monitored,
    overdue,
    reference,
    say,
    seen,
    stepped,
    tampered_plan,
)

from headgate.address import Places
from headgate.alarm import AlarmOverdue, Drilled
from headgate.audit import Findings, audit
from headgate.canonical import canonical
from headgate.errors import Tampered
from headgate.facts import facts
from headgate.ledger import Ledger
from headgate.notice import due
from headgate.oversight import Notify
from headgate.plans import MonitoringPlan
from headgate.profile import Profile
from headgate.records import KINDS, record_of
from headgate.report import page
from headgate.risks import risks
from headgate.state import fold
from headgate.story import sentence
from headgate.vigil import PLAN, Vigil

DAY = 24 * 60


def harmed() -> Book:
    """An incident and a warning are open."""
    book = in_use()
    found = looked(book, harmed=True, slow=0.04)
    say(book, alarmed(book, found, "ranks"))
    say(book, alarmed(book, found, "slow"))
    return book


def slot_of(book: Book, check: str) -> int:
    return next(slot for slot, alarm in book.state.alarms.items() if alarm.record.check == check)


def whole() -> Book:
    """Harm is found, answered and closed; the warning ends by itself when its check passes again."""
    book = harmed()
    ranks, slow = slot_of(book, "ranks"), slot_of(book, "slow")
    say(book, stepped(book, ranks))
    say(book, closed(ranks, "ranks"))
    looked(book, seed=9)
    say(book, closed(slow, "slow", who=None))
    return book


STORY = whole()


def found_in(book: Book) -> Findings:
    return audit(MODEL, book.slots, VERIFIER, book.evidence)


def names(book: Book) -> list[str]:
    return [a.name for a in found_in(book).anomalies]


def test_looks_are_counted_and_alarms_are_opened_answered_and_closed() -> None:
    book = harmed()
    assert book.state.looks[1].look == 1
    assert {a.record.check for a in book.state.alarms.values()} == {"ranks", "slow"}
    say(book, stepped(book, slot_of(book, "ranks")))
    assert [s.step for s in book.state.alarms[slot_of(book, "ranks")].steps] == [1]
    assert STORY.state.alarms == {}
    assert STORY.state.looks[1].look == 2
    assert names(STORY) == []
    assert found_in(STORY).verdicts > found_in(in_use()).verdicts


def test_every_beginning_of_it_is_sound() -> None:
    for size in range(in_use().ledger.size, STORY.ledger.size + 1):
        assert names(Book(STORY.policy_file, STORY.ledger.at(size), STORY.evidence)) == []


def refused(
    book: Book, record: Any, expected: str, *, release: str | None = None, minutes: float | None = None
) -> None:
    book.tell(release, KINDS[type(record)], record.model_dump(mode="json"), minutes=minutes)
    with pytest.raises(Tampered, match=expected):
        assert book.state


def test_rule_17_a_look_is_at_what_is_in_use_and_numbered() -> None:
    made = judged()
    for change, expected in (
        ({"version": 9}, "a version that a release registered"),
        ({"alias": "pilot"}, "the version behind the alias"),
        ({"look": 2}, "the next look"),
        ({"due": made.until}, "a next look after this one"),
    ):
        book = in_use()
        refused(book, monitored(book, known(book), made, **change), expected)
    book = in_use()
    refused(book, monitored(book, known(book), made), "an entry of no release", release="tiny-1")


def test_rule_18_one_open_alarm_per_check_and_of_the_newest_look() -> None:
    book = harmed()
    again = Vigil.from_bytes(book.evidence[book.state.looks[1].findings])
    refused(book.copy(), alarmed(book, again, "ranks"), "one open alarm")
    later = alarmed(book, again, "fails")
    looked(book)
    refused(book.copy(), later, "newest look")
    refused(book, alarmed(book, judged(), "fails", release="tiny-7"), "by its release")


def test_rule_19_steps_are_taken_once_and_people_are_reminded_once_and_in_time() -> None:
    book = harmed()
    ranks, slow = slot_of(book, "ranks"), slot_of(book, "slow")
    refused(book.copy(), overdue(book, ranks), "nobody answered in time")
    refused(book.copy(), stepped(book, ranks, alarm=1), "an open alarm")
    late = book.copy()
    refused(late, AlarmOverdue(alarm=slow, release="tiny-1", check="slow", respond_by="2026-07-01T12:00:00Z"), "says")
    answered = book.copy()
    say(answered, stepped(book, ranks))
    refused(answered.copy(), stepped(book, ranks), "not taken yet")
    refused(answered, overdue(answered, ranks), "nobody answered in time", minutes=DAY)
    say(book, overdue(book, ranks), minutes=DAY)
    assert book.state.alarms[ranks].overdue
    assert names(book) == []
    refused(book, overdue(book, ranks), "nobody answered in time", minutes=DAY + 1)


def test_rule_20_an_incident_is_closed_by_a_person() -> None:
    book = harmed()
    ranks = slot_of(book, "ranks")
    refused(book.copy(), closed(ranks, "ranks", who=None), "a person")
    refused(book.copy(), closed(ranks, "slow"), "the alarm's check")
    say(book, closed(ranks, "ranks"))
    refused(book, closed(ranks, "ranks"), "an open alarm")


def test_plans_that_were_changed_are_an_incident() -> None:
    book = in_use()
    found = looked(book, tampered_plan())
    say(book, alarmed(book, found, PLAN))
    assert book.state.looks[1].verdict.name == "ERROR"
    assert names(book) == []
    (alarm,) = book.state.alarms.values()
    assert (alarm.record.severity, alarm.record.playbook) == ("incident", "gate_error")


def gone_through(book: Book, **changes: Any) -> Drilled:
    steps = known(book).steps("gate_failed")
    made = {
        "release": "tiny-1",
        "incidents": known(book).incidents,
        "situation": "gate_failed",
        "started": time_at(0),
        "steps": steps,
        "seconds": (3.0,) * len(steps),
        "notes": ("",) * len(steps),
        "who": "olga",
    }
    return Drilled(**{**made, **changes})


def test_rule_21_a_drill_follows_a_plan_and_takes_no_longer_than_has_passed() -> None:
    book = in_use()
    refused(book.copy(), gone_through(book, release="tiny-9"), "a release that was packaged")
    refused(book.copy(), gone_through(book, seconds=(1e6, 0.0)), "seconds that have passed")
    told = book.copy()
    say(told, gone_through(book, steps=("do nothing", "rest")))
    assert names(told) == ["other_plan"]
    say(book, gone_through(book))
    assert names(book) == []
    assert book.state.alarms == {}
    with pytest.raises(ValueError, match="its time and its note"):
        gone_through(book, notes=())


# Told otherwise, by whoever holds the pipeline's key.


def retold(change: Callable[[str, dict[str, Any]], dict[str, Any]], book: Book = STORY) -> Book:
    again = Book(book.policy_file, Ledger(MODEL), dict(book.evidence))
    for entry in book.ledger.entries:
        body = change(entry.kind, json.loads(canonical(entry.body)))
        again.tell(entry.release, entry.kind, body, minutes=entry.seq)
    return again


def changed(kind: str, **to: Any) -> Callable[[str, dict[str, Any]], dict[str, Any]]:
    return lambda told, body: {**body, **to} if told == kind else body


def test_a_verdict_that_was_turned_is_found() -> None:
    book = in_use()
    looked(book, harmed=True)
    assert names(retold(changed("monitored", verdict="PASS"), book)) == ["other_verdict"]


def test_findings_that_were_turned_are_found_though_everything_else_agrees() -> None:
    book = in_use()
    told = looked(book, harmed=True)
    nice = tuple(s.model_copy(update={"verdict": judged().verdict}) for s in told.sightings)
    digest = book.put(told.model_copy(update={"sightings": nice}).to_bytes())
    assert names(retold(changed("monitored", verdict="PASS", findings=digest), book)) == ["other_verdict"]


def test_an_alarm_that_was_not_called_for_is_found() -> None:
    book = in_use()
    found = looked(book)
    say(book, alarmed(book, found, "ranks"))
    assert names(book) == ["void_alarm"]


@pytest.mark.parametrize(
    "to",
    [{"reason": "it looked odd"}, {"check": "scores"}],
)
def test_an_alarm_says_what_the_look_found(to: dict[str, str]) -> None:
    book = in_use()
    found = looked(book, harmed=True)
    say(book, alarmed(book, found, "ranks", **to))
    assert "void_alarm" in names(book)


@pytest.mark.parametrize(
    "to",
    [
        {"playbook": "slow"},
        {"response": "tell"},
        {"severity": "warning", "respond_by": None},
        {"respond_by": "2026-07-03T12:00:00.000Z"},
        {"plan": known().incidents},
    ],
)
def test_an_alarm_follows_the_plan_of_the_package(to: dict[str, str]) -> None:
    book = in_use()
    found = looked(book, harmed=True)
    say(book, alarmed(book, found, "ranks", **to))
    assert names(book) != []
    assert set(names(book)) == {"other_plan"}


def test_a_look_by_another_plan_than_the_package_s_is_found() -> None:
    book = in_use()
    mandate = known(book)
    lax = mandate.monitoring.model_copy(update={"review_after_days": 4_000})
    digest = book.put(MonitoringPlan.model_validate(lax).to_bytes())
    say(book, monitored(book, mandate, judged(), plan=digest))
    assert "other_plan" in names(book)


def test_a_look_that_puts_the_next_one_off_is_found() -> None:
    assert names(retold(changed("monitored", due="2027-07-01T12:00:00.000Z"))) == ["other_plan"] * 2


def test_counts_of_another_window_or_version_are_found() -> None:
    for change in ({"since": "2026-06-01T12:00:00.000Z"}, {"version": 2}):
        book = in_use()
        given = seen(f"2026-07-01T12:{book.ledger.size}:00.000Z")
        profile = given["fails"].profile
        assert profile is not None
        other = Profile.model_validate(profile.model_copy(update=change).model_dump())
        looked(book, {**given, "fails": given["fails"].__class__(other)})
        assert names(book) == ["other_window"]


def test_a_reference_of_another_table_is_found() -> None:
    book = in_use()
    mandate = known(book)
    lax = reference().model_copy(update={"evaluation": mandate.plan})
    say(
        book,
        monitored(book, mandate, judged(), reference=book.put(type(lax).model_validate(lax.model_dump()).to_bytes())),
    )
    assert "other_reference" in names(book)


def test_a_warning_that_was_closed_by_itself_without_a_pass_is_found() -> None:
    book = harmed()
    say(book, closed(slot_of(book, "slow"), "slow", who=None))
    assert names(book) == ["void_closing"]


def test_a_step_that_is_not_the_plan_s_is_found() -> None:
    book = harmed()
    say(book, stepped(book, slot_of(book, "ranks"), of="do nothing"))
    assert names(book) == ["other_plan"]
    book = harmed()
    say(book, stepped(book, slot_of(book, "ranks")).model_copy(update={"step": 9}))
    assert names(book) == ["other_plan"]


def test_everything_that_a_look_was_made_of_is_demanded() -> None:
    inner = {
        digest
        for entry in STORY.ledger.entries
        if entry.kind == "monitored"
        for counted in Vigil.from_bytes(STORY.evidence[str(entry.body["findings"])]).counted.values()
        for digest in (counted.profile, counted.tally)
        if digest
    }
    assert len(inner) > 6
    for digest in inner:
        book = STORY.copy()
        del book.evidence[digest]
        assert names(book) == ["not_recomputable"]


# What people are told.


def test_people_are_told_of_alarms_by_the_plan_of_the_release_that_made_the_version() -> None:
    book = harmed()
    say(book, overdue(book, slot_of(book, "ranks")), minutes=DAY)
    line = Notify(audience="on call", channel="env:BELL", events=("incident", "warning", "overdue"))
    told = due(book.ledger.entries, lambda release: (line,) if release == "tiny-1" else ())
    assert [n.event for n in told] == ["incident", "warning", "overdue"]
    assert "headgate respond tiny" in told[0].body
    assert "roc_auc in sex=f" in told[0].body
    plain = due(book.ledger.entries, lambda _: (line.model_copy(update={"template": "plain"}),))
    assert {n.subject for n in plain} == {
        "tiny: something went wrong in use",
        "tiny: something has changed",
        "tiny: nobody has answered yet",
    }


def test_each_kind_is_told_in_one_line() -> None:
    book = harmed()
    say(book, overdue(book, slot_of(book, "ranks")), minutes=DAY)
    entries = [*STORY.ledger.entries, *book.ledger.entries]
    told = {e.kind: sentence(record_of(e.kind, dict(e.body))) for e in entries}
    assert told["alarmed"].startswith(("incident of version 1, ranks: ", "warning of version 1, slow: "))
    assert "closed by" in told["alarm_closed"]
    assert fold(MODEL, STORY.ledger.entries) == STORY.state


def test_an_open_alarm_is_at_risk_on_the_page_for_stakeholders_and_a_closed_one_is_not() -> None:
    book = harmed()
    say(book, overdue(book, slot_of(book, "ranks")), minutes=DAY)
    told = facts(book.ledger, book.state, book.evidence.__getitem__, book.ledger.entries[-1].time)
    shown = [risk for risk in risks(told) if "in use, check" in risk.what]
    assert [risk.urgency for risk in shown] == ["now", "soon"]
    assert "check ranks: roc_auc in sex=f" in shown[0].what
    assert "nobody came in time" in shown[0].what
    assert b"check ranks: roc_auc in sex=f" in page(told, Places())
    over = facts(STORY.ledger, STORY.state, STORY.evidence.__getitem__, STORY.ledger.entries[-1].time)
    assert over.happened.alarms == ()
