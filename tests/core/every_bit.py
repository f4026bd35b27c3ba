"""Prints a digest of all that can be told of some rows, to the last bit: `python every_bit.py PICKLE`."""

from __future__ import annotations

import hashlib
import pickle
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np

from headgate.estimate import survey
from headgate.metrics import ONE_CLASS
from headgate.quality import known, metrics_of
from headgate.tally import Tally, count
from headgate.weakness import search

ALPHAS = (0.05, 1e-4, 0.05 / 54)


def bits(tally: Tally) -> Iterator[bytes]:
    """The tally itself, every metric with its bounds in every slice, and the weakest slices."""
    yield tally.to_bytes()
    named = (f"{metric}@{of}" for metric, of in product(ONE_CLASS, tally.scheme.classes))
    metrics = [m for m in (*metrics_of(tally.scheme), *named) if known(tally.scheme, m)]
    for metric, who in product(metrics, ("candidate", "champion", "difference")):
        figures = survey(tally, metric, who).figures  # type: ignore[arg-type]  # each of the product is a `Who`
        yield np.asarray(figures.value).tobytes()
        yield from (np.asarray(side).tobytes() for alpha in ALPHAS for side in figures.bounds(alpha))
    yield search(tally, dict.fromkeys(metrics, "higher"), least=30, alpha=0.05).to_bytes()


if __name__ == "__main__":
    digest = hashlib.sha256()
    for scheme, batch in pickle.loads(Path(sys.argv[1]).read_bytes()):  # noqa: S301  # the test wrote it
        for each in bits(count(scheme, batch)):
            digest.update(each)
    sys.stdout.write(digest.hexdigest())
