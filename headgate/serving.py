"""The serving profile: how fast the candidate answered and how large it was, as measured in a fresh process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

from pydantic import Field

from headgate.bounds import quantile
from headgate.estimate import Estimate, Unmeasurable
from headgate.value import Document

Amount = Annotated[float, Field(ge=0)]
Microseconds = Annotated[int, Field(ge=0)]

_LATENCIES = {"latency_p50_ms": 50, "latency_p95_ms": 95, "latency_p99_ms": 99}


class ServingProfile(Document):
    """What was measured. What is empty was not, and its gates are ERROR.

    Attributes:
        latencies_us: one single-row prediction each, in microseconds, warm-up excluded.
        batch_rows: rows of each of the batches; batches_us: microseconds to predict one batch each, the first excluded.
        loads_ms: milliseconds to load the model, again and again in one process. The first also imports what the model
            needs beyond the libraries that were there, and reads files that may not be in the system's cache.
        peak_memory_mib: the largest resident memory of the process when the single rows were predicted, in MiB.
        model_bytes: the size of all registered files.
    """

    subject: ClassVar[str] = "the serving profile"
    expected: ClassVar[str] = "its six fields"
    next_step: ClassVar[str] = "measure serving again"

    latencies_us: tuple[Microseconds, ...]
    batch_rows: Annotated[int, Field(ge=0)] = 0
    batches_us: tuple[Microseconds, ...] = ()
    loads_ms: tuple[Amount, ...]
    peak_memory_mib: Amount
    model_bytes: Annotated[int, Field(ge=0)] | None = None

    def estimate(self, metric: str) -> Estimate | Unmeasurable:
        """One of `headgate.metrics.RESOURCES`.

        Latencies, the throughput (of the median batch) and the time to load (of the median load) have distribution-free
        bounds from order statistics. The memory is one observed maximum: its bounds are the value itself and say
        nothing about other runs. The size is what it is.
        """
        if metric in _LATENCIES:
            return _quantile([us / 1000 for us in sorted(self.latencies_us)], _LATENCIES[metric], "latency")
        if metric == "load_ms":
            return _quantile(sorted(self.loads_ms), 50, "load")
        if metric == "throughput_rows_per_s":
            rates = [1e6 * self.batch_rows / max(us, 1) for us in self.batches_us if self.batch_rows]
            return _quantile(sorted(rates), 50, "batch")
        if metric == "peak_memory_mib":
            return _exact(self.peak_memory_mib, "one observed maximum, no interval")
        if metric == "model_size_mib" and self.model_bytes:
            return _exact(self.model_bytes / 2**20, "counted, exact")
        return Unmeasurable("no file was counted" if metric == "model_size_mib" else f"{metric} is not served")


def _quantile(ascending: Sequence[float], percent: int, what: str) -> Estimate | Unmeasurable:
    """The smallest value that so many percent are not above, with order statistics for bounds."""
    n = len(ascending)
    if not n:
        return Unmeasurable(f"no {what} was measured")
    value, share = ascending[-(-percent * n // 100) - 1], percent / 100
    return Estimate(value, n, n, "order statistics", lambda alpha: quantile(ascending, share, alpha))


def _exact(value: float, method: str) -> Estimate:
    return Estimate(value, 1, 1, method, lambda _: (value, value))
