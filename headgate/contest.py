"""Contest: the gates of a policy against rows whose truth is known, drawn again and again.

A table of rows is taken for all there are (Efron's bootstrap world, Annals of Statistics 7 (1979)), so what each gate
compares has a known value there, and a resample of as many rows is what an evaluation would have seen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.special import ndtr, ndtri

from headgate.alteration import chance_of
from headgate.bounds import Bounds
from headgate.claims import Comparison, Measured, comparisons
from headgate.estimate import Estimate
from headgate.faults import Mask, World
from headgate.gate import Form, Gate
from headgate.policy import Policy
from headgate.reasons import Claim, Span, bounds_at, excesses
from headgate.scheme import Scheme
from headgate.slices import as_tuple
from headgate.tally import count

Key = tuple[str, str]
"""A gate's label and a slice: one comparison."""

Progress = Callable[[str, int, int], None]
"""(what is resampled, runs that are done, of how many)."""


@dataclass(frozen=True)
class Seen:
    """One comparison of a gate of some form, with the bounds of its claims; a gap or ratio has several."""

    form: Form
    claims: tuple[Claim, ...]
    bounds: tuple[Bounds | None, ...]

    def passes(self, spans: Sequence[Span]) -> bool:
        """Whether every claim is confirmed, as `judge` would say PASS."""
        return len(spans) == len(self.claims) > 0 and all(
            _confirmed(*each) for each in zip(self.claims, self.bounds, spans, strict=True)
        )

    @property
    def spans(self) -> tuple[Span, ...]:
        """Where the gate wants the claims to be."""
        return tuple(claim.span for claim in self.claims)

    @property
    def values(self) -> tuple[float, ...] | None:
        """What was estimated; None if anything could not be, or is too few rows to say."""
        each = [c.estimate.value for c in self.claims if isinstance(c.estimate, Estimate) and c.short is None]
        return tuple(each) if 0 < len(each) == len(self.claims) else None

    @property
    def broken(self) -> bool:
        """Whether a value is outside of where the gate wants it."""
        return self.values is not None and any(
            not span.low <= value <= span.high for value, span in zip(self.values, self.spans, strict=True)
        )

    @property
    def nearest(self) -> tuple[float, float]:
        """The value that is farthest out, or nearest to being out, and the end of the span it is nearest to."""
        pairs = list(zip(self.values or (), self.spans, strict=True))
        value, span = max(pairs, key=lambda pair: max(excesses(pair[1], (pair[0], pair[0]))))
        low, high = excesses(span, (value, value))
        return value, span.low if low >= high else span.high

    @property
    def excess(self) -> float:
        """How far the value is outside of, or from, the end it is nearest to."""
        value, end = self.nearest
        return abs(value - end)

    def beyond(self) -> tuple[Span, ...]:
        """Spans whose limit is moved to where the values are just outside of it; of a band, its nearer end."""
        values = self.values or ()
        if self.form == "gap":
            most = float(np.nextafter(max(map(abs, values)), -math.inf))
            return (Span(-most, most),) * len(values)
        lowest, (_, end) = min(values), self.nearest
        if end == self.spans[0].high:
            return (Span(-math.inf, float(np.nextafter(lowest, -math.inf))),) * len(values)
        return (Span(float(np.nextafter(lowest, math.inf)), math.inf),) * len(values)

    def shortfall(self, alpha: float) -> float:
        """At most how often it does not pass by bad luck, if the bounds' reach is a multiple of the standard error."""
        z = float(-ndtri(alpha))
        chances = [_chance(*each, z) for each in zip(self.values or (), self.bounds, self.spans, strict=True)]
        return min(1.0, sum(1 - chance for chance in chances))


def _chance(value: float, bounds: Bounds | None, span: Span, z: float) -> float:
    """The chance that the bounds come inside the span."""
    if bounds is None:
        return 0.0
    ends = [(span.high - value, bounds[1] - value), (value - span.low, value - bounds[0])]
    missed = [float(ndtr(z - z * room / reach)) if reach > 0 else float(room < 0) for room, reach in ends]
    return max(0.0, 1 - sum(missed))


def _confirmed(claim: Claim, bounds: Bounds | None, span: Span) -> bool:
    if claim.short is not None or bounds is None:
        return False
    return span.low <= bounds[0] <= bounds[1] <= span.high


@dataclass(frozen=True)
class Watched:
    """What came of resamples; each mask has the shape (runs,).

    Attributes:
        truth: what is so in the world itself.
        passes: where each comparison passed; beyond: where it passed with its limit just out of reach.
        alarms: where anything at all was FAIL, Holm-corrected over the family.
    """

    truth: Mapping[Key, Seen]
    passes: Mapping[Key, Mask]
    beyond: Mapping[Key, Mask]
    alarms: Mask


