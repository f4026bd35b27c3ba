"""Gauge: what a router counts, for Prometheus, in a registry of its own."""

from __future__ import annotations

from threading import Lock
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

MOST_SERIES = 1000
"""Combinations of labels that are told apart; what comes after them is counted as `other`."""

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
OTHER: Final = "other"


class Gauges:
    """The counters of one router. Threads may share them."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._series: set[tuple[str, ...]] = set()
        self._adding = Lock()
        r = self._registry
        names = ("model", "stage", "version", "outcome")
        self._rows = Counter("headgate_router_rows", "Rows asked, by what came of them", names, registry=r)
        self._seconds = Histogram(
            "headgate_router_seconds", "From a request to its answer", ("model",), buckets=_SECONDS, registry=r
        )
        self._loads = Counter(
            "headgate_router_load_failures", "Versions that could not be opened", ("model", "version"), registry=r
        )
        self._lost = Counter("headgate_router_telemetry_lost", "Lines that were not kept", ("kind",), registry=r)
        self._kept = Counter(
            "headgate_router_told", "Outcomes and reports that were kept", ("model", "kind"), registry=r
        )
        self._fenced = Counter("headgate_router_fenced", "Requests that went no further", ("status",), registry=r)
        self._age = Gauge("headgate_router_ledger_age_seconds", "Since a ledger was read", ("model",), registry=r)

    def row(self, model: str, stage: str, version: int, outcome: str) -> None:
        """One row was answered or not."""
        labels = (model, stage, str(version), outcome)
        with self._adding:
            if labels not in self._series and len(self._series) >= MOST_SERIES:
                labels = (OTHER, OTHER, OTHER, outcome)
            self._series.add(labels)
        self._rows.labels(*labels).inc()

    def request(self, model: str, seconds: float) -> None:
        """One request was answered or not."""
        self._seconds.labels(model).observe(seconds)

    def unopened(self, model: str, version: int) -> None:
        """A version could not be opened."""
        self._loads.labels(model, str(version)).inc()

    def lost(self, kind: str, lines: int) -> None:
        """Lines of telemetry were not kept."""
        self._lost.labels(kind).inc(lines)

    def told(self, model: str, kind: str, lines: int) -> None:
        """Outcomes or reports were kept."""
        self._kept.labels(model, kind).inc(lines)

    def fenced(self, status: int) -> None:
        """A request was refused before it was read."""
        self._fenced.labels(str(status)).inc()

    def aged(self, model: str, seconds: float) -> None:
        """How long ago a ledger was read."""
        self._age.labels(model).set(seconds)

    def page(self) -> bytes:
        """All of it, in Prometheus' text format."""
        return generate_latest(self._registry)
