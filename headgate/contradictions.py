"""Contradictions: what each table of a policy says soundly, and what two of them cannot both say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from headgate.demands import (
    Gates,
    askable,
    declared,
    harmful_sides,
    known_slices,
    measurable,
    named,
    parts_of_the_task,
    sensible,
)
from headgate.exposure import Rollout
from headgate.metrics import RESOURCES
from headgate.policy import SITUATIONS, About, Approval, Custom, Data, Score, Waivers, known_metrics
from headgate.slices import as_tuple
from headgate.stewardship import Impact, Monitoring

_Playbook = Mapping[str, tuple[str, ...]]


def contradictions(tables: Mapping[str, Any]) -> Iterator[str]:
    """All contradictions between the tables that are there.

    Args:
        tables: by name, the tables of a policy that are well-formed each for itself.
    """
    for check, needs in _CHECKS:
        if all(name in tables for name in needs):
            yield from check(*(tables[name] for name in needs))


def _names(gates: Gates) -> Iterator[str]:
    for label, times in Counter(gate.label for gate in gates).items():
        if times > 1:
            yield f"gate: {times} gates are called '{label}'; expected distinct names (set name = …)"


def _distinct_slices(data: Data) -> Iterator[str]:
    for columns, times in Counter(frozenset(as_tuple(piece)) for piece in data.slices).items():
        if times > 1:
            yield f"data.slices: {sorted(columns)} are named {times} times; expected distinct slices"
    for index, piece in enumerate(data.slices):
        if len(set(as_tuple(piece))) < len(as_tuple(piece)):
            yield f"data.slices[{index}]: {piece!r} names a column twice"


def _known_playbooks(gates: Gates, playbook: _Playbook) -> Iterator[str]:
    for where, gate in named(gates):
        if gate.playbook is not None and gate.playbook not in playbook:
            yield f"{where}: playbook '{gate.playbook}' is not one of {sorted(playbook)}"


def _stages(rollout: Rollout) -> Iterator[str]:
    for what, values in (("names", [s.name for s in rollout.stage]), ("aliases", [s.alias for s in rollout.stage])):
        if len(set(values)) != len(values):
            yield f"rollout.stage: the {what} {values} repeat; expected distinct ones"
    last = rollout.stage[-1]
    if last.audience or last.share < 1:
        index, got = len(rollout.stage) - 1, f"audience {last.audience}, share {last.share:g}"
        yield f"rollout.stage[{index}]: {got}; expected everybody: whoever is in no other stage is served by the last"


def _needs(rollout: Rollout, approval: Approval) -> Iterator[str]:
    for index, stage in enumerate(rollout.stage):
        for role in sorted(set(stage.needs) - set(approval.roles)):
            yield f"rollout.stage[{index}].needs: '{role}' is not one of approval.roles {sorted(approval.roles)}"


def _waivable(gates: Gates, waivers: Waivers | None) -> Iterator[str]:
    labels = sorted(gate.label for gate in gates)
    for index, label in enumerate(waivers.gates if waivers else ()):
        if label not in labels:
            yield f"waivers.gates[{index}]: '{label}' is not the label of a gate; expected one of {labels}"


def _situations(playbook: _Playbook) -> Iterator[str]:
    for situation in SITUATIONS:
        if situation not in playbook:
            yield f"playbook.{situation}: Field required (got nothing); say what happens next when this happens"


def _assessed(model: About, impact: Impact | None) -> Iterator[str]:
    if model.tier == "high" and impact is None:
        yield "impact: Field required (got nothing); a model of tier 'high' is not released without an assessment"


def _guarded(gates: Gates, impact: Impact | None) -> Iterator[str]:
    labels = sorted(gate.label for gate in gates)
    for index, harm in enumerate(impact.harm if impact else ()):
        if harm.gate is not None and harm.gate not in labels:
            yield f"impact.harm[{index}].gate: '{harm.gate}' is not the label of a gate; expected one of {labels}"


def _watchable(
    monitoring: Monitoring | None,
    playbook: _Playbook,
    model: About,
    data: Data,
    score: Score | None,
    metric: tuple[Custom, ...],
) -> Iterator[str]:
    checks = monitoring.check if monitoring else ()
    known = known_metrics(model, data, score, metric).keys() - set(RESOURCES)
    for name, times in Counter(check.name for check in checks).items():
        if times > 1:
            yield f"monitoring.check: {times} checks are called '{name}'; expected distinct names"
    for index, check in enumerate(checks):
        where = f"monitoring.check[{index}]"
        if check.playbook not in playbook:
            yield f"{where}.playbook: '{check.playbook}' is not one of {sorted(playbook)}"
        if check.watches == "performance" and not set(check.of) <= known:
            yield f"{where}.of: {sorted(set(check.of) - known)} are no metrics of the task; expected {sorted(known)}"
        if not {frozenset(as_tuple(piece)) for piece in check.slices or ()} <= {
            frozenset(as_tuple(piece)) for piece in data.slices
        }:
            yield f"{where}.slices: not all of {check.slices} are in data.slices"


_MEASURED = ("gate", "model", "data", "score", "metric")

_CHECKS: tuple[tuple[Callable[..., Iterator[str]], tuple[str, ...]], ...] = (
    (parts_of_the_task, ("model", "data", "score", "threshold")),
    (declared, ("metric",)),
    (_names, ("gate",)),
    (measurable, _MEASURED),
    (sensible, _MEASURED),
    (askable, ("gate", "model")),
    (harmful_sides, _MEASURED),
    (_distinct_slices, ("data",)),
    (known_slices, ("gate", "data")),
    (_known_playbooks, ("gate", "playbook")),
    (_stages, ("rollout",)),
    (_needs, ("rollout", "approval")),
    (_waivable, ("gate", "waivers")),
    (_situations, ("playbook",)),
    (_assessed, ("model", "impact")),
    (_guarded, ("gate", "impact")),
    (_watchable, ("monitoring", "playbook", "model", "data", "score", "metric")),
)
"""What must not contradict, and the tables that each check looks at."""
