"""A release: one attempt to take one candidate through every step, as its records tell it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC
from typing import Literal, TypeVar

from headgate.entry import moment
from headgate.errors import BadInput
from headgate.phase import Soaked, Terms
from headgate.record import Record
from headgate.records import (
    ApprovalRequested,
    Approved,
    Evaluated,
    Halted,
    Packaged,
    Promoted,
    PromotionStarted,
    Registered,
    Rejected,
    Requested,
    Snapshot,
    Trained,
    Validated,
)
from headgate.verdict import Verdict
from headgate.waived import Waived

STEPS: tuple[type[Record], ...] = (
    Requested,
    Snapshot,
    Validated,
    Trained,
    Registered,
    Evaluated,
    Packaged,
    ApprovalRequested,
)
"""The steps that a release takes once each, in this order, before people and the promotion."""

Stage = Literal["running", "waiting", "approved", "promoting", "rolling", "promoted", "rejected", "halted"]
R = TypeVar("R", bound=Record)


def version_of(number: int | None) -> str:
    """A version in words."""
    return "no version" if number is None else f"version {number}"


@dataclass(frozen=True)
class Answer:
    """A person's signed answer, the slot and time of its record, and the slot of its withdrawal, if there is one.

    Attributes:
        stage: the stage that people were asked about; None for the release.
    """

    seq: int
    time: str
    record: Approved
    withdrawn: int | None = None
    stage: str | None = None


@dataclass(frozen=True)
class Request:
    """People were asked: the slot and time of the record."""

    seq: int
    time: str
    record: ApprovalRequested


@dataclass(frozen=True)
class Reached:
    """A stage that the release has reached: the slot and time of its promotion, and how it soaked, once it has."""

    seq: int
    time: str
    record: Promoted
    soaked: Soaked | None = None


@dataclass(frozen=True)
class Waiver:
    """A recorded waiver: the slot and time of its record, and the slot of its revocation, if there is one."""

    seq: int
    time: str
    record: Waived
    revoked: int | None = None

    def stands(self, at: str) -> bool:
        """Whether it is neither revoked nor over at a time of the ledger; its last day, in UTC, belongs to it."""
        return self.revoked is None and moment(at).astimezone(UTC).date() <= self.record.until

    def told(self) -> str:
        """What it excuses, until when, who signed it and why, in one line."""
        said = self.record
        people = " and ".join(f"{p.person} as {p.role}" for p in said.people)
        where = "" if said.slice is None else f" in {said.slice}"
        terms = f"up to {said.covers}, until {said.until}, by {people} (slot {self.seq})"
        return f"{said.gate}{where}, {terms}: {said.reason}"


@dataclass(frozen=True)
class Release:
    """One attempt to take one candidate through every step.

    Attributes:
        waivers: those that its gates were judged with, as they stood then.
        judged: when the gates were judged. requests: that people were asked, for the release and then for stages.
        reminders, deputies: since the last of them, how often people were reminded, and of roles that did not answer in
            time the role that may answer for each.
        started: the promotion that is open, or the last one. reached: the stages, in order. promoted: the last stage.
    """

    id: str
    opened: str
    taken: tuple[Record, ...]
    answers: tuple[Answer, ...] = ()
    waivers: tuple[Waiver, ...] = ()
    halted: Halted | None = None
    started: PromotionStarted | None = None
    promoted: Promoted | None = None
    judged: str | None = None
    requests: tuple[Request, ...] = ()
    reached: tuple[Reached, ...] = ()
    reminders: int = 0
    deputies: Mapping[str, str] = field(default_factory=dict)

    def find(self, kind: type[R]) -> R | None:
        """The record of a step, or None if the step has not been taken."""
        return next((record for record in self.taken if isinstance(record, kind)), None)

    def step(self, kind: type[R]) -> R:
        """The record of a step that must have been taken.

        Raises:
            BadInput: it has not.
        """
        found = self.find(kind)
        if found is None:
            raise BadInput(
                f"release {self.id}",
                got=f"no '{kind.__name__}' yet",
                expected="the step to be done",
                next_step=f"continue it with `headgate release --resume {self.id}`",
            )
        return found

    @property
    def is_open(self) -> bool:
        """Whether anything may still happen to it."""
        return self.halted is None and self.promoted is None

    @property
    def asked(self) -> ApprovalRequested | None:
        """What people were asked last; None if they were not."""
        return self.requests[-1].record if self.requests else None

    @property
    def request(self) -> Request:
        """That people were asked, the last time.

        Raises:
            BadInput: nobody was asked yet.
        """
        if not self.requests:
            self.step(ApprovalRequested)
        return self.requests[-1]

    @property
    def question(self) -> ApprovalRequested:
        """What people were asked last. Raises BadInput if nobody was asked yet."""
        return self.request.record

    def judged_at(self, answer: Answer, now: str) -> str:
        """When an answer must count: now, or, once it has led to a promotion, when it was given.

        A key that ran out later made no difference; one that was revoked is not in the list of signers any more.
        """
        return answer.time if self.used(answer.stage) else now

    def answered(self, answer: Answer) -> Request:
        """What an answer of this release is about."""
        return next(request for request in self.requests if request.record.stage == answer.stage)

    @property
    def rollout(self) -> tuple[Terms, ...]:
        """The stages that people were told of, in order; empty where there was only one."""
        return self.requests[0].record.rollout if self.requests else ()

    @property
    def here(self) -> Terms:
        """The newest stage that it has reached. There is one once it is rolling."""
        return self.rollout[len(self.reached) - 1]

    @property
    def next_stage(self) -> Terms | None:
        """The stage that comes next; None after the last one, or where there was only one."""
        return next(iter(self.rollout[len(self.reached) :]), None)

    @property
    def serves(self) -> str | None:
        """Whom the next stage serves, in words; None for the last one, or where there is only one."""
        due = self.next_stage
        return None if due is None or due == self.rollout[-1] else due.who

    def next_alias(self, only: str) -> str:
        """The alias of the next stage; `only`, where there is no further one, or people were told of no stages."""
        return self.next_stage.alias if self.next_stage else only

    def last_alias(self, only: str) -> str:
        """The alias of the last stage; `only`, where people were told of no stages."""
        return self.rollout[-1].alias if self.rollout else only

    @property
    def is_rolling(self) -> bool:
        """Whether it has reached a stage, and not yet the last one."""
        return bool(self.reached) and self.is_open

    def used(self, stage: str | None) -> bool:
        """Whether the approvals of a stage, or for None of the release, have led to a promotion."""
        return any(stage in (None, terms.name) for terms in self.rollout[: len(self.reached)])

    @property
    def approvals(self) -> tuple[Answer, ...]:
        """The answers that agree, and were not taken back; those for earlier stages too."""
        return tuple(a for a in self.answers if a.withdrawn is None and not isinstance(a.record, Rejected))

    @property
    def agreed(self) -> tuple[Answer, ...]:
        """The approvals of what people were asked last."""
        return tuple(a for a in self.approvals if self.asked is not None and a.stage == self.asked.stage)

    @property
    def missing(self) -> dict[str, int]:
        """How many approvals each role still owes to what was asked last; empty when the quorum is complete."""
        owed = {role: n - self._given(role) for role, n in (self.asked.roles if self.asked else {}).items()}
        return {role: n for role, n in owed.items() if n > 0}

    def _given(self, role: str) -> int:
        """How many people agreed in a role, or for it; whoever did both, or with one key under two names, is one."""
        roles = {role, self.deputies.get(role, role)}
        given = [a.record for a in self.agreed if a.record.role in roles]
        keys = {record.key or record.person.casefold() for record in given}
        return min(len({record.person.casefold() for record in given}), len(keys))

    @property
    def speaking(self) -> tuple[str, ...]:
        """The roles that may answer: those that were asked, and those that may answer for one of them."""
        return tuple(dict.fromkeys((*(self.asked.roles if self.asked else ()), *self.deputies.values())))

    @property
    def is_rejected(self) -> bool:
        """Whether a person declined."""
        return any(isinstance(a.record, Rejected) for a in self.answers)

    @property
    def is_refused(self) -> bool:
        """Whether the data gate, the gates or a person said anything but yes, and no waiver excuses it."""
        data = [record.verdict for record in self.taken if isinstance(record, Validated)]
        gates = [record.standing for record in self.taken if isinstance(record, Evaluated)]
        return self.is_rejected or any(verdict is not Verdict.PASS for verdict in (*data, *gates))

    @property
    def stage(self) -> Stage:
        """Where the release stands, in one word."""
        if self.halted is not None:
            return "halted"
        if self.promoted is not None:
            return "promoted"
        if self.started is not None:
            return "promoting"
        return self._before_promotion

    @property
    def _before_promotion(self) -> Stage:
        if self.is_rejected:
            return "rejected"
        if self.asked is None:
            return "running"
        if self.used(self.asked.stage):
            return "rolling"
        return "waiting" if self.missing else "approved"

    def due(self, step: type[Record]) -> bool:
        """Whether `step` is the next thing to do: the steps in their order, then the promotion, then nothing.

        Once something said no, a halt is the only thing that is due.
        """
        if not self.is_open or self.is_refused:
            return self.is_open and step is Halted
        if step is Promoted:
            return self.stage in ("approved", "promoting")
        if step is Soaked:
            return self.stage == "rolling"
        return len(self.taken) < len(STEPS) and STEPS[len(self.taken)] is step
