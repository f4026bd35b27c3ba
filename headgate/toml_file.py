"""Reading a TOML file into a strict value, with every problem at once, each with its path in the file."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def document(data: bytes, most: int) -> dict[str, Any]:
    """The tables of a TOML file of at most so many bytes.

    Raises:
        ValueError: it is larger, or not TOML that can be read; the text says why.
    """
    if len(data) > most:
        raise ValueError(f"the file has {len(data):,} bytes; expected at most {most:,}")
    try:
        found = tomllib.loads(data.decode("utf-8"))
        as_json(found)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not TOML that can be read: {error}") from error
    return found


def as_json(value: object) -> str:
    """A TOML value as JSON, for strict validation: it takes an array for a tuple only by way of JSON.

    A date becomes an object, so that it is not taken for text.
    """
    return json.dumps(value, default=lambda moment: {"date": str(moment)})


def problems(tables: Mapping[str, Any], error: ValidationError) -> list[str]:
    """What pydantic refused in a TOML document, one line per value, as `path: what is wrong (got …)`."""
    errors = error.errors(include_url=False)
    # A list whose items are all wrong is also reported as too short: that is a consequence, not a second problem.
    inner = {e["loc"][:n] for e in errors for n in range(len(e["loc"]))}
    found: dict[tuple[str, str], list[str]] = {}
    for e in errors:
        if e["type"] != "too_short" or e["loc"] not in inner:
            got = "nothing" if e["type"] == "missing" else f"{e['input']!r:.80}"
            found.setdefault((_path(tables, e["loc"], e["type"]), got), []).append(e["msg"])
    # One value that is none of several forms is one problem.
    return [f"{path}: {' or '.join(dict.fromkeys(said))} (got {got})" for (path, got), said in found.items()]


def _path(tables: Any, place: Sequence[str | int], kind: str) -> str:
    path, at = "", tables
    for part in place:
        if isinstance(part, int) and isinstance(at, list) and part < len(at):
            path, at = f"{path}[{part}]", at[part]
        elif isinstance(part, str) and isinstance(at, dict) and _is_key(at, part, kind):
            path, at = f"{path}.{part if _BARE.fullmatch(part) else ascii(part)}", at.get(part)
    return path.lstrip(".") or "the file"


def _is_key(at: dict[str, Any], part: str, kind: str) -> bool:
    # Where a field `kind` chooses the form, its value stands in the place that pydantic names, and is no key.
    return part in at or (kind == "missing" and at.get("kind") != part)
