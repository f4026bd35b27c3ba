"""A package: what `headgate verify` and `headgate replay` cost as a user runs them, against importing alone.

    python -m benchmarks.package [PACKAGE] [--rounds 9]

PACKAGE is a folder or archive, by default the newest golden one. Whole processes in turn, so that a busy machine is
busy for all; "imports" is Python with the libraries that both need, and nothing else.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import machine

GOLDEN = max((Path(__file__).resolve().parent.parent / "tests" / "golden").glob("*.zip"))
IMPORTS = "import click, cryptography.hazmat.primitives.asymmetric.ec, numpy, pydantic, rfc8785, scipy.special"


def timed(command: list[str]) -> float:
    """The wall time of a command that must succeed, in seconds."""
    begun = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - begun


def main() -> None:
    """Print medians of seconds, and of the ratios within rounds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", nargs="?", type=Path, default=GOLDEN)
    parser.add_argument("--rounds", type=int, default=9)
    given = parser.parse_args()
    headgate = str(Path(sys.executable).with_name("headgate"))
    with tempfile.TemporaryDirectory() as home:
        ours = {name: [headgate, "--home", home, name, str(given.package)] for name in ("verify", "replay")}
        commands = {"imports": [sys.executable, "-c", IMPORTS], **ours}
        rounds = [{name: timed(command) for name, command in commands.items()} for _ in range(given.rounds + 1)][1:]
    print(machine.described())
    for name in commands:
        ratios = [each[name] / each["imports"] for each in rounds]
        seconds = statistics.median(each[name] for each in rounds)
        print(f"{name:<8} {seconds:.2f} s   {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
