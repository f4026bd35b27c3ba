"""The rules of what is watched of a version in use: rules 17 to 21 of `headgate.state`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from headgate.alarm import AlarmClosed, Alarmed, AlarmOverdue, Drilled, Monitored, StepTaken
from headgate.entry import Entry, moment
from headgate.record import Record
from headgate.records import Packaged
from headgate.standing import Alarm, State, demand

_ROUNDING = 1.0
"""Seconds by which the times of a drill may be longer together than it took, since each is rounded."""


def _look(state: State, entry: Entry, record: Monitored) -> State:
    demand(state.maker(record.version) is not None, entry, "a version that a release registered")
    demand(state.aliases.get(record.alias) == record.version, entry, "the version behind the alias")
    before = state.looks.get(record.version)
    demand(record.look == (before.look if before else 0) + 1, entry, "the next look at this version")
    demand(moment(record.due) > moment(record.until), entry, "a next look after this one")
    return replace(state, looks={**state.looks, record.version: record})


def _alarm(state: State, entry: Entry, record: Alarmed) -> State:
    look, maker = state.looks.get(record.version), state.maker(record.version)
    of_it = look is not None and look.findings == record.findings and maker is not None and maker.id == record.release
    demand(of_it, entry, "an alarm of the newest look at a version, by its release")
    open_ones = {(alarm.record.version, alarm.record.check) for alarm in state.alarms.values()}
    demand((record.version, record.check) not in open_ones, entry, "one open alarm per version and check")
    return replace(state, alarms={**state.alarms, entry.seq: Alarm(entry.seq, entry.time, record)})


def _step(state: State, entry: Entry, record: StepTaken) -> State:
    alarm = _open(state, entry, record.alarm)
    demand(record.step not in {taken.step for taken in alarm.steps}, entry, "a step that was not taken yet")
    return _with(state, replace(alarm, steps=(*alarm.steps, record)))


def _remind(state: State, entry: Entry, record: AlarmOverdue) -> State:
    alarm = _open(state, entry, record.alarm)
    said = (alarm.record.release, alarm.record.check, alarm.record.respond_by)
    demand(said == (record.release, record.check, record.respond_by), entry, "what the alarm says")
    late = alarm.record.respond_by is not None and moment(entry.time) > moment(alarm.record.respond_by)
    demand(late and not alarm.steps and not alarm.overdue, entry, "an incident that nobody answered in time, once")
    return _with(state, replace(alarm, overdue=True))


def _close(state: State, entry: Entry, record: AlarmClosed) -> State:
    alarm = _open(state, entry, record.alarm)
    demand(alarm.record.check == record.check, entry, "the alarm's check")
    demand(record.who is not None or alarm.record.severity == "warning", entry, "a person who closes an incident")
    return replace(state, alarms={slot: a for slot, a in state.alarms.items() if slot != record.alarm})


def _drill(state: State, entry: Entry, record: Drilled) -> State:
    release = state.releases.get(record.release)
    demand(release is not None and release.find(Packaged) is not None, entry, "the plan of a release that was packaged")
    passed = (moment(entry.time) - moment(record.started)).total_seconds()
    demand(sum(record.seconds) <= passed + _ROUNDING, entry, f"no more than the {passed:.0f} seconds that have passed")
    return state


def _open(state: State, entry: Entry, slot: int) -> Alarm:
    demand(slot in state.alarms, entry, "an open alarm")
    return state.alarms[slot]


def _with(state: State, alarm: Alarm) -> State:
    return replace(state, alarms={**state.alarms, alarm.seq: alarm})


def _alone(rule: Callable[[State, Entry, Any], State]) -> Callable[[State, Entry, Any], State]:
    def ruled(state: State, entry: Entry, record: Record) -> State:
        demand(entry.release is None, entry, "an entry of no release")
        return rule(state, entry, record)

    return ruled


RULES: Mapping[type[Record], Callable[[State, Entry, Any], State]] = {
    Monitored: _alone(_look),
    Alarmed: _alone(_alarm),
    StepTaken: _alone(_step),
    AlarmOverdue: _alone(_remind),
    AlarmClosed: _alone(_close),
    Drilled: _alone(_drill),
}
"""What each kind of record makes of a state. Raises Tampered where a rule is broken."""
