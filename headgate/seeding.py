"""Seeding: each fault put where it breaks a gate's limit, and how often the gates that should see it halt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from headgate.alteration import chance_of
from headgate.calibration import ANY, Silence, Trial
from headgate.contest import Contest, Key, Seen, pieces_of
from headgate.estimate import Estimate
from headgate.faults import LEAK, SLOW, Fault, Mask, World
from headgate.gate import Gate
from headgate.grid import Reals
from headgate.reasons import limit_of
from headgate.rows import column_auc, halves
from headgate.scheme import Scheme
from headgate.slices import columns_of, combined, escaped

MOST_GROUPS = 25
"""How many groups are tried, the smallest first, to find one in which a fault breaks a gate's limit."""

DATA_GATE = "data gate: max_single_column_auc"


@dataclass(frozen=True)
class Ground:
    """Where faults are seeded.

    Attributes:
        gates: those that can be tried. world: the model as candidate and as champion. healthy: what is true there.
    """

    contest: Contest
    scheme: Scheme
    gates: tuple[Gate, ...]
    world: World
    healthy: Mapping[Key, Seen]

    @property
    def nobody(self) -> Mask:
        """The rows of no group, shape (n,)."""
        return np.zeros(self.world.batch.size, dtype=np.bool_)


@dataclass(frozen=True)
class _Case:
    """A world with a fault, and the comparisons whose limit it breaks."""

    fault: Fault
    told: str
    group: str
    world: World
    broken: Mapping[Key, Seen]

    def keys(self, gate: Gate) -> list[Key]:
        return [key for key in self.broken if key[0] == gate.label]

    def hardest(self, gate: Gate) -> Key:
        """Where a gate is to see it: in the group it happened to, else where it is nearest to its limit."""
        return min(self.keys(gate), key=lambda key: (key[1] != self.group, self.broken[key].excess))


def tried(ground: Ground, fault: Fault) -> list[Trial | Silence]:
    """The halts of a fault by each gate that should see it, or why there are none."""
    if ground.scheme.task not in fault.tasks:
        why = f"a {ground.scheme.task} task has nothing that it could happen to"
        return [Silence(fault=fault.name, reason=why, excused=True)]
    if fault.name == SLOW and ground.world.serving is None:
        return [Silence(fault=fault.name, reason="serving was not measured", excused=True)]
    seers = [gate for gate in ground.gates if fault.sees(gate)]
    cases = _cases(ground, fault, seers)
    found = [trial for case in cases if case.broken for trial in _halts(ground, case, seers)]
    found += [_leak(ground, case) for case in cases if case.world.feature is not None]
    return list(found) if found else [Silence(fault=fault.name, reason=_why(seers), excused=False)]


def _why(seers: Sequence[Gate]) -> str:
    if not seers:
        return "no gate of this policy looks at what it changes"
    return f"it leaves {', '.join(gate.label for gate in seers)} inside the limits of this policy"


def _cases(ground: Ground, fault: Fault, seers: Sequence[Gate]) -> list[_Case]:
    if fault.grouped:
        return _in_groups(ground, fault, seers)
    severity = _slowness(ground, fault, seers) if fault.name == SLOW else fault.severity
    case = _case(ground, fault, seers, severity, "", ground.nobody)
    if case.broken or fault.otherwise is None:
        return [case]
    return [_case(ground, fault, seers, fault.otherwise, "", ground.nobody)]


def _case(ground: Ground, fault: Fault, seers: Sequence[Gate], severity: float, group: str, rows: Mask) -> _Case:
    told = fault.says(severity, group)
    chance = chance_of(ground.contest.seed, f"{fault.name} {group}")
    world = fault.seed(ground.world, ground.scheme, severity, rows, chance)
    truth = ground.contest.look(seers, world) if seers else {}
    fine = {key for key, seen in ground.healthy.items() if seen.values is not None and not seen.broken}
    return _Case(fault, told, group, world, {key: seen for key, seen in truth.items() if seen.broken and key in fine})


def _in_groups(ground: Ground, fault: Fault, seers: Sequence[Gate]) -> list[_Case]:
    """For each gate the smallest group in which the fault breaks its limit: the hardest one to see it in."""
    cases: dict[str, _Case] = {}
    for gate in seers:
        for group, rows in _groups(ground, gate):
            if group not in cases:
                cases[group] = _case(ground, fault, seers, fault.severity, group, rows)
            if cases[group].keys(gate):
                break
    chosen = {next((group for group, case in cases.items() if case.keys(gate)), "") for gate in seers}
    return [case for group, case in cases.items() if group in chosen]


