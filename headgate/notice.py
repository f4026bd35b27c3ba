"""Notices: who is to be told of which entry, and in which words. Pure; whoever sends them records how that went.

A notice is derived from an entry, so none is lost: killed between the sending and its record, it is sent once more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from headgate.alarm import Alarmed, AlarmOverdue
from headgate.entry import Entry
from headgate.markdown import plain
from headgate.oversight import Event, Notify
from headgate.records import ApprovalRequested, Halted, Promoted, record_of
from headgate.story import sentence
from headgate.watch import Escalated, Notified, Reminded

EVENTS: Mapping[str, Event] = {
    "approval_requested": "asked",
    "reminded": "reminded",
    "escalated": "escalated",
    "approved": "approved",
    "rejected": "rejected",
    "promoted": "promoted",
    "halted": "halted",
    "rolled_back": "rolled_back",
    "incident": "incident",
    "alarmed": "incident",
    "alarm_overdue": "overdue",
}
"""The kinds of entry that people are told of, and what that is called to them; see `event_of`."""

MOST_TRIES = 3
"""A channel that failed so often for one entry is not tried again."""


@dataclass(frozen=True)
class Notice:
    """One message to send: about which entry, by which line of the communication plan, in which words."""

    about: int
    event: Event
    line: Notify
    subject: str
    body: str

    def outcome(self, failure: str | None) -> Notified:
        """The record of how the sending went. Args: failure: the kind of it, None if it was sent."""
        return Notified(
            about=self.about,
            event=self.event,
            audience=self.line.audience,
            channel=self.line.channel,
            template=self.line.template,
            outcome="sent" if failure is None else "failed",
            detail=failure or "",
        )


def due(entries: Iterable[Entry], plan_of: Callable[[str | None], tuple[Notify, ...]]) -> tuple[Notice, ...]:
    """The messages that are still to be sent, oldest first.

    Args:
        entries: those of one sound ledger, all of them.
        plan_of: the communication plan for a release, or for the model where an entry belongs to none.
    """
    told = list(entries)
    tries = _tries(told)
    return tuple(
        _notice(entry, line)
        for entry in told
        if entry.kind in EVENTS
        for line in plan_of(_release(entry))
        if event_of(entry) in line.events and 0 <= tries.get((entry.seq, line.channel), 0) < MOST_TRIES
    )


def event_of(entry: Entry) -> Event:
    """What an entry of `EVENTS` is called to people."""
    return "warning" if entry.kind == "alarmed" and entry.body["severity"] == "warning" else EVENTS[entry.kind]


def _release(entry: Entry) -> str | None:
    """Whose communication plan is followed: of an alarm, that of the release which made the version."""
    told = record_of(entry.kind, dict(entry.body))
    return told.release if isinstance(told, Alarmed | AlarmOverdue) else entry.release


def _tries(told: list[Entry]) -> dict[tuple[int, str], int]:
    """How often each channel failed for each entry; less than nothing if it was sent."""
    found: dict[tuple[int, str], int] = {}
    for entry in told:
        record = record_of(entry.kind, dict(entry.body)) if entry.kind == "notified" else None
        if isinstance(record, Notified):
            at = (record.about, record.channel)
            found[at] = -MOST_TRIES if record.outcome == "sent" else found.get(at, 0) + 1
    return found


def _notice(entry: Entry, line: Notify) -> Notice:
    event = event_of(entry)
    words = _technical if line.template == "technical" else _plain
    subject, body = words(entry, event)
    return Notice(entry.seq, event, line, plain(subject), "\n".join(map(plain, body)) + "\n")


def _technical(entry: Entry, event: Event) -> tuple[str, list[str]]:
    about = entry.release or entry.model
    record = record_of(entry.kind, dict(entry.body))
    facts = [f"{about}: {entry.kind}", sentence(record), f"by {entry.actor} at {entry.time}, slot {entry.seq}"]
    failures = [f"{f.verdict.name} {f.what}: {f.reason}" for f in record.failures] if isinstance(record, Halted) else []
    return f"{about} {event.replace('_', ' ')}", [*facts, *failures, f"next: {_next(entry, event)}"]


def _next(entry: Entry, event: Event) -> str:
    if event in ("asked", "reminded", "escalated"):
        return f"headgate approve {entry.release} --role ROLE --key KEY"
    if entry.kind in ("alarmed", "alarm_overdue"):
        return f"headgate respond {entry.model}"
    if event == "incident":
        return f"headgate guard {entry.model}"
    return f"headgate status {entry.release}" if entry.release else f"headgate history {entry.model}"


def _plain(entry: Entry, event: Event) -> tuple[str, list[str]]:
    name = entry.model
    subject, words = _spoken(entry, event)
    return subject.format(name=name), [words.format(name=name), *_more(entry)]


def _spoken(entry: Entry, event: Event) -> tuple[str, str]:
    if entry.body.get("serves"):
        return _PARTLY
    return _IN_USE if (entry.kind, event) == ("alarmed", "incident") else _WORDS[event]


def _more(entry: Entry) -> list[str]:
    record = record_of(entry.kind, dict(entry.body))
    if isinstance(record, Promoted) and record.serves is not None:
        return [f"It is used for: {record.serves}. Everybody else is served as before."]
    if isinstance(record, ApprovalRequested):
        about = "" if record.stage is None else f"It is about more people than before: {record.stage}. "
        return [f"{about}Asked are: {', '.join(record.roles)}. The answer is needed by {record.expires[:10]}."]
    if isinstance(record, Reminded):
        return [f"Still to answer: {', '.join(record.missing)}."]
    if isinstance(record, Escalated):
        return [f"{record.to} may now answer instead of {record.role}."]
    return []


_PARTLY = ("{name}: a new version is tried out", "A new version of {name} is in use for some, before it is for all.")

_WORDS: Mapping[Event, tuple[str, str]] = {
    "asked": (
        "{name}: a new version waits for a decision",
        "A new version of {name} was tested as agreed beforehand and did what was asked of it. People now decide.",
    ),
    "reminded": ("{name}: a decision is still open", "A new version of {name} still waits for a decision."),
    "escalated": ("{name}: a decision was passed on", "A decision about {name} was not made in time."),
    "approved": ("{name}: somebody agreed", "One of the people who were asked agreed to the new version of {name}."),
    "rejected": (
        "{name}: somebody declined",
        "One of the people who were asked declined the new version of {name}. The present version stays in use.",
    ),
    "promoted": ("{name}: a new version is in use", "From now on a new version of {name} is in use."),
    "halted": (
        "{name}: a new version was stopped",
        "A new version of {name} did not get all that it needs and was stopped. The present version stays in use.",
    ),
    "rolled_back": (
        "{name}: the earlier version is in use again",
        "The newest version of {name} was taken out of use, and the earlier one is back.",
    ),
    "incident": (
        "{name}: something was changed outside of the agreed way",
        "Somebody changed which version of {name} is in use, outside of the agreed way. It is being looked into.",
    ),
    "warning": (
        "{name}: something has changed",
        "What {name} is asked, or what it answers, has changed. It stays in use, and people look into it.",
    ),
    "overdue": (
        "{name}: nobody has answered yet",
        "Something went wrong with {name}, and nobody has begun with the steps that were agreed for it.",
    ),
}

_IN_USE = (
    "{name}: something went wrong in use",
    "{name} does not work in use as was agreed. The steps that were agreed for this are being taken.",
)
