"""Oversight: the parts of a policy about people who are waited for and aliases that others move."""

from __future__ import annotations

import functools
from typing import Annotated, Literal
from zoneinfo import available_timezones

from pydantic import Field, model_validator

from headgate.part import Name, Part, Text

Event = Literal[
    "asked", "reminded", "escalated", "approved", "rejected", "promoted", "halted", "rolled_back", "incident",
    "warning", "overdue",
]  # fmt: skip
"""The points at which people are told."""


class Schedule(Part):
    """When a release is tried by itself.

    Attributes:
        cron: minute, hour, day of the month, month, day of the week. timezone: an IANA name.
        active: whether it runs; a deployment whose schedule is switched off can still be run by hand.
    """

    cron: Annotated[str, Field(pattern=r"^\S+ \S+ \S+ \S+ \S+$")]
    timezone: Text = "UTC"
    active: bool = True

    @model_validator(mode="after")
    def _known_zone(self) -> Schedule:
        if self.timezone not in _zones():
            raise ValueError(f"'{self.timezone}' is no IANA time zone, such as Europe/Berlin")
        return self


@functools.cache
def _zones() -> frozenset[str]:
    # Asking walks through the system's files, which took half of a policy's reading.
    return frozenset(available_timezones())


class Escalation(Part):
    """Who may answer for a role that did not answer in time. They sign in their own role."""

    role: Name
    after_hours: Annotated[float, Field(gt=0, le=8784)]
    to: Name


class Guard(Part):
    """What is done about an alias that somebody else moved, deleted or made in the registry.

    Attributes:
        response: `restore` puts it back, `freeze` stops all promotions until a person has looked.
        max_restores_per_hour: an alias that is moved more often than this is frozen.
    """

    response: Literal["restore", "freeze"] = "restore"
    max_restores_per_hour: Annotated[int, Field(ge=1, le=100)] = 3


class Notify(Part):
    """Whom to tell of what, and how: one line of the communication plan.

    Attributes:
        audience: who is told, in words.
        channel: `env:NAME`, an Apprise address in an environment variable of whatever runs the release, or
            `block:TYPE/NAME`, a notification block of Prefect. Never an address itself: it may hold a secret.
        events: what they are told of.
        template: `technical` for those who act on it, `plain` for everybody else.
    """

    audience: Text
    channel: Annotated[str, Field(pattern=r"^(env:[A-Z][A-Z0-9_]*|block:[a-z0-9-]+/[a-z0-9-]+)$")]
    events: Annotated[tuple[Event, ...], Field(min_length=1)]
    template: Literal["technical", "plain"] = "technical"
