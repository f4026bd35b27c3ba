"""The flags: who is served which version, as one document in flagd's format that any OpenFeature client can evaluate.

One flag per model, `serve.<model>`. Its variants are the stages whose alias points somewhere, each with the version
behind it. Its rule is that of `route`, which is the specification: the stages in the policy's order, the first whose
audience matches and whose share holds; the last one is for everybody. Flags say who is served what, not whether that is
allowed: whoever serves asks the ledger too.

A caller puts three things into the context (`context`): the subject as targeting key, the audience's attributes, and
the subject's bucket. The bucket is computed here and only compared in the rule, because flagd's own `fractional` deals
all subjects again between its versions and languages; ours stays, so that a set of 5% lies inside the one of 25%, and a
subject stays with its stage while shares grow.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from headgate.anomaly import Anomaly
from headgate.canonical import digest_of
from headgate.errors import BadInput
from headgate.exposure import Stage
from headgate.markdown import plain

BUCKETS = 10_000
"""Shares are told apart to a hundredth of a percent."""

NOBODY = "none"
"""The variant, of version 0, of whoever no stage serves."""

_SCHEMA = "https://flagd.dev/schema/v0/flags.json"
_SHOWN = 120
_NO_BUCKET = BUCKETS  # in no share: JSON logic takes what is missing for 0, which is in every one


@dataclass(frozen=True)
class Route:
    """Who of a model is served what.

    Attributes:
        stages: of the policy, in its order.
        aliases: the version behind each alias that points somewhere.

    Raises:
        BadInput: there is no stage, two have one name, or one is called as whoever no stage serves.
    """

    stages: tuple[Stage, ...]
    aliases: Mapping[str, int]

    def __post_init__(self) -> None:
        names = [stage.name for stage in self.stages]
        if not names or NOBODY in names or len(set(names)) < len(names):
            raise BadInput(
                "stages of a rollout",
                got=f"the names {names}",
                expected=f"at least one stage, distinct names, and none called '{NOBODY}'",
                next_step="rename the stage in the policy and release again",
            )

    @property
    def served(self) -> Mapping[str, int]:
        """The version of each stage that has one, in the policy's order."""
        return {stage.name: self.aliases[stage.alias] for stage in self.stages if stage.alias in self.aliases}


def bucket(model: str, subject: str) -> int:
    """The bucket of a subject, of `BUCKETS`: the same wherever and whenever it is computed.

    >>> bucket("employment", "person-1")
    3583
    """
    digest = hashlib.sha256(f"{model}\0{subject}".encode()).digest()
    return int.from_bytes(digest[:8], "big") * BUCKETS >> 64


def below(share: float) -> int:
    """The buckets of a share: those below this number. A share above 0 has at least one.

    >>> below(0.07), below(0.00001), below(0), below(1)
    (700, 1, 0, 10000)
    """
    return math.ceil(round(share * BUCKETS, 6))  # 0.07 * 10000 is a little more than 700


def route(
    stages: Sequence[Stage], aliases: Mapping[str, int], audience: Mapping[str, str], place: int
) -> tuple[str, int]:
    """The stage that serves, and its version; `NOBODY` and 0 if none does.

    Args:
        audience: what is known of whoever asks, by attribute.
        place: the subject's bucket.
    """
    for stage in stages[:-1]:
        if stage.alias in aliases and _meant(stage, audience) and place < below(stage.share):
            return stage.name, aliases[stage.alias]
    last = stages[-1]
    return (last.name, aliases[last.alias]) if last.alias in aliases else (NOBODY, 0)


def _meant(stage: Stage, audience: Mapping[str, str]) -> bool:
    return all(audience.get(name) in values for name, values in stage.audience.items())


def flag_key(model: str) -> str:
    """The name of a model's flag."""
    return f"serve.{model}"


def context(model: str, subject: str, audience: Mapping[str, str]) -> dict[str, object]:
    """The attributes with which a model's flag is evaluated, beside the subject as targeting key."""
    return {"bucket": bucket(model, subject), "audience": {_path(name): value for name, value in audience.items()}}


def document(routes: Mapping[str, Route]) -> bytes:
    """The flags of all models, as one JSON document; the same bytes for the same routes."""
    flags = {flag_key(model): _flag(each) for model, each in routes.items()}
    return json.dumps({"$schema": _SCHEMA, "flags": flags}, indent=1, sort_keys=True).encode() + b"\n"


def misrouted(data: bytes | None, due: bytes) -> Iterator[Anomaly]:
    """What a file of flags says otherwise than the ledgers do.

    Args:
        data: the file's content; None if there is none, which serves nobody and claims nothing.
        due: what the ledgers render.
    """
    if data is not None and data != due:
        expected = f"{digest_of(due)}, as the ledgers have it; a router that runs writes it again"
        yield Anomaly("other_flags", -1, f"flags.json: {digest_of(data)}, other in {_differing(data, due)}", expected)


def _differing(data: bytes, due: bytes) -> str:
    try:
        found, expected = (json.loads(each)["flags"] for each in (data, due))
        names = sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return "all: it is no such document"
    return ", ".join(plain(name)[:_SHOWN] for name in names[:_SHOWN]) or "its layout"


def _flag(each: Route) -> dict[str, object]:
    served, last = each.served, each.stages[-1].name
    default = last if last in served else NOBODY
    rules = [part for stage in each.stages[:-1] if stage.name in served for part in (_rule(stage), stage.name)]
    flag: dict[str, object] = {"state": "ENABLED", "variants": {**served, NOBODY: 0}, "defaultVariant": default}
    return {**flag, "targeting": {"if": [*rules, default]}} if rules else flag


def _rule(stage: Stage) -> dict[str, object]:
    share = {"<": [{"var": ["bucket", _NO_BUCKET]}, below(stage.share)]}
    groups = [{"in": [{"var": f"audience.{_path(n)}"}, list(v)]} for n, v in sorted(stage.audience.items())]
    return {"and": [*groups, share]}


def _path(name: str) -> str:
    # A dot leads JSON logic a level deeper, and an empty name to the whole: neither is left in an attribute's name.
    return quote(name, safe="").replace(".", "%2E") or "%"
