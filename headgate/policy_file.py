"""Reading a policy: from TOML bytes to a `Policy`, or to every problem at once."""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from headgate.errors import BadInput
from headgate.policy import (
    HIGHER_IS_BETTER,
    LOWER_IS_BETTER,
    RESOURCES,
    SITUATIONS,
    Approval,
    Data,
    Gate,
    Policy,
    Rollout,
)
from headgate.slices import as_tuple

MAX_BYTES = 1 << 20

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_WITHOUT_MAXIMUM = ("log_loss", *RESOURCES)

_Playbook = Mapping[str, tuple[str, ...]]


def parse(data: bytes, where: str) -> Policy:
    """The policy in `data`.

    Args:
        data: the bytes of a TOML file, at most 1 MiB.
        where: what to call the file in errors.

    Raises:
        BadInput: it is not TOML, or not a policy. All problems are listed, each with its path in the file; only what
            depends on a table that is broken itself shows when that is mended.
    """
    document = _toml(data, where)
    policy, problems = _shape(document)
    problems += _contradictions(_sound_tables(document) if policy is None else dict(policy))
    if policy is None or problems:
        raise _refused(where, problems)
    return policy


def _toml(data: bytes, where: str) -> dict[str, Any]:
    if len(data) > MAX_BYTES:
        raise _refused(where, [f"the file has {len(data):,} bytes; expected at most {MAX_BYTES:,}"])
    try:
        document = tomllib.loads(data.decode("utf-8"))
        _json(document)
    except (ValueError, RecursionError) as error:
        raise _refused(where, [f"not TOML that can be read: {error}"]) from error
    return document


def _shape(document: dict[str, Any]) -> tuple[Policy | None, list[str]]:
    try:
        policy = Policy.model_validate_json(_json(document))
        return policy, list(_without_digest(policy))
    except ValidationError as error:
        return None, _problems(document, [dict(e) for e in error.errors(include_url=False)])


def _json(document: dict[str, Any]) -> str:
    # Strict validation takes a TOML array for a tuple only by way of JSON, where a date is a string. Of the policy's
    # fields one is a date; elsewhere a date must stay something else than the text that is wanted.
    renewal = document.get("renewal")
    if isinstance(renewal, dict) and type(renewal.get("review_by")) is date:
        document = {**document, "renewal": {**renewal, "review_by": renewal["review_by"].isoformat()}}
    return _dumped(document)


def _dumped(value: object) -> str:
    return json.dumps(value, default=lambda moment: {"date": str(moment)})


def _without_digest(policy: Policy) -> Iterator[str]:
    try:
        _ = policy.digest
    except BadInput as error:
        yield f"{error.subject.removeprefix('JSON value $.')}: {error.got}; expected {error.expected}"


def _sound_tables(document: dict[str, Any]) -> dict[str, Any]:
    """The tables that are well-formed each for itself."""
    sound = {}
    for name, kind in get_type_hints(Policy, include_extras=True).items():
        try:
            sound[name] = TypeAdapter(kind).validate_json(_dumped(document[name]))
        except (KeyError, ValidationError):
            continue
    return sound


def _problems(document: dict[str, Any], errors: list[dict[str, Any]]) -> list[str]:
    # A list whose items are all wrong is also reported as too short: that is a consequence, not a second problem.
    inner = {e["loc"][:n] for e in errors for n in range(len(e["loc"]))}
    found: dict[tuple[str, str], list[str]] = {}
    for e in errors:
        if e["type"] != "too_short" or e["loc"] not in inner:
            got = "nothing" if e["type"] == "missing" else f"{e['input']!r:.80}"
            found.setdefault((_path(document, e["loc"], e["type"]), got), []).append(e["msg"])
    # One value that is none of several forms is one problem.
    return [f"{path}: {' or '.join(dict.fromkeys(said))} (got {got})" for (path, got), said in found.items()]


def _path(document: Any, place: tuple[str | int, ...], kind: str) -> str:
    path, at = "", document
    for part in place:
        if isinstance(part, int) and isinstance(at, list) and part < len(at):
            path, at = f"{path}[{part}]", at[part]
        elif isinstance(part, str) and isinstance(at, dict) and (part in at or kind == "missing"):
            path, at = f"{path}.{part if _BARE.fullmatch(part) else ascii(part)}", at.get(part)
    return path.lstrip(".") or "the file"


def _contradictions(tables: Mapping[str, Any]) -> Iterator[str]:
    for check, needs in _CHECKS:
        if all(name in tables for name in needs):
            yield from check(*(tables[name] for name in needs))


