"""Attend: what people do about an alarm: the steps of its playbook, as its own package has them, and its end."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from headgate.alarm import AlarmClosed, StepTaken
from headgate.errors import BadInput
from headgate.mandate import Mandate, mandate
from headgate.standing import Alarm
from tasks.record import Desk, demand_lines


@dataclass(frozen=True)
class Called:
    """An open alarm, with the plan by which it is answered."""

    alarm: Alarm
    mandate: Mandate

    @property
    def steps(self) -> tuple[str, ...]:
        """What is to be done, in order."""
        return self.mandate.steps(self.alarm.record.playbook)

    @property
    def owner(self) -> str:
        """Who answers for it: by the incident plan, or where that says nothing whoever owns the model."""
        stated = self.mandate.answering.incidents
        return stated.owner if stated else self.mandate.answering.owner


def called(desk: Desk, slot: int | None = None) -> tuple[Called, ...]:
    """The open alarms of a model, or one of them.

    Raises:
        BadInput: there is no such open alarm.
    """
    state = desk.state()
    if slot is not None and slot not in state.alarms:
        raise _unfit(desk.model, f"no open alarm in slot {slot}", f"one of {sorted(state.alarms) or 'none'}")
    alarms = [alarm for alarm in state.alarms.values() if slot in (None, alarm.seq)]
    return tuple(Called(alarm, _mandate(desk, alarm)) for alarm in alarms)


def step(home: Path, model: str, slot: int, number: int, *, note: str, who: str) -> None:
    """Record that a step of an alarm's playbook was done.

    Raises:
        BadInput: there is no such alarm or step, it was done already, or the note is no line.
    """
    desk = Desk(home, model)
    (one,) = called(desk, slot)
    if not 1 <= number <= len(one.steps):
        raise _unfit(model, f"step {number}", f"one from 1 to {len(one.steps)} of '{one.alarm.record.playbook}'")
    if number in {taken.step for taken in one.alarm.steps}:
        raise _unfit(model, f"step {number}, which was done", "one that was not")
    demand_lines(*_about(model), note=note, who=who)
    record = StepTaken(alarm=slot, step=number, of=one.steps[number - 1], who=who, note=note)
    desk.write(None, record, actor=who)


def close(home: Path, model: str, slot: int, *, reason: str, who: str) -> None:
    """Record that an alarm is over.

    Raises:
        BadInput: there is no such alarm, or the reason is no line.
    """
    desk = Desk(home, model)
    (one,) = called(desk, slot)
    demand_lines(*_about(model), reason=reason, who=who)
    desk.write(None, AlarmClosed(alarm=slot, check=one.alarm.record.check, who=who, reason=reason), actor=who)


def _mandate(desk: Desk, alarm: Alarm) -> Mandate:
    return mandate(desk.release(alarm.record.release), desk.evidence.get)


def _about(model: str) -> tuple[str, str]:
    """What errors speak of, and what to do next."""
    return f"alarm of {model}", f"see `headgate respond {model}`"


def _unfit(model: str, got: str, expected: str) -> BadInput:
    subject, next_step = _about(model)
    return BadInput(subject, got=got, expected=expected, next_step=next_step)
