"""Alert: raise the alarms that a look calls for, end warnings that are over, remind, and go back where a plan says so.

All of it is derived from the ledger, so none is lost: whoever looks next does what a dead process left.
"""

from __future__ import annotations

from contextlib import suppress
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


def follow(desk: Desk) -> list[str]:
    """Do whatever the newest looks demand and nobody has done yet, also what a process left that died after a look."""
    done = [*_raise_alarms(desk), *_close_warnings(desk), *_remind(desk)]
    for alarm in desk.state().alarms.values():
        if alarm.record.response == "retreat":
            told = retreat(desk.home.root, desk.model, alarm.record.version, alarm.record.reason)
            done += [told] if told else []
    return done


def retreat(home: Path, model: str, version: int, reason: str) -> str | None:
    """Take every alias from a version, if any points to it. What was done, in a sentence; None if there was nothing.

    A rollout of it ends; else its aliases get the versions that they had before. No evaluation and no approval.
    """
    desk = Desk(home, model)
    maker = desk.state().maker(version)
    if maker is None or not (held := desk.state().reaches(maker)):
        return None
    why = plain(reason)[:_MOST]
    try:
        if maker.is_rolling:
            call_off(desk, maker, why=why, who=WHO)
        else:
            take_back(desk, client(desk.home), maker, why=why, who=WHO)
    except HeadgateError as error:
        return f"version {version} is still in use: {error}"
    now_ = desk.state().aliases
    told = ", ".join(f"'{alias}' is {version_of(now_.get(alias))}" for alias in held)
    return f"version {version} was taken back: {told}"


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
                if _written(desk, record):
                    done.append(f"{record.severity} of version {version}, {check}: {record.reason}")
    return done


def _alarmed(ledger: Ledger, look: Monitored) -> set[str]:
    """The checks of a look of which an alarm was raised, whether it is open or not."""
    bodies = [entry.body for entry in ledger.entries if entry.kind == KINDS[Alarmed]]
    return {str(body["check"]) for body in bodies if body["findings"] == look.findings}


def _written(desk: Desk, record: Alarmed) -> bool:
    """Whether the alarm was recorded: not if one is open already, or if there was another look meanwhile."""

    def decided(_: Ledger, state: State) -> tuple[None, Record]:
        open_ones = {(alarm.record.version, alarm.record.check) for alarm in state.alarms.values()}
        newest = state.looks[record.version].findings == record.findings
        if not newest or (record.version, record.check) in open_ones:
            raise SlotTaken("alarm", got="one that is open", expected="none", next_step="see `headgate respond`")
        return None, record

    with suppress(SlotTaken):
        desk.decide(decided)
        return True
    return False


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
    state = desk.state()
    found = [(alarm, _over(desk, state, alarm)) for alarm in state.alarms.values()]
    return [told for alarm, reason in found if reason and (told := _closed(desk, alarm, reason))]


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


def _closed(desk: Desk, alarm: Alarm, reason: str) -> str:
    record = AlarmClosed(alarm=alarm.seq, check=alarm.record.check, who=None, reason=reason)
    desk.decide(lambda _, state: (None, record))
    return f"warning of version {alarm.record.version}, {record.check}, is over: {reason}"


def _remind(desk: Desk) -> list[str]:
    done = []
    for alarm in desk.state().alarms.values():
        said = alarm.record
        late = said.respond_by is not None and moment(said.respond_by) < moment(now())
        if late and said.respond_by is not None and not alarm.steps and not alarm.overdue:
            record = AlarmOverdue(alarm=alarm.seq, release=said.release, check=said.check, respond_by=said.respond_by)
            desk.write(None, record)
            done.append(f"nobody answered {said.check} of version {said.version} by {said.respond_by}")
    return done


def _mandate(desk: Desk, state: State, version: int) -> Mandate:
    maker = state.maker(version)
    assert maker is not None  # noqa: S101 - only what a release registered is looked at
    return mandate(maker, desk.evidence.get)
