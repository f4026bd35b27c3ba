"""Rehearsal: the gates tried where nothing is wrong, where a limit is just broken, and where a fault was seeded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from headgate.alteration import chance_of
from headgate.calibration import ANY, Event, Kind, Silence, Trial
from headgate.contest import Contest, Key, Seen, Watched
from headgate.faults import FAULTS, Mask, World, twins
from headgate.gate import Gate
from headgate.metrics import RESOURCES
from headgate.scheme import Scheme
from headgate.seeding import Ground, tried


@dataclass(frozen=True)
class Rehearsed:
    """What was measured, the faults that no gate answers, and what was left out."""

    trials: tuple[Trial, ...]
    silences: tuple[Silence, ...]
    notes: tuple[str, ...]


def rehearse(contest: Contest, world: World) -> Rehearsed:
    """Try every gate of the policy that has something to look at.

    Args:
        world: the rows, what one model said of them, and how it was served.
    """
    gates, scheme, pair = _able(contest, world), Scheme.of(contest.policy, 1), _paired(world)
    itself = contest.watch("itself", gates, pair)
    trials = [*_sound("itself", itself, contest), *_beyond(itself, contest, [g for g in gates if not g.against])]
    compared = [gate for gate in gates if gate.against]
    if compared:
        apart = contest.watch("twins", compared, twins(pair, scheme, chance_of(contest.seed, "twins")))
        trials += [*_sound("twins", apart, contest), *_beyond(apart, contest, compared)]
    ground = Ground(contest, scheme, tuple(gates), pair, itself.truth)
    seeded = [found for fault in FAULTS for found in tried(ground, fault)]
    return Rehearsed(
        trials=(*trials, *(found for found in seeded if isinstance(found, Trial))),
        silences=tuple(found for found in seeded if isinstance(found, Silence)),
        notes=(*_unable(contest, world), *_undecided(itself), _on_the_table(itself)),
    )


def _able(contest: Contest, world: World) -> list[Gate]:
    return [g for g in contest.policy.gate if g.form != "scenarios" and (world.serving or g.metric not in RESOURCES)]


def _unable(contest: Contest, world: World) -> Iterator[str]:
    able = {gate.label for gate in _able(contest, world)}
    for gate in contest.policy.gate:
        if gate.label not in able:
            why = "scenarios ask the model itself" if gate.form == "scenarios" else "serving was not measured"
            yield f"{gate.label} was not tried: {why}"


def _undecided(watched: Watched) -> Iterator[str]:
    for (gate, place), seen in watched.truth.items():
        if seen.values is None:
            yield f"{gate} in {place} was not tried: it cannot be decided on this table"


def _on_the_table(watched: Watched) -> str:
    passed = sum(seen.passes(seen.spans) for seen in watched.truth.values())
    return f"the model against itself, on the table as it is: {passed} of {len(watched.truth)} comparisons pass"


def _paired(world: World) -> World:
    """The model as candidate and as champion."""
    twice = {name: [each[0]] * 2 for name, each in world.batch.scores.items()}
    return replace(world, batch=replace(world.batch, predictions=[world.candidate] * 2, scores=twice))


def _sound(kind: Kind, watched: Watched, contest: Contest) -> Iterator[Trial]:
    """Each comparison's false halts, or false passes if the world itself breaks its limit; the family's false FAILs."""
    for key, seen in watched.truth.items():
        if seen.broken:
            yield _trial(kind, key, seen, "false pass", watched.passes[key], contest.alpha)
        elif seen.values is not None:
            yield _trial(kind, key, seen, "false halt", ~watched.passes[key], seen.shortfall(contest.alpha))
    if not any(seen.broken for seen in watched.truth.values()):
        yield _trial(kind, (ANY, ""), None, "false FAIL", watched.alarms, contest.alpha)


def _beyond(watched: Watched, contest: Contest, gates: Sequence[Gate]) -> Iterator[Trial]:
    labels = {gate.label for gate in gates}
    for key, passed in watched.beyond.items():
        if key[0] in labels:
            found = _trial("at the limit", key, watched.truth[key], "false pass", passed, contest.alpha)
            yield found.model_copy(update={"limit": found.value})


def _trial(kind: Kind, key: Key, seen: Seen | None, event: Event, counted: Mask, declared: float) -> Trial:
    value, limit = (None, None) if seen is None else seen.nearest
    return Trial(
        world=kind,
        gate=key[0],
        slice=key[1],
        event=event,
        value=value,
        limit=limit,
        times=int(counted.sum()),
        runs=len(counted),
        declared=declared,
    )
