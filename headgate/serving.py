"""The serving profile: how fast the candidate answered and how much memory it took, as measured in a fresh process."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from headgate.bounds import quantile
from headgate.canonical import canonical, digest_of, parse
from headgate.errors import BadInput
from headgate.estimate import Estimate, Unmeasurable

Amount = Annotated[float, Field(ge=0)]


class ServingProfile(BaseModel):
    """What was measured.

    Attributes:
        latencies_us: one single-row prediction each, in microseconds, warm-up excluded.
        load_ms: milliseconds to load the model.
        peak_memory_mib: the largest resident memory of the process, in MiB.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    latencies_us: tuple[Annotated[int, Field(ge=0)], ...]
    load_ms: Amount
    peak_memory_mib: Amount

    @cached_property
    def digest(self) -> str:
        """The digest of the profile's bytes."""
        return digest_of(self.to_bytes())

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        return canonical(self.model_dump(mode="json"))

    @classmethod
    def from_bytes(cls, data: bytes) -> ServingProfile:
        """The profile that `to_bytes` wrote.

        Raises:
            Tampered: bytes that are not canonical JSON.
            BadInput: not a serving profile.
        """
        parse(data)
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            raise BadInput(
                "the serving profile", got=str(error), expected="its three fields", next_step="measure serving again"
            ) from error

    def estimate(self, metric: str) -> Estimate | Unmeasurable:
        """`latency_p99_ms` with distribution-free bounds, or `peak_memory_mib`.

        The memory is one observed maximum: its bounds are the value itself and say nothing about other runs.
        """
        if metric == "peak_memory_mib":
            peak = self.peak_memory_mib
            return Estimate(peak, 1, 1, "one observed maximum, no interval", lambda _: (peak, peak))
        if metric != "latency_p99_ms" or not self.latencies_us:
            return Unmeasurable("no latency was measured" if metric == "latency_p99_ms" else f"{metric} is not served")
        ascending = [us / 1000 for us in sorted(self.latencies_us)]
        n = len(ascending)
        value = ascending[-(-99 * n // 100) - 1]
        return Estimate(value, n, n, "order statistics", lambda alpha: quantile(ascending, 0.99, alpha))
