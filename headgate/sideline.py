"""The rules of what happens beside a release's own steps: rules 10 to 14 of `headgate.state`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from headgate.entry import Entry
from headgate.record import Record
from headgate.records import PromotionUndone
from headgate.release import Answer, Release
from headgate.standing import Intention, State, demand, with_release
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


def _start(state: State, entry: Entry, record: RollbackStarted) -> State:
    demand(entry.release is None, entry, "an entry of no release")
    demand(state.intention is None, entry, "no other open intention")
    demand(record.old == state.aliases.get(record.alias), entry, "the alias as the ledger has it")
    before = (*state.behind.get(record.alias, ()), *([None] if state.is_early(record.alias) else []))
    demand(record.new in before, entry, "a version that the alias had before this one")
    return replace(state, intention=Intention(entry.seq, entry.time, None, record))


def _finish(state: State, entry: Entry, record: RolledBack) -> State:
    demand(entry.release is None and _settles(state.intention, record), entry, "the open rollback")
    left = {alias: version for alias, version in state.aliases.items() if alias != record.alias}
    if record.new is None:
        return replace(state, intention=None, aliases=left)
    behind = state.behind[record.alias]
    return replace(
        state,
        intention=None,
        aliases={**state.aliases, record.alias: record.new},
        behind={**state.behind, record.alias: behind[: behind.index(record.new)]},
    )


def undo(state: State, entry: Entry, record: PromotionUndone) -> State:
    """The state after a rollback was given up. Raises Tampered where a rule is broken."""
    intention = state.intention
    ours = intention is not None and (intention.seq, intention.release) == (record.started, None)
    demand(ours and record.now == state.aliases.get(record.alias), entry, "the open rollback, and the alias as it was")
    return replace(state, intention=None)


def _settles(intention: Intention | None, record: RolledBack) -> bool:
    if intention is None or not isinstance(intention.record, RollbackStarted):
        return False
    begun = intention.record
    return (record.started, record.alias, record.old, record.new) == (intention.seq, begun.alias, begun.old, begun.new)


def _incident(state: State, entry: Entry, record: Incident) -> State:
    demand(entry.release is None, entry, "an entry of no release")
    demand(record.recorded == state.aliases.get(record.alias), entry, "the alias as the ledger has it")
    demand(record.shown != record.recorded, entry, "an alias that is not where the ledger has it")
    demand(record.alias not in state.disputed, entry, "one open incident per alias")
    return replace(state, incidents={**state.incidents, entry.seq: record})


def _close(state: State, entry: Entry, record: IncidentClosed) -> State:
    known = state.incidents.get(record.incident)
    demand(known is not None and known.alias == record.alias, entry, "an open incident of this alias")
    demand(record.now == state.aliases.get(record.alias), entry, "the alias where the ledger has it")
    left = {slot: open_one for slot, open_one in state.incidents.items() if slot != record.incident}
    times = (*state.restores.get(record.alias, ()), entry.time)
    return replace(state, incidents=left, restores={**state.restores, record.alias: times})


def _remind(state: State, entry: Entry, record: Reminded) -> State:
    release = _waiting(state, entry)
    demand(record.missing == release.missing, entry, f"{release.missing}, which is missing")
    return with_release(state, replace(release, reminders=release.reminders + 1))


def _escalate(state: State, entry: Entry, record: Escalated) -> State:
    release = _waiting(state, entry)
    demand(record.role in release.missing, entry, f"a role that still owes an answer: {sorted(release.missing)}")
    demand(record.role not in release.deputies, entry, "one deputy for each role")
    return with_release(state, replace(release, deputies={**release.deputies, record.role: record.to}))


def _withdraw(state: State, entry: Entry, record: Withdrawn) -> State:
    release = state.releases.get(entry.release or "")
    demand(release is not None and release.stage in ("waiting", "approved"), entry, "a release before its promotion")
    assert release is not None  # noqa: S101 - demanded above
    given = next((a for a in release.agreed if a.seq == record.answer), None)
    same = given is not None and (given.record.person, given.record.role) == (record.person, record.role)
    demand(same, entry, "an approval of this person, not taken back yet")
    return with_release(state, replace(release, answers=tuple(_taken_back(a, record, entry) for a in release.answers)))


def _taken_back(answer: Answer, record: Withdrawn, entry: Entry) -> Answer:
    return replace(answer, withdrawn=entry.seq) if answer.seq == record.answer else answer


def _note(state: State, entry: Entry, record: Notified) -> State:
    known = entry.release is None and 0 <= record.about < entry.seq
    demand(known, entry, "an entry of no release, about an earlier one")
    return state


def _waiting(state: State, entry: Entry) -> Release:
    release = state.releases.get(entry.release or "")
    demand(release is not None and release.stage == "waiting", entry, "an entry of a release that waits")
    assert release is not None  # noqa: S101 - demanded above
    return release


RULES: Mapping[type[Record], Callable[[State, Entry, Any], State]] = {
    RollbackStarted: _start,
    RolledBack: _finish,
    Incident: _incident,
    IncidentClosed: _close,
    Reminded: _remind,
    Escalated: _escalate,
    Withdrawn: _withdraw,
    Notified: _note,
}
"""What each kind of record makes of a state. Raises Tampered where a rule is broken."""
