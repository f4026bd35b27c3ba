"""What a policy demands otherwise than another one did: every field that differs, by its path."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from headgate.policy import Policy


@dataclass(frozen=True)
class Change:
    """A field that differs. `was`, `now`: its values as JSON; None where it was not given.

    `path` is that in the file, with a gate's label and a stage's name where the file has a number.
    """

    path: str
    was: str | None
    now: str | None


def changes(old: Policy, new: Policy) -> tuple[Change, ...]:
    """Every field that differs, in the order of the policy; nothing if their digests are equal."""
    before, after = dict(_fields(_by_name(old))), dict(_fields(_by_name(new)))
    paths = dict.fromkeys((*before, *after))
    return tuple(Change(p, before.get(p), after.get(p)) for p in paths if before.get(p) != after.get(p))


def _by_name(policy: Policy) -> dict[str, object]:
    # By what they are called, so that a gate that is added in front does not change all others.
    told = policy.model_dump(mode="json", exclude_none=True)
    told["gate"] = dict(zip((gate.label for gate in policy.gate), told["gate"], strict=True))
    told["rollout"]["stage"] = dict(zip((s.name for s in policy.rollout.stage), told["rollout"]["stage"], strict=True))
    return told


def _fields(value: object, path: str = "") -> Iterator[tuple[str, str]]:
    if not isinstance(value, Mapping) or not value:
        yield path, json.dumps(value, ensure_ascii=False)
        return
    for name, part in value.items():
        yield from _fields(part, f"{path}.{name}" if path else name)