def _groups(ground: Ground, gate: Gate) -> list[tuple[str, Mask]]:
    """The groups that a gate looks at and that have enough rows, the smallest first."""
    least = ground.contest.policy.data.min_slice_rows
    found: dict[str, Mask] = {}
    for piece in pieces_of(gate, ground.scheme.slices):
        groups = combined([ground.world.batch.columns[name] for name in piece])
        sizes = np.bincount(groups.codes, minlength=len(groups.parts))
        found |= {groups.parts[i]: groups.codes == i for i in np.flatnonzero(sizes >= least)}
    return sorted(found.items(), key=lambda item: (int(item[1].sum()), item[0]))[:MOST_GROUPS]


def _slowness(ground: Ground, fault: Fault, seers: Sequence[Gate]) -> float:
    """By which factor times must grow to be so many times each limit; throughput falls as they grow."""
    factors = [1.0]
    for gate in seers:
        estimate = ground.healthy[gate.label, "all"].claims[0].estimate
        if isinstance(estimate, Estimate) and estimate.value > 0 and limit_of(gate) > 0:
            ratio = limit_of(gate) / estimate.value
            factors.append(fault.severity * (1 / ratio if gate.min is not None else ratio))
    return float(max(factors))


def _halts(ground: Ground, case: _Case, seers: Sequence[Gate]) -> Iterator[Trial]:
    hardest = {gate.label: case.hardest(gate) for gate in seers if case.keys(gate)}
    seeing = [_narrowed(ground, gate, hardest[gate.label][1]) for gate in seers if gate.label in hardest]
    halted = ground.contest.halts(f"{case.fault.name}: {case.told}", seeing, case.world, hardest.values())
    for label, key in hardest.items():
        value, limit = case.broken[key].nearest
        yield _halt(case, label, key[1], halted[key]).model_copy(update={"value": value, "limit": limit})
    if len(hardest) > 1:
        yield _halt(case, ANY, "", np.logical_or.reduce(list(halted.values())))


def _narrowed(ground: Ground, gate: Gate, label: str) -> Gate:
    """The gate where nothing but one slice is looked at: what else there is to tally takes most of the time."""
    if gate.slices is None:
        return gate
    columns = set(columns_of(label))
    pieces = [piece for piece in pieces_of(gate, ground.scheme.slices) if set(map(escaped, piece)) == columns]
    return gate.model_copy(update={"slices": tuple(pieces[:1]) or None})


def _halt(case: _Case, gate: str, slices: str, halted: Mask) -> Trial:
    return Trial(
        world="fault",
        fault=case.fault.name,
        told=case.told,
        gate=gate,
        slice=slices,
        event="halt",
        times=int(halted.sum()),
        runs=len(halted),
    )


def _leak(ground: Ground, case: _Case) -> Trial:
    """Whether the data gate takes the feature for a leak, as it would in the training table."""
    limit = ground.contest.policy.data.max_single_column_auc
    draws = ground.contest.draws(f"{LEAK}: data gate", case.world)
    areas = np.array([_area(drawn, ground.scheme) for drawn in draws])
    trial = _halt(case, DATA_GATE, "all", ~(areas <= limit))
    return trial.model_copy(update={"value": _area(case.world, ground.scheme), "limit": limit})


def _area(world: World, scheme: Scheme) -> float:
    """How well the feature alone ranks the label; NaN if it cannot be said."""
    feature = np.zeros(0) if world.feature is None else world.feature
    _, codes = np.unique(feature, return_inverse=True)
    fit = halves(len(feature))
    return max(column_auc(codes.astype(np.int64), feature, marks, fit) for marks in _marks(world.labels, scheme))


def _marks(labels: Reals, scheme: Scheme) -> list[Mask]:
    """The labels as yes and no, as the data gate takes them: 1, each of the classes, above the median."""
    if scheme.task == "multiclass":
        return [labels == place for place in range(len(scheme.classes))]
    return [labels > np.median(labels)] if scheme.task == "regression" else [labels == 1]
