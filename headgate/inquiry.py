"""An inquiry: what a router is asked, and what it is told afterwards; and how much of it at once."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from headgate.canonical import SAFE_INTEGER
from headgate.telemetry import Key
from headgate.value import Value

MOST_ROWS = 1000
"""Of one request."""

MOST_BYTES = 4 * 2**20
"""Of one request's body."""


def _exact(value: Any) -> Any:
    if isinstance(value, int) and abs(value) > SAFE_INTEGER:
        raise ValueError(f"an integer beyond ±{SAFE_INTEGER} is not kept exactly: send it as text")
    return value


Word = Annotated[str, Field(max_length=200)]
Said = Annotated[str, Field(max_length=2000)]
Scalar = Annotated[bool | int | float | Said | None, BeforeValidator(_exact)]


class Ask(Value):
    """One row to predict.

    Attributes:
        subject: whom or what it is about; the same subject stays with the same version.
        audience: what is known of whoever asks, by which a stage may be chosen: a group, a region.
        inputs: the value of each column that the model reads; None for one that is not known.
    """

    subject: Key
    audience: Annotated[dict[Word, Word], Field(max_length=50)] = Field(default={})
    inputs: Annotated[dict[Key, Scalar], Field(max_length=2000)]


class Known(Value):
    """What became of a request: its label, as the evaluation table would spell it."""

    id: Key
    label: Annotated[bool | int | float | Word, BeforeValidator(_exact)]


class Told(Value):
    """What a person says about an answer."""

    id: Key
    text: Annotated[str, Field(min_length=1, max_length=2000)]


Asks = Ask | Annotated[list[Ask], Field(min_length=1, max_length=MOST_ROWS)]
Knowns = Known | Annotated[list[Known], Field(min_length=1, max_length=MOST_ROWS)]
