"""Binary: what a row with a label of 0 or 1 and a score per model adds to a tally."""

from __future__ import annotations

import numpy as np

from headgate import grid
from headgate.batch import Batch, arrays_of
from headgate.contribution import Addends, Contribution, in_range, means_of, valid_scores
from headgate.grid import Cells, Reals
from headgate.scheme import Scheme


def contribution(scheme: Scheme, batch: Batch) -> Contribution:
    """The decisions, histograms, joint bins, losses and residuals of some rows.

    A score in [0, 1] and a label of 0 or 1 make a row valid.
    """
    labels, predictions, custom = arrays_of(scheme, batch)
    valid = ((labels == 0) | (labels == 1)) & valid_scores(scheme, custom, len(labels))
    for scores in predictions:
        valid &= in_range(scores, 0.0, 1.0)
    if not valid.all():
        labels, predictions = labels[valid], [scores[valid] for scores in predictions]
        custom = [[numbers[valid] for numbers in each] for each in custom]
    if scheme.detail == "decisions":
        return Contribution(valid, {"cells": [_decisions(labels.astype(np.int32), predictions, scheme)]})
    predictions = [scores + 0.0 for scores in predictions]  # -0.0 is 0.0, or their ties would be spelled apart
    y, bins = labels.astype(np.int32), [grid.bins_of(scores) for scores in predictions]
    losses = [grid.log_losses(labels, scores) for scores in predictions]
    residuals = [labels - scores for scores in predictions]
    return Contribution(
        valid=valid,
        counts=_counts(y, _decisions(y, predictions, scheme), bins),
        sums={
            "means": [means_of(scheme, [losses, [e * e for e in residuals], *custom])],
            "reliability": [reliability(m, *each) for m, each in enumerate(zip(predictions, residuals, strict=True))],
        },
        scores=list(zip(predictions, bins, strict=True)),
    )


def _decisions(y: Cells, predictions: list[Reals], scheme: Scheme) -> Cells:
    """Flat cells of (2, 2, 2); without a champion, its decision is 0."""
    cells = 4 * y
    for weight, scores in zip((2, 1), predictions, strict=False):
        cells += np.int32(weight) * (scores >= (scheme.threshold or 0.0))
    return cells


def _counts(y: Cells, decisions: Cells, bins: list[Cells]) -> dict[str, list[Cells]]:
    counts = {"cells": [decisions], "histogram": histogram_cells(y, bins)}
    return {**counts, "joint": [joint_cells(y, bins)]} if len(bins) == 2 else counts


def histogram_cells(y: Cells, bins: list[Cells]) -> list[Cells]:
    """Flat cells of (models, 2, BINS)."""
    return [(2 * m + y) * np.int32(grid.BINS) + b for m, b in enumerate(bins)]


def joint_cells(y: Cells, bins: list[Cells]) -> Cells:
    """Flat cells of (2, COARSE_BINS, COARSE_BINS)."""
    candidate, champion = (grid.COARSE_OF[b] for b in bins)
    size = np.int32(grid.COARSE_BINS)
    return (y * size + candidate) * size + champion


def reliability(model: int, scores: Reals, residuals: Reals) -> Addends:
    """Residual, its square and its cube, by the tenth that the score falls into."""
    columns = np.empty((3, len(scores)))
    grid.powers(residuals, out=columns)
    cells = grid.tenths_of(scores) + np.int32(model * grid.CALIBRATION_BINS)
    return Addends(np.rint(columns, out=columns), cells=cells)