def _named(gates: tuple[Gate, ...]) -> Iterator[tuple[str, Gate]]:
    return ((f"gate[{index}] ({gate.label})", gate) for index, gate in enumerate(gates))


def _names(gates: tuple[Gate, ...]) -> Iterator[str]:
    for label, times in Counter(gate.label for gate in gates).items():
        if times > 1:
            yield f"gate: {times} gates are called '{label}'; expected distinct names (set name = …)"


def _limits(gates: tuple[Gate, ...]) -> Iterator[str]:
    for where, gate in _named(gates):
        most = math.inf if gate.metric in _WITHOUT_MAXIMUM else 1.0
        if gate.min is not None and not 0 < gate.min <= most:
            yield f"{where}: min {gate.min} is no demand on {gate.metric}; expected above 0 and at most {most}"
        for name in ("max", "max_decrease", "max_increase"):
            limit = getattr(gate, name)
            if limit is not None and not 0 <= limit < most:
                yield f"{where}: {name} {limit} is no demand on {gate.metric}; expected from 0 to below {most}"


def _harmful_sides(gates: tuple[Gate, ...]) -> Iterator[str]:
    for where, gate in _named(gates):
        harmless = {"max_increase": HIGHER_IS_BETTER, "max_decrease": LOWER_IS_BETTER}
        for name, metrics in harmless.items():
            if getattr(gate, name) is not None and gate.metric in metrics:
                yield f"{where}: {name} limits how much better {gate.metric} may get, not how much worse; use the other"


def _distinct_slices(data: Data) -> Iterator[str]:
    for columns, times in Counter(frozenset(as_tuple(piece)) for piece in data.slices).items():
        if times > 1:
            yield f"data.slices: {sorted(columns)} are named {times} times; expected distinct slices"
    for index, piece in enumerate(data.slices):
        if len(set(as_tuple(piece))) < len(as_tuple(piece)):
            yield f"data.slices[{index}]: {piece!r} names a column twice"


def _known_slices(gates: tuple[Gate, ...], data: Data) -> Iterator[str]:
    for where, gate in _named(gates):
        for piece in gate.gap_across + (gate.slices if isinstance(gate.slices, tuple) else ()):
            if piece not in data.slices:
                yield f"{where}: slice {piece!r} is not one of data.slices {sorted(map(str, data.slices))}"


def _known_playbooks(gates: tuple[Gate, ...], playbook: _Playbook) -> Iterator[str]:
    for where, gate in _named(gates):
        if gate.playbook is not None and gate.playbook not in playbook:
            yield f"{where}: playbook '{gate.playbook}' is not one of {sorted(playbook)}"


def _stages(rollout: Rollout) -> Iterator[str]:
    for what, values in (("names", [s.name for s in rollout.stage]), ("aliases", [s.alias for s in rollout.stage])):
        if len(set(values)) != len(values):
            yield f"rollout.stage: the {what} {values} repeat; expected distinct ones"


def _needs(rollout: Rollout, approval: Approval) -> Iterator[str]:
    for index, stage in enumerate(rollout.stage):
        for role in sorted(set(stage.needs) - set(approval.roles)):
            yield f"rollout.stage[{index}].needs: '{role}' is not one of approval.roles {sorted(approval.roles)}"


def _situations(playbook: _Playbook) -> Iterator[str]:
    for situation in SITUATIONS:
        if situation not in playbook:
            yield f"playbook.{situation}: Field required (got nothing); say what happens next when this happens"


_CHECKS: tuple[tuple[Callable[..., Iterator[str]], tuple[str, ...]], ...] = (
    (_names, ("gate",)),
    (_limits, ("gate",)),
    (_harmful_sides, ("gate",)),
    (_distinct_slices, ("data",)),
    (_known_slices, ("gate", "data")),
    (_known_playbooks, ("gate", "playbook")),
    (_stages, ("rollout",)),
    (_needs, ("rollout", "approval")),
    (_situations, ("playbook",)),
)
"""What must not contradict, and the tables that each check looks at."""


def _refused(where: str, problems: list[str]) -> BadInput:
    listed = "\n".join(f"  - {problem}" for problem in problems)
    return BadInput(
        f"policy {where}",
        got=f"{len(problems)} problem(s):\n{listed}\n ",
        expected="a policy as README.md describes it",
        next_step="correct the file and run `headgate policy check` again",
    )
