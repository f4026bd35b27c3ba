"""One spelling for every value: canonical JSON (RFC 8785) and its SHA-256 digest.

Whatever is hashed or signed is spelled here, so that two machines that agree on a value agree on its bytes. Reading is
as strict as writing: `parse` accepts only what `canonical` would have written, so that nothing has two spellings and a
changed byte never hides in white space, a repeated key or another way to write a number.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from typing import NoReturn

import rfc8785
from pydantic import JsonValue

from headgate.errors import BadInput, Tampered

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
"""The one spelling of a digest; use with ``fullmatch``."""

SAFE_INTEGER = 2**53 - 1
"""The largest integer that every JSON reader keeps exactly (I-JSON, RFC 7493)."""

DEPTH = 64
"""Deepest nesting. A fixed limit, because Python's own depends on how deep the caller already is."""

_SHOWN = 80


def canonical(value: object) -> bytes:
    """The RFC 8785 bytes of a JSON value (dict, list, tuple, str, int, float, bool, None).

    Raises:
        BadInput: a part has no canonical form (NaN, infinity, an integer beyond 2^53 - 1, a key that is no string, a
            lone surrogate, another type, nesting deeper than `DEPTH`); the message names its place.

    >>> canonical({"b": 1.0, "a": [True, None]})
    b'{"a":[true,null],"b":1}'
    """
    _demand_json(value, "$", 0)
    return rfc8785.dumps(value)  # type: ignore[arg-type]  # the line above has checked what the type would say


def digest_of(data: bytes) -> str:
    """The SHA-256 digest of some bytes, as ``sha256:`` and 64 lowercase hexadecimal digits.

    >>> digest_of(b"")
    'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
    """
    return "sha256:" + hashlib.sha256(data).hexdigest()


def digits(digest: str) -> str:
    """The hexadecimal digits of a digest, without the name of its algorithm."""
    return digest.removeprefix("sha256:")


def short(digest: str) -> str:
    """The first twelve digits of a digest: enough for people to tell one from another."""
    return digits(digest)[:12]


def parse(data: bytes) -> JsonValue:
    """The value of some canonical bytes: the inverse of `canonical`, and of nothing else.

    Raises:
        Tampered: the bytes are not exactly the canonical bytes of what they say.
    """
    try:
        value: JsonValue = json.loads(data.decode(), parse_int=_number, parse_constant=_no_constant)
        again = canonical(value)
    except BadInput as error:
        raise _not_canonical(f"{error.got} at {error.subject}") from error
    except (ValueError, RecursionError) as error:
        raise _not_canonical(f"{_short(data)} ({error})") from error
    if again != data:
        raise _not_canonical(_first_difference(data, again))
    return value


def _demand_json(value: object, place: str, depth: int) -> None:
    if depth > DEPTH:
        raise _no_form(place, f"nesting deeper than {DEPTH}")
    if isinstance(value, dict):
        for key, part in value.items():
            if not isinstance(key, str):
                raise _no_form(place, f"the key {key!r}, which is no string")
            _demand_text(key, f"the key {key!r} of {place}")
            _demand_json(part, f"{place}.{key}", depth + 1)
    elif isinstance(value, (list, tuple)):
        for index, part in enumerate(value):
            _demand_json(part, f"{place}[{index}]", depth + 1)
    else:
        _demand_scalar(value, place)


def _demand_scalar(value: object, place: str) -> None:
    if isinstance(value, str):
        _demand_text(value, place)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise _no_form(place, str(value))
    elif isinstance(value, int):
        if abs(value) > SAFE_INTEGER:
            raise _no_form(place, f"an integer of {value.bit_length()} bits")
    elif value is not None:
        raise _no_form(place, f"a value of type {type(value).__name__}")


def _demand_text(text: str, place: str) -> None:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise _no_form(place, "a lone surrogate") from None


def _no_form(place: str, got: str) -> BadInput:
    return BadInput(
        f"JSON value {place}",
        got=got,
        expected=f"null, a boolean, a string, a finite number, an integer within ±{SAFE_INTEGER}, a list or an object",
        next_step="convert the value before it is recorded, large integers to strings",
    )


def _not_canonical(got: str) -> Tampered:
    return Tampered(
        "canonical JSON",
        got=got,
        expected="exactly the RFC 8785 bytes of the value, as they were written",
        next_step="fetch the original bytes; never re-format stored JSON",
    )


def _number(digits: str) -> int | float:
    # RFC 8785 spells 1e20 with 21 digits and no exponent: what no integer can be, a double may have been.
    short = len(digits) <= len(str(SAFE_INTEGER)) + 1
    return int(digits) if short and abs(int(digits)) <= SAFE_INTEGER else float(digits)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _first_difference(data: bytes, again: bytes) -> str:
    at = next((i for i, (a, b) in enumerate(zip(data, again, strict=False)) if a != b), min(len(data), len(again)))
    return f"{_short(data[at:])} at byte {at}, where canonical is {_short(again[at:])}"


def _short(data: bytes) -> str:
    return repr(data if len(data) <= _SHOWN else data[:_SHOWN] + b"...")
