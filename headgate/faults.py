"""Faults: what can go wrong with a model, done on purpose to what it said about rows whose labels are known.

Each fault says which gates should see it, so that it can be measured whether they do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from headgate.arithmetic import expm1
from headgate.batch import Batch
from headgate.gate import Form, Gate
from headgate.grid import Reals
from headgate.metrics import RESOURCES, Task
from headgate.scheme import Scheme
from headgate.serving import ServingProfile
from headgate.slices import Column

Chance = np.random.Generator
Mask = NDArray[np.bool_]

TWIN_NOISE = 0.25
"""How far twins are from their origin: the standard deviation of a logit; of a number, as a share of its error's."""


@dataclass(frozen=True, eq=False)
class World:
    """Rows that are taken for all there are, so that the truth about every gate is known.

    Attributes:
        batch: the rows and what each model said; labels and predictions are float64 arrays.
        serving: None if it was not measured.
        feature: shape (n,), a column that a model could have learned from; None but for a leak.
    """

    batch: Batch
    serving: ServingProfile | None = None
    feature: Reals | None = None

    @property
    def labels(self) -> Reals:
        """The labels, shape (n,)."""
        return np.asarray(self.batch.labels, dtype=np.float64)

    @property
    def candidate(self) -> Reals:
        """What the candidate said."""
        return np.asarray(self.batch.predictions[0], dtype=np.float64)

    def saying(self, predictions: Reals) -> World:
        """The same rows with another candidate."""
        return replace(self, batch=replace(self.batch, predictions=[predictions, *self.batch.predictions[1:]]))

    def drawn(self, chance: Chance) -> World:
        """As many rows and requests, drawn from these with replacement."""
        n = self.batch.size
        at = chance.integers(0, n, n)
        rows = Batch(
            self.labels[at],
            [np.asarray(p)[at] for p in self.batch.predictions],
            {name: Column(c.parts, c.codes[at]) for name, c in self.batch.columns.items()},
            {name: [np.asarray(s)[at] for s in each] for name, each in self.batch.scores.items()},
        )
        serving = None if self.serving is None else _drawn_profile(self.serving, chance)
        return World(rows, serving, None if self.feature is None else self.feature[at])


Seeding = Callable[[World, Scheme, float, Mask, Chance], World]
"""(world, scheme, severity, the group's rows, random numbers) -> the world with the fault."""


@dataclass(frozen=True)
class Fault:
    """One thing that can go wrong.

    Attributes:
        severity: how bad it is; `told` says what the number means. otherwise: the severity if that one breaks nothing:
            doubled logits make an underconfident model better, and halved ones an overconfident one.
        tasks: where it can happen. forms, metrics: the gates that should see it; metrics None is every metric of rows.
        grouped: whether it happens to one group, so that only gates that look at groups should see it.
    """

    name: str
    severity: float
    told: str
    tasks: frozenset[Task]
    forms: frozenset[Form]
    seed: Seeding
    metrics: frozenset[str] | None = None
    grouped: bool = False
    otherwise: float | None = None

    def sees(self, gate: Gate) -> bool:
        """Whether a gate should see it, if the fault is bad enough to break the gate's limit."""
        names = {name.partition("@")[0] for name in gate.metrics}
        measured = bool(names & self.metrics) if self.metrics is not None else not names & RESOURCES.keys()
        return gate.form in self.forms and measured and (not self.grouped or bool(gate.across or gate.slices))

    def says(self, severity: float, group: str = "") -> str:
        """What happens, in words."""
        return self.told.format(severity=severity, group=group)


def twins(world: World, scheme: Scheme, chance: Chance) -> World:
    """Two models that differ and of which none is better: both are the candidate with noise of their own."""
    pair = [_blurred(world, scheme, chance) for _ in range(2)]
    scores = {
        kind.name: [_noisy(np.asarray(world.batch.scores[kind.name][0]), kind.low, kind.high, chance) for _ in pair]
        for kind in scheme.scores
    }
    return replace(world, batch=replace(world.batch, predictions=pair, scores=scores))


def _blurred(world: World, scheme: Scheme, chance: Chance) -> Reals:
    said = world.candidate
    if scheme.span is not None:
        errors = said - world.labels
        noise = chance.normal(0, TWIN_NOISE * float(np.nanstd(errors)), said.shape)
        return np.clip(said + noise, *scheme.span)
    factors = 1 + expm1(chance.normal(0, TWIN_NOISE, said.shape))
    if scheme.task == "binary":
        return said * factors / (said * factors + 1 - said)
    raised = said * factors
    return np.asarray(raised / raised.sum(axis=1, keepdims=True)) if scheme.task == "multiclass" else said


def _noisy(scores: Reals, low: float, high: float, chance: Chance) -> Reals:
    return np.clip(scores + chance.normal(0, TWIN_NOISE * float(np.nanstd(scores)), scores.shape), low, high)


