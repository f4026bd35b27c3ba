"""One entry of the ledger: its shape, its bytes and its signature."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, ValidationError

from headgate.canonical import canonical, digest_of, parse
from headgate.errors import BadInput, Tampered
from headgate.signing import Signer, Verifier

SCHEMA = "headgate/ledger/v1"

BODY_LIMIT = 2**20
"""The most bytes of a body, in canonical JSON. What is larger is evidence, and the body names its digest."""

_ENTRY_LIMIT = BODY_LIMIT + 2**14
_TIME = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z$"


def _printable(text: str) -> str:
    if not text.isprintable() or text != text.strip():
        raise ValueError("control or invisible signs, or blanks at an end")
    return text


def _real_time(text: str) -> str:
    moment(text)
    return text


Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
Line = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_printable)]


class Entry(BaseModel):
    """What one slot of a ledger says.

    Attributes:
        format: the version of this shape; ``schema`` in JSON.
        model: whose ledger this is.
        seq: the number of the slot, from 0.
        prev: the digest of the stored bytes of the entry before; for the first, `genesis`.
        nonce: tells a writer's own entry from a competitor's that says the same; never twice in a ledger.
        time: RFC 3339 in UTC with a ``Z``, as the writer's clock told it; never before the entry before.
        release: the release it is about, or None.
        kind: what happened, lower_snake.
        actor: who did it.
        body: the rest, JSON that names the digest of everything it relied on. Treat it as read-only.
        key: the id of the key that signed.
        signature: over the canonical bytes of all other fields.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, serialize_by_alias=True)

    format: Literal["headgate/ledger/v1"] = Field(alias="schema")
    model: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    seq: Annotated[int, Field(ge=0, le=999_999_999)]
    prev: Digest
    nonce: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{8,64}$")]
    time: Annotated[str, Field(pattern=_TIME), AfterValidator(_real_time)]
    release: Line | None
    kind: Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*(_[a-z0-9]+)*$", max_length=64)]
    actor: Line
    body: dict[str, JsonValue]
    key: Digest
    signature: Annotated[str, Field(min_length=1, max_length=200)]


def genesis(model: str) -> str:
    """What the first entry of a model's ledger has in place of a predecessor's digest."""
    return digest_of(canonical({"model": model, "schema": SCHEMA}))


def spelled(at: datetime, timespec: str = "milliseconds") -> str:
    """A moment as the ledger spells it: in UTC, with a Z. The inverse of `moment`, to so many digits."""
    return at.astimezone(UTC).isoformat(timespec=timespec).replace("+00:00", "Z")


def moment(time: str) -> datetime:
    """The moment that an entry's time names. Raises ValueError if there is none, such as February 30."""
    return datetime.fromisoformat(time)


def seal(fields: Mapping[str, object], signer: Signer) -> tuple[Entry, bytes]:
    """A signed entry and the bytes to store.

    Args:
        fields: all fields of an entry but ``schema``, ``key`` and ``signature``.
        signer: the pipeline's key.

    Raises:
        BadInput: a field is not what an entry allows, or the body is too large.
    """
    size = len(canonical(fields["body"]))
    if size > BODY_LIMIT:
        raise _unfit(f"a body of {size:,} bytes", f"at most {BODY_LIMIT:,}: store the rest as evidence")
    unsigned = {**fields, "schema": SCHEMA, "key": signer.key_id}
    data = canonical({**unsigned, "signature": signer.sign(canonical(unsigned))})
    try:
        # From the bytes, so that the writer holds what every reader will hold: lists for tuples, and no shared parts.
        return Entry.model_validate(parse(data)), data
    except ValidationError as error:
        raise _unfit(_problems(error), "the fields of headgate.entry.Entry") from error


def unseal(data: bytes, verifier: Verifier) -> tuple[Entry, bool]:
    """The entry of some stored bytes, and whether this verifier's key signed it.

    Raises:
        Tampered: the bytes are no entry in its one spelling.
    """
    if len(data) > _ENTRY_LIMIT:
        raise _no_entry(f"{len(data):,} bytes")
    value = parse(data)
    try:
        entry = Entry.model_validate(value)
    except ValidationError as error:
        raise _no_entry(_problems(error)) from error
    unsigned = {name: part for name, part in dict(value).items() if name != "signature"}  # type: ignore[arg-type]  # an Entry is an object
    return entry, verifier.verify(canonical(unsigned), entry.signature)


def _problems(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_context=False)
    return "; ".join(f"{'.'.join(map(str, one['loc']))} {str(one['input'])[:60]!r}: {one['msg']}" for one in found[:5])


def _unfit(got: str, expected: str) -> BadInput:
    return BadInput("new ledger entry", got=got, expected=expected, next_step="correct the call that records it")


def _no_entry(got: str) -> Tampered:
    return Tampered(
        "ledger entry",
        got=got,
        expected=f"an entry of the schema {SCHEMA}",
        next_step="restore the file from a copy",
    )
