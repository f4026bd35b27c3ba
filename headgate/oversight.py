"""Oversight: the parts of a policy about people who are waited for and aliases that others move."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from headgate.part import Name, Part


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