def _drawn_profile(profile: ServingProfile, chance: Chance) -> ServingProfile:
    def drawn(values: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(values[i] for i in chance.integers(0, len(values), len(values))) if values else values

    many = {name: drawn(getattr(profile, name)) for name in ("latencies_us", "batches_us", "loads_ms")}
    return profile.model_copy(update=many)


def _label_noise(world: World, scheme: Scheme, severity: float, _: Mask, chance: Chance) -> World:
    labels = _mistaken(world.labels, scheme, severity, chance)
    return replace(world, batch=replace(world.batch, labels=labels))


def _mistaken(labels: Reals, scheme: Scheme, share: float, chance: Chance) -> Reals:
    """Labels of which a share is wrong: of another class, or of another row."""
    wrong = np.flatnonzero(chance.random(len(labels)) < share)
    found = labels.copy()
    if scheme.task == "regression":
        found[wrong] = labels[chance.permutation(wrong)]
        return found
    classes = max(len(scheme.classes), 2)
    found[wrong] = (labels[wrong] + chance.integers(1, classes, len(wrong))) % classes
    return found


def _dropped(world: World, scheme: Scheme, _: float, group: Mask, __: Chance) -> World:
    """The group gets what a model says that knows nothing of it: the base rate or the mean of the others."""
    said, others = world.candidate.copy(), world.labels[~group]
    others = others[np.isfinite(others)]
    if scheme.task == "multiclass":
        said[group] = np.bincount(others.astype(np.int64), minlength=len(scheme.classes)) / max(len(others), 1)
    else:
        said[group] = others.mean() if len(others) else np.nan
    return world.saying(said)


def _rescaled(world: World, scheme: Scheme, severity: float, _: Mask, __: Chance) -> World:
    said = world.candidate
    if scheme.task == "binary":
        said = np.stack([1 - said, said], axis=1)
    raised = said**severity
    shares = raised / raised.sum(axis=1, keepdims=True)
    return world.saying(np.asarray(shares[:, 1] if scheme.task == "binary" else shares))


def _shuffled(world: World, _: Scheme, __: float, group: Mask, chance: Chance) -> World:
    said = world.candidate.copy()
    said[group] = chance.permutation(said[group])
    return world.saying(said)


def _leaked(world: World, scheme: Scheme, severity: float, _: Mask, chance: Chance) -> World:
    """A feature that is the label but for a few rows, and a candidate that says nothing else."""
    labels, classes = world.labels, max(len(scheme.classes), 2)
    feature = _mistaken(labels, scheme, severity, chance)
    if scheme.task == "regression":
        return replace(world.saying(feature), feature=feature)
    sure = np.full((len(labels), classes), severity / (classes - 1))
    known = np.isfinite(feature)
    sure[known, feature[known].astype(np.int64)] = 1 - severity
    said = sure[:, 1] if scheme.task == "binary" else sure
    return replace(world.saying(np.asarray(said)), feature=feature)


def _misaligned(world: World, _: Scheme, severity: float, __: Mask, ___: Chance) -> World:
    return world.saying(np.roll(world.candidate, int(severity), axis=0))


def _slow(world: World, _: Scheme, severity: float, __: Mask, ___: Chance) -> World:
    if world.serving is None:
        return world
    whole = {name: tuple(int(t * severity) for t in getattr(world.serving, name)) for name in _MICROSECONDS}
    loads = tuple(t * severity for t in world.serving.loads_ms)
    return replace(world, serving=world.serving.model_copy(update={**whole, "loads_ms": loads}))


_MICROSECONDS = ("latencies_us", "batches_us")
_ANY: frozenset[Task] = frozenset({"binary", "multiclass", "regression", "scored"})
_OF_LABELS: frozenset[Task] = frozenset({"binary", "multiclass", "regression"})
_CLASSES: frozenset[Task] = frozenset({"binary", "multiclass"})
_PAIRED: frozenset[Form] = frozenset({"limit", "champion", "relative"})
_GROUPED: frozenset[Form] = frozenset({*_PAIRED, "gap", "ratio", "weakness"})
_PROBABILITY = frozenset(
    {"log_loss", "brier_score", "expected_calibration_error", "calibration_in_the_large", "calibration_slope"}
)
_TIMES = frozenset(name for name in RESOURCES if not name.endswith("_mib"))

LEAK, SLOW = "leaked-feature", "slow-model"

FAULTS: tuple[Fault, ...] = (
    Fault("label-noise", 0.3, "{severity:.0%} of the labels are wrong", _OF_LABELS, frozenset({"limit"}), _label_noise),
    Fault(
        "dropped-subgroup", 1.0, "{group}: as if never seen in training", _OF_LABELS, _GROUPED, _dropped, grouped=True
    ),
    Fault(
        "miscalibration", 2.0, "logits times {severity:g}", _CLASSES, _GROUPED, _rescaled, _PROBABILITY, otherwise=0.5
    ),
    Fault("shuffled-subgroup", 1.0, "{group}: scores permuted", _OF_LABELS, _GROUPED, _shuffled, grouped=True),
    Fault(
        LEAK,
        0.005,
        "a feature is the label in all but {severity:.1%} of the rows",
        _OF_LABELS,
        frozenset({"ceiling"}),
        _leaked,
    ),
    Fault(SLOW, 2.0, "answers take {severity:.3g} times as long", _ANY, _PAIRED, _slow, _TIMES),
    Fault("misaligned-rows", 1.0, "predictions are off by {severity:.0f} row", _OF_LABELS, _PAIRED, _misaligned),
)
"""Every fault that is seeded. The severity of a slow model is how many times a limit its times are to be."""
