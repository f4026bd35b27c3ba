"""Alert: raise the alarms that a look calls for, end warnings that are over, remind, and go back where a plan says so.

All of it is derived from the ledger, so none is lost: whoever looks next does what a dead process left.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from headgate.alarm import AlarmClosed, Alarmed, AlarmOverdue, Monitored
from headgate.entry import moment
from headgate.errors import HeadgateError, SlotTaken
from headgate.ledger import Ledger
from headgate.mandate import Mandate, mandate
from headgate.markdown import plain
from headgate.record import Record
from headgate.records import KINDS
from headgate.release import version_of
from headgate.standing import Alarm
from headgate.state import State
from headgate.verdict import Verdict
from headgate.vigil import FIRST_AID, PLAN, Vigil
from tasks.connect import client
from tasks.record import Desk, now
from tasks.retreat import call_off, take_back

WHO = "monitor"
"""Who takes back what a plan demands to be taken back."""

_MOST = 1000
"""Signs of a reason that a rollback repeats; the alarm has all of them."""


@dataclass(frozen=True)
class Followed:
    """What was done, and what could not be, in sentences."""

    done: tuple[str, ...]
    stuck: tuple[str, ...]


def follow(desk: Desk) -> Followed:
    """Do whatever the newest looks demand and nobody has done yet, also what a process left that died after a look."""
    done, stuck = [*_raise_alarms(desk), *_close_warnings(desk), *_remind(desk)], []
    harmful = [alarm.record for alarm in desk.state().alarms.values() if alarm.record.response == "retreat"]
    for version, said in {said.version: said for said in harmful}.items():
        try:
            done += retreat(desk.home.root, desk.model, version, said.reason, said.playbook)
        except HeadgateError as error:
            stuck.append(f"version {version} is still in use: {error}")
    return Followed(tuple(done), tuple(stuck))


def retreat(home: Path, model: str, version: int, reason: str, playbook: str) -> tuple[str, ...]:
    """Take every alias from a version, if any points to it. What was done, in a sentence; empty if there was nothing.

    A rollout of it ends; else its aliases get the versions that they had before. No evaluation and no approval.

    Raises: as `tasks.retreat.take_back`. The next tick tries again.
    """
    desk = Desk(home, model)
    maker = desk.state().maker(version)
    if maker is None or not (held := desk.state().reaches(maker)):
        return ()
    why = plain(reason)[:_MOST]
    if maker.is_rolling:
        call_off(desk, maker, why=why, who=WHO, playbook=playbook)
    else:
        take_back(desk, client(desk.home), maker, why=why, who=WHO)
    there = desk.state().aliases
    return (f"version {version} was taken back: " + ", ".join(f"'{a}' is {version_of(there.get(a))}" for a in held),)


def _raise_alarms(desk: Desk) -> list[str]:
    ledger = desk.ledger()
    state, done = desk.state(ledger), []
    for version, look in state.looks.items():
        if version not in state.aliases.values():
            continue
        told = Vigil.from_bytes(desk.evidence.get(look.findings))
        known = _mandate(desk, state, version)
        said = _alarmed(ledger, look)
        for check in told.checks:
            if told.of(check) is (Verdict.ERROR if check == PLAN else Verdict.FAIL) and check not in said:
                record = _alarm(known, look, told, check)
                if _once(desk, record, partial(_is_new, record)):
                    done.append(f"{record.severity} of version {version}, {check}: {record.reason}")
    return done


def _alarmed(ledger: Ledger, look: Monitored) -> set[str]:
    """The checks of a look of which an alarm was raised, whether it is open or not."""
    bodies = [entry.body for entry in ledger.entries if entry.kind == KINDS[Alarmed]]
    return {str(body["check"]) for body in bodies if body["findings"] == look.findings}


def _once(desk: Desk, record: Record, holds: Callable[[State], bool]) -> bool:
    """Record what still holds, and say whether it did: another monitor, or a person, may have been first."""

    def decided(_: Ledger, state: State) -> tuple[None, Record]:
        if not holds(state):
            raise SlotTaken(KINDS[type(record)], got="somebody was first", expected="nobody", next_step="look again")
        return None, record

    with suppress(SlotTaken):
        desk.decide(decided)
        return True
    return False


def _is_new(record: Alarmed, state: State) -> bool:
    open_ones = {(alarm.record.version, alarm.record.check) for alarm in state.alarms.values()}
    newest = state.looks[record.version].findings == record.findings
    return newest and (record.version, record.check) not in open_ones


def _alarm(known: Mandate, look: Monitored, told: Vigil, name: str) -> Alarmed:
    check = known.check(name)
    severity = check.severity if check else "incident"
    return Alarmed(
        version=known.version,
        release=known.release,
        check=name,
        severity=severity,
        playbook=check.playbook if check else FIRST_AID,
        response=check.response if check else "tell",
        reason=told.reason(name),
        plan=known.plan,
        incidents=known.incidents,
        findings=look.findings,
        respond_by=known.respond_by(look.until) if severity == "incident" else None,
    )


def _close_warnings(desk: Desk) -> list[str]:
    state, done = desk.state(), []
    for alarm in state.alarms.values():
        reason, said = _over(desk, state, alarm), alarm.record
        if reason is not None:
            record = AlarmClosed(alarm=alarm.seq, check=said.check, who=None, reason=reason)
            if _once(desk, record, partial(_is_open, alarm)):
                done.append(f"warning of version {said.version}, {said.check}, is over: {reason}")
    return done


def _is_open(alarm: Alarm, state: State) -> bool:
    """Whether nobody has done anything about an alarm since it was read."""
    return state.alarms.get(alarm.seq) == alarm


def _over(desk: Desk, state: State, alarm: Alarm) -> str | None:
    """Why a warning is over by itself; None if it is not."""
    record = alarm.record
    if record.severity != "warning":
        return None
    if record.version not in state.aliases.values():
        return f"version {record.version} is used no more"
    look = state.looks[record.version]
    if look.findings == record.findings:
        return None
    told = Vigil.from_bytes(desk.evidence.get(look.findings))
    return told.reason(record.check) if told.of(record.check) is Verdict.PASS else None


def _remind(desk: Desk) -> list[str]:
    done = []
    for alarm in desk.state().alarms.values():
        said = alarm.record
        late = said.respond_by is not None and moment(said.respond_by) < moment(now())
        if late and said.respond_by is not None and not alarm.steps and not alarm.overdue:
            record = AlarmOverdue(alarm=alarm.seq, release=said.release, check=said.check, respond_by=said.respond_by)
            if _once(desk, record, partial(_is_open, alarm)):
                done.append(f"nobody answered {said.check} of version {said.version} by {said.respond_by}")
    return done


def _mandate(desk: Desk, state: State, version: int) -> Mandate:
    maker = state.maker(version)
    assert maker is not None  # noqa: S101 - only what a release registered is looked at
    return mandate(maker, desk.evidence.get)
