"""Telemetry: what the router answered, which outcomes became known, and what people reported. One line of JSON each.

Lines lie under `<telemetry>/<model>/<kind>/<hour>/<writer>.jsonl`: `kind` is one of `KINDS`, `hour` that of the line's
time in UTC (`2026-07-01T12`), and each file has one writer, so that nobody writes into another's line. A writer that
dies leaves at most one torn line, at the end of its file.

These are rows of people: they are no evidence, and only tallies that are made of them are kept as such.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, TypeVar

from pydantic import Field, ValidationError

from headgate.canonical import canonical
from headgate.record import Time
from headgate.value import Value

Key = Annotated[str, Field(min_length=1, max_length=200)]
L = TypeVar("L", bound="Line")


class Line(Value):
    """One line of telemetry.

    Attributes:
        id: names one request; an outcome and a report name the request that they are about.
        time: when it was written.
    """

    id: Key
    time: Time

    def to_line(self) -> bytes:
        """The line, with its end."""
        return canonical(self.model_dump(mode="json")) + b"\n"


class Served(Line):
    """One request, answered or not.

    Attributes:
        subject: whom or what it was about: the key of the bucket, so that one subject stays with one version.
        stage, version: of the rollout, who answered. 0 if there was none to answer.
        inputs: the columns that the model reads, as they were given.
        scores: of binary, regression and scored tasks one number, of a multiclass task one per class; empty if it
            failed.
        ms: milliseconds from the request to its answer.
        failure: the kind of error in a word; None if it was answered.
    """

    subject: Key
    stage: str
    version: Annotated[int, Field(ge=0)]
    inputs: Mapping[str, bool | int | float | str | None]
    scores: tuple[float, ...]
    ms: Annotated[float, Field(ge=0)]
    failure: str | None = None


class Outcome(Line):
    """What became of a request: its label, as the evaluation table would spell it."""

    label: bool | int | float | str


class Complaint(Line):
    """A person says that an answer was wrong or did harm."""

    text: Annotated[str, Field(min_length=1, max_length=2000)]


KINDS: Mapping[str, type[Line]] = {"requests": Served, "outcomes": Outcome, "reports": Complaint}
"""The folders of a model's telemetry, and what their lines are."""


def read(kind: type[L], data: bytes) -> tuple[tuple[L, ...], int]:
    """The lines in the bytes of a file, and how many of them are torn or no such line."""
    found = [_line(kind, line) for line in data.splitlines() if line]
    return tuple(one for one in found if one is not None), found.count(None)


def _line(kind: type[L], line: bytes) -> L | None:
    try:
        return kind.model_validate_json(line)
    except ValidationError:
        return None
