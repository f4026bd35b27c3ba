"""A release against a bare script that does the same work: whole processes, in turn, as the median of the ratios.

    python -m benchmarks.release [--pairs 5]

`warm`: the Prefect server runs and the databases exist. `cold`: neither does, for either side.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

from tasks.record import Desk

ROOT = Path(__file__).resolve().parent.parent
HEADGATE = Path(sys.executable).with_name("headgate")


def timed(command: list[str], **environment: str) -> float:
    """The wall time of a command, in seconds."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "MLFLOW_", "HEADGATE_"))}
    begun = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT, env={**kept, **environment})
    return time.perf_counter() - begun


def bare(home: Path) -> float:
    """One run of the bare script."""
    return timed([sys.executable, "-m", "benchmarks.bare", str(home / "bare")], OMP_WAIT_POLICY="PASSIVE")


def release(home: Path) -> float:
    """One release, until it waits for approval."""
    return timed([str(HEADGATE), "release", "employment", "--as", "benchmark"], HEADGATE_HOME=str(home))


def down(home: Path) -> None:
    """Stop the servers of a home."""
    timed([str(HEADGATE), "down"], HEADGATE_HOME=str(home))


def pair(home: Path) -> tuple[float, float]:
    """Seconds of a release and of the bare script, one after the other."""
    return release(home), bare(home)


def cold_pair() -> tuple[float, float]:
    """The same from nothing."""
    with tempfile.TemporaryDirectory() as place:
        home = Path(place)
        try:
            return pair(home)
        finally:
            down(home)


def where_it_goes(home: Path) -> dict[str, float]:
    """Seconds between the entries of the last release: what each step took, with the imports that it waited for."""
    entries = Desk(home, "employment").ledger().entries
    last = [e for e in entries if e.release == entries[-1].release]
    times = [datetime.fromisoformat(e.time) for e in last]
    return {e.kind: (at - before).total_seconds() for e, before, at in zip(last[1:], times, times[1:], strict=False)}


def show(name: str, pairs: list[tuple[float, float]]) -> None:
    """Print the medians of one setting."""
    ratios = [ours / theirs for ours, theirs in pairs]
    ours, theirs = (statistics.median(p[i] for p in pairs) for i in (0, 1))
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
    print(
        f"{name:<6} release {ours:5.1f} s   bare {theirs:5.1f} s   ratio {statistics.median(ratios):.2f}   ({spread})"
    )


def main() -> None:
    """Run the pairs and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5, help="how many pairs of each setting")
    pairs = parser.parse_args().pairs
    with tempfile.TemporaryDirectory() as place:
        home = Path(place)
        pair(home)  # the first makes the databases and starts the server
        show("warm", [pair(home) for _ in range(pairs)])
        gone = "   ".join(f"{kind} {seconds:.1f}" for kind, seconds in where_it_goes(home).items())
        down(home)
    show("cold", [cold_pair() for _ in range(pairs)])
    print(f"seconds of the last warm release, by entry: {gone}")


if __name__ == "__main__":
    main()
