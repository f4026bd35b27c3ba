"""Record: what one entry of a ledger says. The base of all its kinds, which stand in `records` and `watch`."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from headgate.entry import Digest, moment


def _real_time(text: str) -> str:
    moment(text)
    return text


Time = Annotated[
    str,
    Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z$"),
    AfterValidator(_real_time),
]


class Record(BaseModel):
    """Base of all records: frozen, strict, closed, and without NaN."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class TakenBack(Record):
    """A person took something back that was signed, by a signature too."""

    role: str
    person: str
    key: str
    reason: str
    statement: Digest
    signature: Digest
    signers: Digest
