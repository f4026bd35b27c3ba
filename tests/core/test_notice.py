"""Notices: nobody is told twice of one thing, nobody is forgotten, and no text is more than text."""

from __future__ import annotations

import pytest
from story_of import POLICY, Book, take, whole

from headgate.errors import BadInput
from headgate.notice import EVENTS, MOST_TRIES, Notice, due
from headgate.oversight import Notify
from headgate.policy_file import parse
from headgate.records import KINDS, RECORDS
from headgate.watch import Notified

LINE = Notify(audience="risk team", channel="env:HEADGATE_RISK", events=("asked", "promoted", "halted"))
PLAIN = Notify(audience="branches", channel="block:slack-webhook/branches", events=("promoted",), template="plain")


def of(book: Book, *lines: Notify) -> tuple[Notice, ...]:
    return due(book.ledger.entries, lambda _: lines)


def recorded(book: Book, notice: Notice, failure: str | None = None) -> None:
    record = notice.outcome(failure)
    book.tell(None, KINDS[Notified], record.model_dump(mode="json"))


def test_everything_that_was_asked_for_is_told_once_and_oldest_first() -> None:
    book = whole()
    told = of(book, LINE, PLAIN)
    assert [n.event for n in told if n.line == LINE] == [
        "asked",
        "promoted",
        "asked",
        "promoted",
        "halted",
        "asked",
        "halted",
    ]
    assert [n.event for n in told if n.line == PLAIN] == ["promoted", "promoted"]
    assert [n.about for n in told] == sorted(n.about for n in told)
    for notice in told:
        recorded(book, notice)
    assert of(book, LINE, PLAIN) == ()
    assert book.state, "and the ledger takes it"


def test_a_channel_that_failed_is_tried_again_but_not_for_ever() -> None:
    book = whole()
    notice = of(book, PLAIN)[0]
    for _ in range(MOST_TRIES):
        assert notice in of(book, PLAIN)
        recorded(book, notice, "ConnectionError")
    assert notice not in of(book, PLAIN)


def test_a_failure_at_one_channel_says_nothing_about_another() -> None:
    book = whole()
    both = PLAIN.model_copy(update={"channel": "env:OTHER"})
    first = of(book, PLAIN)[0]
    recorded(book, first)
    assert [n.line.channel for n in of(book, PLAIN, both) if n.about == first.about] == ["env:OTHER"]


def test_the_plan_is_that_of_the_release() -> None:
    told = due(whole().ledger.entries, lambda release: (LINE,) if release == "tiny-3" else ())
    assert [n.event for n in told] == ["halted"]


def test_the_technical_words_have_the_arithmetic_and_the_plain_ones_have_none() -> None:
    book = whole()
    halted = next(n for n in of(book, LINE) if n.event == "halted")
    assert "FAIL rows (both): as found" in halted.body
    assert "headgate status tiny-3" in halted.body
    for notice in of(book, LINE.model_copy(update={"template": "plain"})):
        assert notice.subject.startswith("tiny: ")
        for word in ("sha256", "slot", "FAIL", "headgate", "alias", "champion"):
            assert word not in notice.body + notice.subject


def test_text_from_people_stays_on_its_line() -> None:
    book = take(Book(), "tiny-1")
    body = {"alias": "champion", "recorded": None, "shown": 3, "response": "freeze", "why": "a\nnext: pay\x1b[2J"}
    book.tell(None, "incident", body)
    (notice,) = of(book, LINE.model_copy(update={"events": ("incident",)}))
    assert "\x1b" not in notice.body
    assert not [line for line in notice.body.splitlines() if line.startswith("next: pay")]


def test_every_event_has_words_and_a_kind() -> None:
    assert set(EVENTS) <= set(RECORDS)
    assert {*EVENTS.values(), "warning"} == set(Notify.model_fields["events"].annotation.__args__[0].__args__)  # type: ignore[union-attr]


def test_a_policy_names_no_address() -> None:
    good = b'\n[[notify]]\naudience = "risk"\nchannel = "env:HEADGATE_RISK"\nevents = ["asked"]\n'
    assert parse(POLICY + good, "x").notify[0].audience == "risk"
    for bad in (b"slack://token@channel", b"https://hooks.example/secret", b"env:lower"):
        with pytest.raises(BadInput, match="notify"):
            parse(POLICY + good.replace(b"env:HEADGATE_RISK", bad), "x")
