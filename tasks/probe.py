"""Probe: how fast and how large a model is when it is served, measured in a process of its own.

The process is `python -m tasks.probe`. It loads what serving loads, so that the memory it reports is serving's, then
reads a request (JSON, see `Request`) from standard input and writes a `ServingProfile` to standard output.
"""

from __future__ import annotations

import importlib
import resource
import sys
import time
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from headgate.home import Home
from headgate.records import Registered, Table
from headgate.serving import ServingProfile
from tasks.load import frame_of, open_model


class Request(BaseModel):
    """What to measure: which model, on which rows, how often."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    folder: Path
    registered: Registered
    home: Path
    rows: Table
    features: tuple[str, ...]
    requests: int
    warmup: int
    trusted: tuple[str, ...]
    unsafe_pickle: bool


def profile(request: Request) -> ServingProfile:
    """Load the model once, predict row by row, and report.

    Latency is the wall time of one `predict_proba` of one row, in microseconds, after `warmup` unreported ones.
    Memory is the process's largest resident set, in MiB: interpreter, libraries, model and rows.
    """
    begun = time.perf_counter()
    files = request.registered.files
    model = open_model(request.folder, files, trusted=request.trusted, unsafe_pickle=request.unsafe_pickle)
    load_ms = (time.perf_counter() - begun) * 1000
    frame = frame_of(Home(request.home), request.rows)[list(request.features)]
    latencies = [_timed(model, frame, n % len(frame)) for n in range(request.warmup + request.requests)]
    return ServingProfile(
        latencies_us=tuple(latencies[request.warmup :]), load_ms=round(load_ms, 3), peak_memory_mib=_peak_mib()
    )


def _timed(model: Any, frame: Any, index: int) -> int:
    row = frame.iloc[index : index + 1]
    begun = time.perf_counter_ns()
    model.predict_proba(row)
    return (time.perf_counter_ns() - begun) // 1000


def _peak_mib() -> float:
    # Linux's ru_maxrss survives exec, so a child reports its parent's peak; VmHWM is this program's own.
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return round(int(line.split()[1]) / 1024, 1)
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20, 1)


def main() -> None:
    """Warm the imports, then answer one request."""
    for name in ("pandas", "skops.io", "sklearn.pipeline"):
        importlib.import_module(name)
    asked = sys.stdin.buffer.read()
    if asked:  # else whoever started it has ended without a question
        sys.stdout.write(profile(Request.model_validate_json(asked)).model_dump_json())


if __name__ == "__main__":
    main()
