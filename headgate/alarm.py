"""What is recorded of a version in use: each look at it, each alarm, what people did about it, and how it ended."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from headgate.entry import Digest
from headgate.record import Record, Time
from headgate.verdict import NamedVerdict

Step = Annotated[int, Field(ge=1)]


class Monitored(Record):
    """A version was looked at by the monitoring plan of its package.

    Attributes:
        look: the how manieth at this version, from 1.
        plan, incidents: the digests of both plans, as the package's manifest has them.
        until: the end of the windows. due: when the plan wants the next look.
        findings: a `headgate.vigil.Vigil`, which names the profiles and tallies it was made of.
        reference: with what it was compared; None if that could not be made.
    """

    version: int
    alias: str
    look: Annotated[int, Field(ge=1)]
    plan: Digest
    incidents: Digest
    until: Time
    due: Time
    verdict: NamedVerdict
    findings: Digest
    reference: Digest | None


class Alarmed(Record):
    """A check of the newest look found harm, or the plans themselves were not what was packaged.

    Attributes:
        release: who made the version. check: its name in the plan, or `headgate.vigil.PLAN`.
        playbook: the situation of the incident plan whose steps are due.
        respond_by: until when a person must have begun; None for a warning.
        response: whether the version before was to be brought back at once.
    """

    version: int
    release: str
    check: str
    severity: Literal["warning", "incident"]
    playbook: str
    response: Literal["tell", "retreat"] = "tell"
    reason: str
    plan: Digest
    incidents: Digest
    findings: Digest
    respond_by: Time | None

    @model_validator(mode="after")
    def _answered(self) -> Alarmed:
        if (self.severity == "incident") != (self.respond_by is not None):
            raise ValueError("an incident is answered until a time, and a warning is not")
        return self


class StepTaken(Record):
    """A person did a step of an alarm's playbook. `alarm` is the slot of the alarm; steps count from 1."""

    alarm: int
    step: Step
    of: str
    who: str
    note: str


class AlarmOverdue(Record):
    """Nobody did a step of an incident's playbook in time. `alarm` is its slot."""

    alarm: int
    release: str
    check: str
    respond_by: Time


class AlarmClosed(Record):
    """An alarm is over.

    Attributes:
        alarm: its slot. who: the person who says so; None if the check passes again, or the version is used no more.
    """

    alarm: int
    check: str
    who: str | None
    reason: str


class Drilled(Record):
    """People went through a playbook on purpose, and it was timed. It is no alarm.

    Attributes:
        release: whose incident plan was followed; `incidents` is its digest.
        situation: the playbook. started: when the first step was shown.
        steps: what the plan says, in order. seconds: how long each took. notes: what was found; may be empty.
    """

    release: str
    incidents: Digest
    situation: str
    started: Time
    steps: Annotated[tuple[str, ...], Field(min_length=1)]
    seconds: tuple[Annotated[float, Field(ge=0)], ...]
    notes: tuple[str, ...]
    who: str

    @model_validator(mode="after")
    def _each_timed(self) -> Drilled:
        if not len(self.steps) == len(self.seconds) == len(self.notes):
            raise ValueError("each step has its time and its note")
        return self
