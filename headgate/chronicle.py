"""The chronicle of a report: what was decided, who answered, what was waived and what went wrong, newest first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date

from headgate.alarm import Monitored
from headgate.entry import Entry, moment
from headgate.ledger import Ledger
from headgate.records import (
    KINDS,
    Halted,
    Packaged,
    PromotionStarted,
    Registered,
    Rejected,
    Snapshot,
    Trained,
    record_of,
)
from headgate.release import Answer, Release, Waiver
from headgate.standing import Alarm
from headgate.state import State
from headgate.story import sentence
from headgate.watch import Incident, IncidentClosed, Notified

MOST = 200
"""Decisions, and answers of people, that a page tells; of older ones it says how many there are."""

_STEPS = frozenset(
    KINDS[kind] for kind in (Snapshot, Trained, Registered, Packaged, PromotionStarted, Notified, Monitored)
)
"""What was done, and decides nothing by itself."""

_TROUBLES = frozenset(KINDS[kind] for kind in (Incident, IncidentClosed))


@dataclass(frozen=True)
class Decision:
    """An entry that decided something, in a sentence. `halted` has the arithmetic and the plan of a halt."""

    slot: int
    time: str
    kind: str
    release: str | None
    actor: str
    said: str
    halted: Halted | None


@dataclass(frozen=True)
class Reply:
    """What a person answered, and how sure it is that it was that person."""

    release: str
    person: str
    role: str
    said: str
    time: str
    assurance: str
    reason: str


@dataclass(frozen=True)
class Excuse:
    """A waiver. `stands` is ``yes``, ``over`` or ``revoked`` at the time of the report."""

    slot: int
    gate: str
    slice: str | None
    covers: str
    until: date
    stands: str
    people: tuple[str, ...]
    reason: str
    used_by: tuple[str, ...]


@dataclass(frozen=True)
class Trouble:
    """An incident: an alias was found elsewhere than the ledger has it. `until` is None while it is open."""

    slot: int
    alias: str
    recorded: int | None
    shown: int | None
    response: str
    why: str
    since: str
    until: str | None = None
    how: str | None = None


@dataclass(frozen=True)
class Bell:
    """An open alarm about a version in use. `until` is None for a warning; `late` says that nobody came in time."""

    slot: int
    version: int
    check: str
    severity: str
    playbook: str
    reason: str
    since: str
    until: str | None
    steps: int
    late: bool


@dataclass(frozen=True)
class Chronicle:
    """All of it. Of decisions and replies the newest `MOST`; how many are older is told with them."""

    decisions: tuple[Decision, ...]
    older_decisions: int
    replies: tuple[Reply, ...]
    older_replies: int
    waivers: tuple[Excuse, ...]
    incidents: tuple[Trouble, ...]
    alarms: tuple[Bell, ...]


def chronicle(ledger: Ledger, state: State, made: str) -> Chronicle:
    """What happened to a model until the time of a report."""
    decisions = [entry for entry in ledger.entries if entry.kind not in _STEPS][::-1]
    troubles = [entry for entry in ledger.entries if entry.kind in _TROUBLES]
    replies = [_reply(r, a) for r in [*state.releases.values()][::-1] for a in r.answers[::-1]]
    return Chronicle(
        decisions=tuple(map(_decision, decisions[:MOST])),
        older_decisions=max(0, len(decisions) - MOST),
        replies=tuple(replies[:MOST]),
        older_replies=max(0, len(replies) - MOST),
        waivers=tuple(_excuse(state, waiver, made) for waiver in [*state.waivers.values()][::-1]),
        incidents=tuple(_troubles(troubles)[::-1]),
        alarms=tuple(map(_bell, [*state.alarms.values()][::-1])),
    )


def clock(time: str) -> str:
    """A time of the ledger as people read it."""
    return f"{moment(time).astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _decision(entry: Entry) -> Decision:
    record = record_of(entry.kind, dict(entry.body))
    halted = record if isinstance(record, Halted) else None
    return Decision(entry.seq, entry.time, entry.kind, entry.release, entry.actor, sentence(record), halted)


def _reply(release: Release, answer: Answer) -> Reply:
    given = answer.record
    signed = f"signed with the SSH key {given.key}" if given.key else "by a click: nobody signed, the name is believed"
    declined = isinstance(given, Rejected)
    said = "declined" if declined else "agreed"
    said += "" if answer.withdrawn is None else f", and took it back in slot {answer.withdrawn}"
    reason = given.reason if isinstance(given, Rejected) else ""
    return Reply(release.id, given.person, given.role, said, answer.time, signed, reason)


def _excuse(state: State, waiver: Waiver, made: str) -> Excuse:
    said = waiver.record
    ended = "revoked" if waiver.revoked is not None else "over"
    return Excuse(
        slot=waiver.seq,
        gate=said.gate,
        slice=said.slice,
        covers=said.covers,
        until=said.until,
        stands="yes" if waiver.stands(made) else ended,
        people=tuple(f"{p.person} as {p.role}" for p in said.people),
        reason=said.reason,
        used_by=tuple(r.id for r in state.releases.values() if waiver.seq in {w.seq for w in r.waivers}),
    )


def _bell(alarm: Alarm) -> Bell:
    said = alarm.record
    return Bell(
        slot=alarm.seq,
        version=said.version,
        check=said.check,
        severity=said.severity,
        playbook=said.playbook,
        reason=said.reason,
        since=alarm.time,
        until=said.respond_by,
        steps=len(alarm.steps),
        late=alarm.overdue,
    )


def _troubles(entries: Iterable[Entry]) -> list[Trouble]:
    found: dict[int, Trouble] = {}
    for entry in entries:
        record = record_of(entry.kind, dict(entry.body))
        if isinstance(record, Incident):
            known = (record.alias, record.recorded, record.shown, record.response, record.why)
            found[entry.seq] = Trouble(entry.seq, *known, since=entry.time)
        elif isinstance(record, IncidentClosed):
            found[record.incident] = replace(found[record.incident], until=entry.time, how=record.how)
    return list(found.values())
