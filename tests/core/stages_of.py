"""Rollouts through three stages, of which the last one needs a quorum for itself: what other tests take apart."""

from __future__ import annotations

from typing import Any

from story_of import ANA, BOB, STAGED, Book, approve, asked, done, intention, minutes, take

from headgate.phase import Soaked
from headgate.watch import Incident, RollbackStarted, RolledBack

FOR_BROAD = ((ANA, "risk"), (BOB, "product"))


def later(book: Book, record: Any, wait: float = 0, release: str | None = "tiny-1") -> Book:
    """A record that is written so many minutes after the one before it."""
    book.say(release or "", record, minutes=minutes(book) + wait) if release else book.tell(
        None, {Incident: "incident", RollbackStarted: "rollback_started", RolledBack: "rolled_back"}[type(record)],
        record.model_dump(mode="json"), minutes=minutes(book) + wait,
    )  # fmt: skip
    return book


def in_stage(stages: int, book: Book | None = None, name: str = "tiny-1", **how: Any) -> Book:
    """A release that has reached so many stages."""
    book = approve(take(book or Book(STAGED), name, **how), name)
    for number in range(stages):
        if number:
            book = soaked(book, name)
        if number == 2:
            book = approve(later(book, asked(book, "broad"), release=name), name, FOR_BROAD)
        later(book, intention(book, name), release=name)
        later(book, done(book), release=name)
    return book


def soaked(book: Book, name: str = "tiny-1", **changes: Any) -> Book:
    release = book.release(name)
    here = release.rollout[len(release.reached) - 1]
    said = {"stage": here.name, "minutes": here.soak_minutes, "requests": here.min_requests} | changes
    return later(book, Soaked(**said), wait=here.soak_minutes, release=name)


def back(book: Book, alias: str, new: int | None, old: int = 1) -> Book:
    later(book, RollbackStarted(alias=alias, old=old, new=new, reason="complaints"), release=None)
    begun = book.ledger.size - 1
    return later(book, RolledBack(alias=alias, old=old, new=new, started=begun), release=None)
