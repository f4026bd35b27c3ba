"""Probe: how fast and how large a model is when it is served, measured in a process of its own.

The process is `python -m tasks.probe`. It loads what serving loads, so that the memory it reports is serving's, then
reads a request (JSON, see `Request`) from standard input and writes a `ServingProfile` to standard output.
"""

from __future__ import annotations

import importlib
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from headgate.entry import Digest
from headgate.home import Home
from headgate.records import Table
from headgate.serving import ServingProfile
from tasks.load import Proof, frame_of, open_model

_BATCH_ROWS, _MANY_BATCHES = 1000, 15
_QUICK_MS, MANY, FEW = 250.0, 8, 4
"""Loads after the first: five in all bound their median at alpha 0.05, nine at 0.002. A slow model is loaded few times;
else how many there are is the policy's matter, and no time that was measured decides it."""


class Request(BaseModel):
    """What to measure: which model, proved by what, on which rows, how often."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    folder: Path
    files: dict[str, Digest]
    signature: str
    key: str
    home: Path
    rows: Table
    features: tuple[str, ...]
    requests: int
    warmup: int
    loads: int
    trusted: tuple[str, ...]
    unsafe_pickle: bool


def profile(request: Request) -> ServingProfile:
    """Load the model, predict row by row, then in batches, then load it again and again, and report.

    Latency is the wall time of one prediction of one row, in microseconds, after `warmup` unreported ones: of
    `predict_proba` where the model has it, else of `predict`. Memory is the process's largest resident set before the
    batches, in MiB: interpreter, libraries, model and rows.
    """
    first, model = _loaded(request)
    frame = frame_of(Home(request.home), request.rows)[list(request.features)]
    answer = getattr(model, "predict_proba", None) or model.predict
    rows = (frame.iloc[n % len(frame) : n % len(frame) + 1] for n in range(request.warmup + request.requests))
    latencies = [_timed(answer, row) for row in rows]
    peak, batch = _peak_mib(), frame.head(_BATCH_ROWS)
    batches = _MANY_BATCHES if _timed(answer, batch) < _QUICK_MS * 1000 else 1 + FEW
    loads = request.loads if first < _QUICK_MS else min(request.loads, FEW)
    return ServingProfile(
        latencies_us=tuple(latencies[request.warmup :]),
        batch_rows=len(batch),
        batches_us=tuple(_timed(answer, batch) for _ in range(batches)),
        loads_ms=(first, *(_loaded(request)[0] for _ in range(loads))),
        peak_memory_mib=peak,
        model_bytes=sum((request.folder / name).stat().st_size for name in request.files),
    )


def _loaded(request: Request) -> tuple[float, Any]:
    """The model as serving loads it, signature and every file verified; and the milliseconds that took."""
    begun, proof = time.perf_counter(), Proof(request.files, request.signature.encode(), request.key.encode())
    model = open_model(request.folder, proof, trusted=request.trusted, unsafe_pickle=request.unsafe_pickle)
    return round((time.perf_counter() - begun) * 1000, 3), model


def _timed(answer: Callable[[Any], object], rows: Any) -> int:
    begun = time.perf_counter_ns()
    answer(rows)
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