@dataclass(frozen=True)
class Contest:
    """A policy, and how its gates are to be tried.

    Attributes:
        runs: resamples per world. seed: of all random numbers. progress: told after each.
    """

    policy: Policy
    runs: int
    seed: int
    progress: Progress | None = None

    @cached_property
    def alpha(self) -> float:
        """The policy's."""
        return self.policy.confidence.alpha

    def look(self, gates: Sequence[Gate], world: World, keys: Collection[Key] | None = None) -> dict[Key, Seen]:
        """Every comparison that some gates make in a world; with `keys`, only those."""
        return {key: self._seen(c) for key, c in self._compared(gates, world) if keys is None or key in keys}

    def watch(self, name: str, gates: Sequence[Gate], world: World) -> Watched:
        """Every comparison of some gates, in a world and in resamples of it."""
        truth = self.look(gates, world)
        beyond = {key: seen.beyond() for key, seen in truth.items() if seen.values is not None}
        passes, near = ({key: np.zeros(self.runs, np.bool_) for key in keys} for keys in (truth, beyond))
        alarms = np.zeros(self.runs, np.bool_)
        for run, found in enumerate(self._resamples(name, gates, world)):
            alarms[run] = self._alarm(found)
            for key, seen in found.items():
                if key in passes:
                    passes[key][run] = seen.passes(seen.spans)
                if key in near:
                    near[key][run] = seen.passes(beyond[key])
        return Watched(truth, passes, near, alarms)

    def halts(self, name: str, gates: Sequence[Gate], world: World, keys: Collection[Key]) -> dict[Key, Mask]:
        """Where some comparisons did not pass in resamples of a world; each mask has the shape (runs,)."""
        halted = {key: np.ones(self.runs, np.bool_) for key in keys}
        for run, found in enumerate(self._resamples(name, gates, world, keys)):
            for key, seen in found.items():
                halted[key][run] = not seen.passes(seen.spans)
        return halted

    def draws(self, name: str, world: World) -> Iterator[World]:
        """The resamples of a world, the same for the same seed and name."""
        chance = chance_of(self.seed, name)
        for run in range(self.runs):
            yield world.drawn(chance)
            if self.progress is not None:
                self.progress(name, run + 1, self.runs)

    def _resamples(
        self, name: str, gates: Sequence[Gate], world: World, keys: Collection[Key] | None = None
    ) -> Iterator[dict[Key, Seen]]:
        return (self.look(gates, drawn, keys) for drawn in self.draws(name, world))

    def _compared(self, gates: Sequence[Gate], world: World) -> Iterator[tuple[Key, Comparison]]:
        models = 2 if any(gate.against for gate in gates) else 1
        each = {name: scores[:models] for name, scores in world.batch.scores.items()}
        tally = count(
            self._scheme(gates, models), replace(world.batch, predictions=world.batch.predictions[:models], scores=each)
        )
        # Nobody keeps a resample as evidence, and to digest it takes longer than to judge it.
        vars(tally)["digest"] = ""
        given = Measured(tally, world.serving, None, models == 2)
        return (((gate.label, c.slice), c) for gate in gates for c in comparisons(self.policy, gate, given))

    def _scheme(self, gates: Sequence[Gate], models: int) -> Scheme:
        """What these gates need to be tallied, and no more."""
        whole = Scheme.of(self.policy, models)
        pieces = [piece for gate in gates for piece in pieces_of(gate, whole.slices)]
        needed = {frozenset(piece) for piece in pieces}
        return replace(whole, slices=tuple(s for s in whole.slices if frozenset(s) in needed))

    def _seen(self, c: Comparison) -> Seen:
        return Seen(c.gate.form, c.claims, tuple(bounds_at(claim.estimate, self.alpha) for claim in c.claims))

    def _alarm(self, found: Mapping[Key, Seen]) -> bool:
        """Whether any claim of harm is made: Holm's first step over all claims."""
        claims = [claim for seen in found.values() for claim in seen.claims]
        return any(_harmed(claim, self.alpha / len(claims)) for claim in claims)


def _harmed(claim: Claim, alpha: float) -> bool:
    estimate, span = claim.estimate, claim.span
    if not isinstance(estimate, Estimate) or claim.short is not None or span.low <= estimate.value <= span.high:
        return False
    sides = 2 if math.isfinite(span.low) and math.isfinite(span.high) else 1
    lower, upper = estimate.bounds(alpha / sides)
    return lower > span.high or upper < span.low


def pieces_of(gate: Gate, slices: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The slices that a gate needs, `within` included; those of `slices` for "each"."""
    if gate.slices == "each":
        return list(slices)
    inner = () if gate.within is None else as_tuple(gate.within)
    return [(*as_tuple(piece), *inner) for piece in (*gate.across, *(gate.slices or ()))]
