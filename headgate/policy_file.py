"""Reading a policy: from TOML bytes to a `Policy`, or to every problem at once."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from datetime import date
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from headgate.contradictions import contradictions
from headgate.errors import BadInput
from headgate.policy import Policy
from headgate.toml_file import as_json, document, problems

MAX_BYTES = 1 << 20


@functools.lru_cache(maxsize=16)
def parse(data: bytes, where: str) -> Policy:
    """The policy in `data`; the same bytes are not read twice, because a report, a release and an audit ask often.

    Args:
        data: the bytes of a TOML file, at most 1 MiB.
        where: what to call the file in errors.

    Raises:
        BadInput: it is not TOML, or not a policy. All problems are listed, each with its path in the file; only what
            depends on a table that is broken itself shows when that is mended.
    """
    try:
        tables = document(data, MAX_BYTES)
    except ValueError as error:
        raise _refused(where, [str(error)]) from error
    policy, found = _shape(tables)
    found += contradictions(_sound_tables(tables) if policy is None else dict(policy))
    if policy is None or found:
        raise _refused(where, found)
    return policy


def _shape(tables: dict[str, Any]) -> tuple[Policy | None, list[str]]:
    try:
        policy = Policy.model_validate_json(as_json(_with_date(tables)))
        return policy, list(_without_digest(policy))
    except ValidationError as error:
        return None, problems(tables, error)


def _with_date(tables: dict[str, Any]) -> dict[str, Any]:
    # In JSON a date is a string. Two of the policy's fields are dates; elsewhere a date must stay something else than
    # the text that is wanted.
    for name, key in (("renewal", "review_by"), ("impact", "assessed_on")):
        table = tables.get(name)
        if isinstance(table, dict) and type(table.get(key)) is date:
            tables = {**tables, name: {**table, key: table[key].isoformat()}}
    return tables


def _without_digest(policy: Policy) -> Iterator[str]:
    try:
        _ = policy.digest
    except BadInput as error:
        yield f"{error.subject.removeprefix('JSON value $.')}: {error.got}; expected {error.expected}"


def _sound_tables(tables: dict[str, Any]) -> dict[str, Any]:
    """The tables that are well-formed each for itself, those that are left out with their defaults."""
    fields = Policy.model_fields.items()
    sound = {name: field.default for name, field in fields if name not in tables and not field.is_required()}
    for name, table in _tables().items():
        try:
            sound[name] = table.validate_json(as_json(_with_date(tables)[name]))
        except (KeyError, ValidationError):
            continue
    return sound


@functools.cache
def _tables() -> dict[str, TypeAdapter[Any]]:
    return {name: TypeAdapter(kind) for name, kind in get_type_hints(Policy, include_extras=True).items()}


def _refused(where: str, found: list[str]) -> BadInput:
    listed = "\n".join(f"  - {problem}" for problem in found)
    return BadInput(
        f"policy {where}",
        got=f"{len(found)} problem(s):\n{listed}\n ",
        expected="a policy as README.md describes it",
        next_step="correct the file and run `headgate policy check` again",
    )
