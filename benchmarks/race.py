"""Race: several ways to evaluate the same rows, each in a process of its own, run in turn, round after round.

Every process imports, reads and warms up before the first round. Only one works at a time. A machine's noise hits
neighbours in a round alike, so that ratios are taken within rounds and their median is shown.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks.work import Figures

ROOT = Path(__file__).resolve().parent.parent
PEERS = Path(sys.executable)
OLDER = ROOT / ".venv-peers-older" / "bin" / "python"
"""The environments: this one, and one for what needs an older pandas; `make bench-gates` makes both."""


@dataclass(frozen=True)
class Entrant:
    """One way, as `benchmarks.worker` names it, and the environment that it runs in."""

    name: str
    older: bool = False

    def __str__(self) -> str:
        return f"{self.name} (older)" if self.older else self.name


@dataclass
class Lap:
    """What one entrant did.

    Attributes:
        seconds: by round. figures: what it found. note: what it says of itself, or why it could not run.
    """

    seconds: dict[int, float] = field(default_factory=dict)
    figures: Figures = field(default_factory=dict)
    note: str = ""

    @property
    def median(self) -> float:
        """The median seconds; NaN if it never ran."""
        return statistics.median(self.seconds.values()) if self.seconds else float("nan")


Laps = Mapping[str, Lap]


class _Process:
    """A worker that answers line by line."""

    def __init__(self, entrant: Entrant, file: Path, rows: int) -> None:
        python = OLDER if entrant.older else PEERS
        command = [str(python), "-W", "ignore", "-m", "benchmarks.worker", entrant.name, str(file), "--rows", str(rows)]
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True, cwd=ROOT
        )
        self.note = self._answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.communicate()
        self._errors.close()

    def ask(self, what: str) -> Any:
        """Send one line and wait for the answer."""
        assert self._process.stdin is not None  # noqa: S101
        self._process.stdin.write(what + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None  # noqa: S101
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._errors.seek(0)
            raise ChildProcessError(" ".join(self._errors.read().strip().splitlines()[-1:]) or "it ended")
        return json.loads(line)


def race(entrants: Sequence[Entrant], file: Path, rows: int, rounds: int, budget: float) -> dict[str, Lap]:
    """Run all in turn; who cannot be started or fails has a note that says why, and no figures.

    Args:
        budget: seconds after which a slow one takes part in no further round.
    """
    laps = {str(e): Lap() for e in entrants}
    running: dict[str, _Process] = {}
    try:
        for entrant in entrants:
            _begin(entrant, file, rows, laps, running)
        for number in range(rounds):
            for name, process in list(running.items()):
                if sum(laps[name].seconds.values()) <= budget:
                    _run(name, process, number, laps, running)
        for name, process in running.items():
            laps[name].figures = process.ask("figures")
    finally:
        for process in running.values():
            process.__exit__(None, None, None)
    return laps


def _begin(entrant: Entrant, file: Path, rows: int, laps: Laps, running: dict[str, _Process]) -> None:
    try:
        running[str(entrant)] = _Process(entrant, file, rows)
        laps[str(entrant)].note = running[str(entrant)].note
    except OSError as error:
        laps[str(entrant)].note = f"could not be run: {error}"


def _run(name: str, process: _Process, number: int, laps: Laps, running: dict[str, _Process]) -> None:
    lap = laps[name]
    try:
        lap.seconds[number] = process.ask("run")
    except OSError as error:
        lap.note = f"failed: {error}"
        running.pop(name)


def ratios(a: Lap, b: Lap) -> list[float]:
    """Seconds of a over seconds of b, in the rounds that both ran."""
    return [a.seconds[n] / b.seconds[n] for n in sorted(a.seconds.keys() & b.seconds.keys())]


def agreement(a: Lap, b: Lap) -> tuple[int, float, str]:
    """How many figures both gave, the largest difference, and of which metric it is; NaN is larger than any."""
    apart = {name: abs(a.figures[name] - b.figures[name]) for name in a.figures.keys() & b.figures.keys()}
    worst = max(apart, key=lambda name: (apart[name] != apart[name], apart[name]), default="")
    return len(apart), apart.get(worst, float("nan")), f"({worst.partition(' | ')[0]})" if apart.get(worst) else ""
