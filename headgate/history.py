"""What was live when, by whom and why: the spans of an alias, from the entries of a ledger and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from headgate.entry import Entry, moment
from headgate.records import KINDS, Approved, Promoted, PromotionStarted, Rejected, record_of
from headgate.watch import Incident, IncidentClosed, RollbackStarted, RolledBack

MOVING = "being moved"
"""The doubt about an alias between the intention to move it and the record that it was."""


_TOLD = frozenset(KINDS[kind] for kind in (Promoted, RolledBack, Incident, IncidentClosed))


@dataclass(frozen=True)
class Doubt:
    """A time in which the registry may have shown another version than the ledger.

    Attributes:
        slot: of the entry that opened it. shown: what was found; None for none.
        since, until: when it was recorded and when it ended; None while it lasts.
    """

    slot: int
    why: str
    shown: int | None
    since: str
    until: str | None = None


@dataclass(frozen=True)
class Span:
    """A time in which an alias pointed to one version.

    Attributes:
        slot: of the entry that began it. since, until: RFC 3339 in UTC; `until` is None while it lasts.
        release: the release that was promoted; None after a rollback.
        people: who agreed, each with the role, or who rolled back.
        why: the promotion's or the rollback's reason.
        doubts: what the registry showed meanwhile, and windows in which it was being moved.
        serves: of a stage before the last one, whom it serves, in words, where that is known.
    """

    alias: str
    version: int
    slot: int
    since: str
    until: str | None
    release: str | None
    people: tuple[str, ...]
    why: str
    doubts: tuple[Doubt, ...] = ()
    serves: str | None = None

    def covers(self, at: str) -> bool:
        """Whether a time, RFC 3339 with a zone, lies in it; its end belongs to the next one."""
        when = moment(at)
        return moment(self.since) <= when and (self.until is None or when < moment(self.until))


def spans(entries: Iterable[Entry]) -> tuple[Span, ...]:
    """All spans of all aliases, in the order in which they began. The entries are those of one sound ledger."""
    told = list(entries)
    begun: dict[str, Span] = {}
    ended: list[Span] = []
    for entry in (e for e in told if e.kind in _TOLD):
        record = record_of(entry.kind, dict(entry.body))
        if isinstance(record, Promoted | RolledBack):
            if record.alias in begun:
                ended.append(replace(begun.pop(record.alias), until=entry.time))
            if record.new is not None:
                begun[record.alias] = _span(told, entry, record, record.new)
        elif isinstance(record, Incident):
            _doubt(begun, record.alias, Doubt(entry.seq, record.why, record.shown, entry.time))
        elif isinstance(record, IncidentClosed):
            _settle(begun, record, entry.time)
    return tuple(sorted((*ended, *begun.values()), key=lambda span: span.slot))


def live(entries: Iterable[Entry], at: str) -> Mapping[str, Span]:
    """The span of each alias at a time; an alias that pointed nowhere is absent."""
    return {span.alias: span for span in spans(entries) if span.covers(at)}


def _span(told: list[Entry], entry: Entry, record: Promoted | RolledBack, version: int) -> Span:
    start = told[record.started]
    intention = record_of(start.kind, dict(start.body))
    back = intention.reason if isinstance(intention, RollbackStarted) else None
    people = (start.actor,) if back is not None else tuple(_people(told, intention))
    why = f"rolled back: {back}" if back is not None else "every gate passed or is waived, and the quorum agreed"
    window = Doubt(start.seq, MOVING, None, start.time, entry.time)
    serves = record.serves if isinstance(record, Promoted) else None
    return Span(record.alias, version, entry.seq, entry.time, None, entry.release, people, why, (window,), serves)


def _people(told: list[Entry], intention: object) -> Iterable[str]:
    for slot in intention.approvals if isinstance(intention, PromotionStarted) else ():
        given = record_of(told[slot].kind, dict(told[slot].body))
        if isinstance(given, Approved) and not isinstance(given, Rejected):
            yield f"{given.person} as {given.role}"


def _doubt(begun: dict[str, Span], alias: str, doubt: Doubt) -> None:
    if alias in begun:
        begun[alias] = replace(begun[alias], doubts=(*begun[alias].doubts, doubt))


def _settle(begun: dict[str, Span], record: IncidentClosed, time: str) -> None:
    if record.alias in begun:
        span = begun[record.alias]
        doubts = tuple(replace(d, until=time) if d.slot == record.incident else d for d in span.doubts)
        begun[record.alias] = replace(span, doubts=doubts)
