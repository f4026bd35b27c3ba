"""Regression: what a row with a number as label and one per model as prediction adds to a tally."""

from __future__ import annotations

import numpy as np

from headgate import grid
from headgate.batch import Batch, arrays_of
from headgate.contribution import Addends, Contribution, in_range, means_of, valid_scores
from headgate.grid import Cells, Reals
from headgate.scheme import ERROR_BINS, Scheme

_LINEAR = 1024
_LOW_POWER = 10
_STEPS = ERROR_BINS - _LINEAR

ERROR_EDGES: Reals = np.concatenate(
    [
        np.arange(_LINEAR) / (_LINEAR * 2.0**_LOW_POWER),
        # Whole numbers of 2^-36, none of them near a half before it is rounded: no library's last bit moves an edge.
        [round(2.0 ** (grid.QUANTUM - _LOW_POWER * (1 - k / _STEPS))) / 2.0**grid.QUANTUM for k in range(_STEPS + 1)],
    ]
)
"""Edges of the bins of |error| / range: 1024 equal steps up to 1/1024, then steps of 0.68% up to 1."""


def contribution(scheme: Scheme, batch: Batch) -> Contribution:
    """The errors, their powers, and the label's powers that R² needs.

    A row is valid if its label and every prediction lie in `scheme.span`.
    """
    labels, predictions, custom = arrays_of(scheme, batch)
    low, high = scheme.span or (0.0, 0.0)
    valid = in_range(labels, low, high) & valid_scores(scheme, custom, len(labels))
    for numbers in predictions:
        valid &= in_range(numbers, low, high)
    y = labels[valid]
    errors = [numbers[valid] - y for numbers in predictions]
    kept = [[numbers[valid] for numbers in each] for each in custom]
    sizes = [np.abs(e) for e in errors]
    means = means_of(scheme, [errors, sizes, [e * e for e in errors], *kept])
    return Contribution(
        valid=valid,
        counts={"errors": [error_bins(s / (high - low)) + np.int32(m * ERROR_BINS) for m, s in enumerate(sizes)]},
        sums={"means": [means], "labels": [_labels((y - low) / (high - low), errors, high - low)]},
    )


def error_bins(shares: Reals) -> Cells:
    """The bin (lo, hi] of |error| / range in [0, 1]; 0 belongs to the first."""
    bins = np.searchsorted(ERROR_EDGES, shares, side="left") - 1
    return bins.clip(0, ERROR_BINS - 1).astype(np.int32)


def _labels(y: Reals, errors: list[Reals], width: float) -> Addends:
    """y, y², y³, y⁴ and per model e² y, e² y², of labels and errors as shares of the range."""
    squares = [np.square(e / width) for e in errors]
    columns = [y, (y2 := y * y), y2 * y, y2 * y2, *(s * power for s in squares for power in (y, y2))]
    scaled = np.stack(columns) * 2.0**grid.QUANTUM
    rest = grid.whole(scaled)
    return Addends(scaled, rest)


def scored(scheme: Scheme, batch: Batch) -> Contribution:
    """What a row of a scored task adds: its scores alone."""
    _, _, custom = arrays_of(scheme, batch)
    valid = valid_scores(scheme, custom, len(custom[0][0]))
    kept = [[numbers[valid] for numbers in each] for each in custom]
    return Contribution(valid=valid, sums={"means": [means_of(scheme, kept)]})
