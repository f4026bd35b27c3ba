"""Multiclass: what a row with a class number and probabilities per class and model adds to a tally."""

from __future__ import annotations

import numpy as np

from headgate import grid
from headgate.batch import Batch, arrays_of
from headgate.binary import joint_cells, reliability
from headgate.contribution import Addends, Contribution, Mask, in_range, means_of, valid_scores
from headgate.grid import Cells, Reals
from headgate.scheme import Scheme

SUM_TOLERANCE = 1e-3
"""By how much a row's probabilities may miss a sum of 1: float32 softmax misses by less."""


def contribution(scheme: Scheme, batch: Batch) -> Contribution:
    """The confusion, the histograms of each class against the rest, losses and residuals of some rows.

    The decision is the first class with the highest probability. A row is valid with a class number and, per model,
    probabilities in [0, 1] that add up to 1.
    """
    labels, predictions, custom = arrays_of(scheme, batch)
    k = len(scheme.classes)
    valid = np.isin(labels, np.arange(k)) & valid_scores(scheme, custom, len(labels))
    for probabilities in predictions:
        valid &= _distribution(probabilities)
    y = labels[valid].astype(np.int32)
    models = [probabilities[valid] for probabilities in predictions]
    kept = [[numbers[valid] for numbers in each] for each in custom]
    chosen = [p.argmax(axis=1).astype(np.int32) for p in models]
    losses = [grid.log_losses_of(p[np.arange(len(y)), y]) for p in models]
    return Contribution(
        valid=valid,
        counts=_counts(k, y, models, chosen),
        sums={
            "means": [means_of(scheme, [losses, [_brier(y, p) for p in models], *kept])],
            "reliability": [_reliability(m, p, y, d) for m, (p, d) in enumerate(zip(models, chosen, strict=True))],
        },
    )


def _distribution(probabilities: Reals) -> Mask:
    inside = in_range(probabilities, 0.0, 1.0).all(axis=1)
    result: Mask = inside & (np.abs(probabilities.sum(axis=1) - 1) <= SUM_TOLERANCE)
    return result


def _brier(y: Cells, probabilities: Reals) -> Reals:
    """Brier's own score, the squared distance from the certain forecast: in [0, 2]."""
    far = np.square(probabilities).sum(axis=1) - 2 * probabilities[np.arange(len(y)), y] + 1
    return np.asarray(far.clip(0, 2))


def _counts(k: int, y: Cells, models: list[Reals], chosen: list[Cells]) -> dict[str, list[Cells]]:
    confusion = y * k + chosen[0]
    if len(chosen) == 2:
        confusion = confusion * k + chosen[1]
    counts: dict[str, list[Cells]] = {"confusion": [confusion], "histogram": [], "joint": []}
    for c in range(k):
        one, bins = (y == c).astype(np.int32), [grid.bins_of(p[:, c]) for p in models]
        for m, b in enumerate(bins):
            counts["histogram"].append((((c * len(models) + m) * 2) + one) * np.int32(grid.BINS) + b)
        if len(models) == 2:
            counts["joint"].append(joint_cells(one, bins) + np.int32(c * 2 * grid.COARSE_BINS**2))
    return counts if len(models) == 2 else {name: cells for name, cells in counts.items() if name != "joint"}


def _reliability(model: int, probabilities: Reals, y: Cells, chosen: Cells) -> Addends:
    confidence = probabilities[np.arange(len(y)), chosen]
    return reliability(model, confidence, (chosen == y) - confidence)
