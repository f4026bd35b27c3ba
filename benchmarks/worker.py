"""Worker: a process that holds the rows and one way to evaluate them, and is told when to run.

    python -m benchmarks.worker NAME FILE [--rows N]

It imports, reads and warms up on 40,000 rows; then for each line `run` it answers with the seconds, for `figures` with
the figures of the last run. Whatever a library prints goes to stderr.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import table as rows
from benchmarks.work import Work

WARM = 40_000


def _start(name: str) -> Callable[[Any], Work]:
    """The way of that name; its libraries are imported here, and those of no other."""
    kind, _, how = name.partition("/")
    if kind == "ours":
        from benchmarks import ours

        strings = how.endswith("strings")
        every = {"rates": ours.start_rates(strings), "everything": ours.start_everything(strings)}
        return ours.start_sites if how == "sites" else every[how.partition(" ")[0]]
    if kind == "duckdb":
        from benchmarks import duck

        return duck.start(how.partition(" ")[0], "stored" in how)
    from benchmarks import peers

    if kind == "fairlearn":
        return peers.fairlearn(int(how or 0))
    ways = (peers.sklearn_calls, peers.sklearn_confusion, peers.sklearn_everything)
    return {**{w.__name__: w for w in ways}, "evidently": peers.evidently, "mlflow": peers.mlflow, "tfma": peers.tfma}[
        name
    ]


def _serve(work: Work, answer: Callable[[Any], None]) -> None:
    found: Any = None
    for line in sys.stdin:
        if line.strip() == "run":
            begun = time.perf_counter()
            found = work.run()
            answer(time.perf_counter() - begun)
        else:
            answer(dict(work.figures(found)))


def main() -> None:
    """Serve until stdin ends."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("file", type=Path)
    parser.add_argument("--rows", type=int)
    given = parser.parse_args()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(value: Any) -> None:
        answers.write(json.dumps(value) + "\n")
        answers.flush()

    _start(given.name.replace("fairlearn/", "fairlearn/0"))(rows.read(given.file, WARM)).run()
    work = _start(given.name)(rows.read(given.file, given.rows))
    answer(work.note)
    _serve(work, answer)


if __name__ == "__main__":
    main()
