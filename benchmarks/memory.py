"""Memory: one process that streams a Parquet file and prints its seconds and its peak resident memory as JSON.

python -m benchmarks.memory FILE
"""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path

from benchmarks import ours


def resident(field: str) -> float:
    """VmHWM (peak) or VmRSS (now) of this process in MiB. `getrusage` would carry over the peak of its parent."""
    found = re.search(rf"^{field}:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(found[1]) / 1024 if found else float("nan")


def main(path: Path) -> None:
    """Stream, then print."""
    before, begun = resident("VmRSS"), time.perf_counter()
    found = ours.stream(path)
    seconds = time.perf_counter() - begun
    figures = sum(len(survey.labels) for _, _, survey, _ in found)
    print(json.dumps({"seconds": seconds, "before": before, "peak": resident("VmHWM"), "figures": figures}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
