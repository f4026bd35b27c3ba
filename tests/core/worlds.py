"""Made-up worlds: rows, a model that is sound, and a policy whose gates it passes with something to spare."""

from __future__ import annotations

from typing import Any

import numpy as np

from headgate.batch import Batch
from headgate.faults import World
from headgate.gate import Gate
from headgate.policy import About, Confidence, Data, Policy
from headgate.serving import ServingProfile
from headgate.slices import columns_from

GATES = (
    Gate(metric="roc_auc", min=0.7),
    Gate(metric="roc_auc", suspicious_above=0.98),
    Gate(metric="accuracy", min=0.68),
    Gate(metric="expected_calibration_error", max=0.08),
    Gate(name="no-worse", metric="log_loss", against="champion", max_increase=0.03),
    Gate(name="by-group", metric="roc_auc", against="champion", max_decrease=0.1, slices=("sex",)),
    Gate(name="gap", metric="true_positive_rate", gap_across=("sex",), max=0.2),
    Gate(metric="latency_p99_ms", max=50.0),
)


def policy(*gates: Gate, alpha: float = 0.05, **data: Any) -> Policy:
    """A policy of these gates, or of `GATES`; only what gates are judged by."""
    told = data.pop("task", "binary")
    about = About(name="m", task=told, owner="o", tier="low", purpose="p")
    rows = Data(train="t", evaluate="e", label="y", id="i", slices=("sex",), min_slice_rows=50, **data)
    return Policy.model_construct(
        model=about,
        data=rows,
        gate=gates or GATES,
        threshold=0.5,
        confidence=Confidence(alpha=alpha),
        score=None,
        metric=(),
    )


def served() -> ServingProfile:
    times = np.random.default_rng(3).gamma(4.0, 1_000.0, 400).astype(int).tolist()
    return ServingProfile(latencies_us=tuple(times), loads_ms=(20.0,), peak_memory_mib=200.0)


def sexes(n: int, chance: np.random.Generator) -> dict[str, Any]:
    return columns_from({"sex": np.where(chance.random(n) < 0.4, "f", "m").astype(object).tolist()})


def binary(n: int = 1_500, seed: int = 1) -> World:
    """Labels that the scores are right about: calibrated, with an AUC of about 0.8."""
    chance = np.random.default_rng(seed)
    scores = 1 / (1 + np.exp(-1.5 * chance.normal(size=n)))
    labels = (chance.random(n) < scores).astype(float)
    return World(Batch(labels, [scores], sexes(n, chance)), served())


def multiclass(n: int = 1_500, seed: int = 2) -> World:
    chance = np.random.default_rng(seed)
    shares = np.exp(1.5 * chance.normal(size=(n, 3)))
    shares /= shares.sum(axis=1, keepdims=True)
    labels = (chance.random(n)[:, None] > shares.cumsum(axis=1)).sum(axis=1).clip(0, 2).astype(float)
    return World(Batch(labels, [shares], sexes(n, chance)), None)


def regression(n: int = 1_500, seed: int = 3) -> World:
    chance = np.random.default_rng(seed)
    labels = chance.normal(0, 1, n).clip(-5, 5)
    said = (labels + chance.normal(0, 0.3, n)).clip(-5, 5)
    return World(Batch(labels, [said], sexes(n, chance)), None)
