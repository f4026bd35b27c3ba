"""What is recorded beside a release's own steps: aliases that went back or were moved, people who are awaited."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from headgate.record import Record, TakenBack

Response = Literal["restore", "freeze"]
"""What is done about an alias that somebody else moved: put it back, or stop and leave it to a person."""


class RollbackStarted(Record):
    """The intention to move an alias back to a version that it had before. It belongs to no release.

    Attributes:
        new: None to take the alias away: who was served by a stage that had no version before is served the last
            stage's.
    """

    alias: str
    old: int
    new: int | None
    reason: str


class RolledBack(Record):
    """The alias was moved back, or taken away, and read back. `started` is the slot of the intention."""

    alias: str
    old: int
    new: int | None
    started: int


class Incident(Record):
    """The registry shows an alias elsewhere than the ledger says: somebody else moved, deleted or made it.

    Attributes:
        recorded, shown: the version by the ledger and in the registry; None for none.
        why: what made this response the one to give.
    """

    alias: str
    recorded: int | None
    shown: int | None
    response: Response
    why: str


class IncidentClosed(Record):
    """The registry shows again what the ledger says. `incident` is the slot of the incident."""

    incident: int
    alias: str
    now: int | None
    how: str


class Reminded(Record):
    """A release waits for so many people per role, and they are to be told again."""

    missing: Annotated[dict[str, Annotated[int, Field(ge=1)]], Field(min_length=1)]


class Escalated(Record):
    """Nobody answered as `role` in time: from here on an answer as `to` counts for it."""

    role: str
    to: str


class Withdrawn(TakenBack):
    """A person took their approval back, by a signature. `answer` is its slot."""

    answer: int


class Notified(Record):
    """People were told about an entry, or could not be. It decides nothing.

    Attributes:
        about: the slot of the entry. event: what it was called to them.
        audience, channel, template: those of the policy.
        detail: of a failure the kind of it. Never an address: it may hold a secret.
    """

    about: int
    event: str
    audience: str
    channel: str
    template: Literal["technical", "plain"]
    outcome: Literal["sent", "failed"]
    detail: str = ""
