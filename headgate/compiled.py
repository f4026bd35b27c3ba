"""Compiled: the rows of a binary task added up in one pass, where Numba is installed (`headgate[fast]`).

It gives what the accumulator gives, to the byte, several times faster: each row is looked at once, and none is sorted.
Numba is an extra because it is larger than all the rest together.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from headgate import grid
from headgate.batch import Batch
from headgate.crossing import Array
from headgate.grid import Reals
from headgate.scheme import Scheme

WORTHWHILE = 2**15
"""With fewer rows, loading the compiled loop takes far longer than it saves."""


def serves(scheme: Scheme, batch: Batch, least: int = WORTHWHILE) -> bool:
    """Whether these rows can be added here: many, of a binary task without scores of its own, and all of them valid.

    Args:
        batch: as `headgate.batch.demanded` gives it.
    """
    plain = scheme.task == "binary" and scheme.detail == "scores" and not scheme.scores
    if not plain or not least <= batch.size < 2**31 or importlib.util.find_spec("numba") is None:
        return False
    labels = np.asarray(batch.labels)
    sound = bool(((labels == 0) | (labels == 1)).all())
    return sound and all(0.0 <= p.min() <= p.max() <= 1.0 for p in map(np.asarray, batch.predictions))  # NaN is not


def added(
    scheme: Scheme, batch: Batch, codes: Array, starts: Array, ties: Reals, each: Callable[..., Any] = map
) -> dict[str, Array]:
    """What is kept of each group, by name; the ties of all rows are told further in `ties`.

    Args:
        codes: uint16 (crossings, n), each row's group in each crossing.
        starts: uint32 (crossings + 1,), where each crossing's groups begin among all, and how many there are.
        each: `map`, or that of a pool.
    """
    from headgate import loop  # noqa: PLC0415  # only where it is wanted

    labels, scores = np.asarray(batch.labels), tuple(np.asarray(p) for p in batch.predictions)
    groups = int(starts[-1])
    counts = {name: np.zeros((groups, *shape), np.int32) for name, shape in scheme.counts.items()}
    flat = tuple(counts.get(name, counts["cells"]).reshape(groups, -1) for name in ("cells", "joint"))

    def rank(model: int) -> None:
        loop.rank(codes, starts, labels, scores[model], grid.BIN_OF, counts["histogram"][:, model], ties[model])

    def decide() -> None:
        loop.decide(codes, starts, labels, scores, scheme.threshold or 0.0, (grid.BIN_OF, grid.COARSE_OF), flat)

    def total(part: slice) -> list[Array]:
        sums = [np.zeros((groups, *shape), np.int64) for shape in scheme.sums.values()]
        some = tuple(s[part] for s in scores)
        loop.total(codes[:, part], starts, labels[part], some, (grid.INVERSE, grid.LOG_OF_MIDDLE), tuple(sums))
        return sums

    middle = len(labels) // 2
    halves = [partial(total, part) for part in (slice(middle), slice(middle, None))]
    # The longest first, so that two workers end together.
    first, second, *_ = each(_call, [*halves, decide, *(partial(rank, m) for m in range(scheme.models))])
    rows = counts["cells"].sum(axis=(1, 2, 3), dtype=np.int64)
    sums = {name: a + b for name, a, b in zip(scheme.sums, first, second, strict=True)}
    return {"rows": rows, "invalid": np.zeros_like(rows), **counts, **sums}


def _call(work: Callable[[], Any]) -> Any:
    return work()
