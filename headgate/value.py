"""Value: data that never changes, and a document: a value whose canonical bytes are evidence."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from headgate.canonical import canonical, digest_of, parse
from headgate.errors import BadInput


class Value(BaseModel):
    """Frozen, strict, without unknown fields and without numbers that are none."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Document(Value):
    """A value that is stored.

    Attributes:
        subject, expected, next_step: what errors say of bytes that are no such document.
    """

    subject: ClassVar[str]
    expected: ClassVar[str]
    next_step: ClassVar[str]

    @cached_property
    def digest(self) -> str:
        """The digest of the bytes."""
        return digest_of(self.to_bytes())

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        return canonical(self.model_dump(mode="json"))

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The document that `to_bytes` wrote.

        Raises:
            Tampered: bytes that are not canonical JSON.
            BadInput: not such a document.
        """
        parse(data)
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            raise BadInput(cls.subject, got=str(error), expected=cls.expected, next_step=cls.next_step) from error
