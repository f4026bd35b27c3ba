"""Gates: measuring slices with intervals, against what people use; medians of ratios of interleaved rounds in one run.

    python -m benchmarks.gates [--quick] [--long] [--rows N] [--rounds N]

Timed, for everybody: from columns in memory to numbers; not timed: imports, reading, a first run on 40,000 rows. Ours
gets attributes as dictionary codes ("codes", against DuckDB's ENUM) or as Arrow text, one per row, which it encodes
within its time ("strings", against VARCHAR), and scores as numbers. Both use two threads.

`--quick`: 100,000 rows, without the slow: TFMA, MLflow, the newest Fairlearn and the scikit-learn loop over everything.
`--long`: also Fairlearn with all 200 bootstraps instead of an extrapolation, and memory at 100,000,000 rows.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import machine, table
from benchmarks.race import ROOT, Entrant, Lap, Laps, agreement, race, ratios

KINDS = {"codes": "ENUM", "strings": "VARCHAR"}
BOOTSTRAPS = 200


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    rows: int
    rounds: int
    small: int
    bootstraps: int
    stream: tuple[int, ...]
    budget: float
    slow: bool


QUICK = Size(100_000, 5, 10_000, 2, (1, 4), budget=2.0, slow=False)
FULL = Size(1_000_000, 9, 100_000, 20, (1, 10), budget=45.0, slow=True)


def cube(file: Path, size: Size) -> None:
    """All slices, candidate and champion, against DuckDB's counts and a scikit-learn loop."""
    ours = [Entrant(f"ours/{what} {how}") for what in ("rates", "everything") for how in KINDS]
    ducks = [Entrant(f"duckdb/{kind}{stored}") for stored in ("", " stored") for kind in KINDS.values()]
    loop = [Entrant("sklearn_everything")] * size.slow
    laps = race([*ours, *ducks, *loop], file, size.rows, size.rounds, size.budget)
    print(f"\n### {size.rows:,} rows, 88 groups of 10 slices, candidate and champion\n")
    show(laps, laps["ours/everything codes"], "everything, codes")
    goals = [("rates", 1.0), ("everything", 3.0)]
    print("\n| ours with intervals | against DuckDB's counts | ratio (least to most) | at most | reached |")
    print("|---|---|---|---|---|")
    for what, most in goals:
        for how, kind in KINDS.items():
            for stored in ("", " stored"):
                goal(laps, f"ours/{what} {how}", f"duckdb/{kind}{stored}", most)
    for name in (f"duckdb/{kind}{stored}" for kind in KINDS.values() for stored in ("", " stored")):
        print(f"\n{name}: {laps[name].note}")


def goal(laps: Laps, a: str, b: str, most: float) -> None:
    """One line: whether a takes at most so many times as long as b."""
    each = ratios(laps[a], laps[b])
    print(f"| {a} | {b} | {spread(each)} | {most:g} | {yes(each and statistics.median(each) <= most)} |")


def points(file: Path, size: Size) -> None:
    """Four rates by 40 sites of one model, against what gives points only."""
    newest = [Entrant(name) for name in ("sklearn_calls", "sklearn_confusion", *(["mlflow", "fairlearn"] * size.slow))]
    older = [Entrant(name, older=True) for name in ("fairlearn", "evidently")]
    laps = race([Entrant("ours/sites"), *newest, *older], file, size.rows, size.rounds, size.budget)
    print(f"\n### {size.rows:,} rows, four rates by 40 groups, one model; ours with intervals, the peers without\n")
    show(laps, laps["ours/sites"], "sites")
    each = {name: ratios(lap, laps["ours/sites"]) for name, lap in laps.items() if name != "ours/sites" and lap.seconds}
    fastest = min(each, key=lambda name: statistics.median(each[name]), default="")
    if fastest:
        least = statistics.median(each[fastest])
        print(f"\nThe fastest peer, {fastest}, takes {least:,.1f} times as long; at least 10: {yes(least >= 10)}")


def bootstraps(file: Path, size: Size, *, long: bool) -> None:
    """The same on fewer rows, against Fairlearn with bootstraps, and TFMA."""
    ages = (False, True) if size.slow else (True,)
    kinds = [Entrant(f"fairlearn/{n}", older) for older in ages for n in (0, size.bootstraps)]
    more = [Entrant(f"fairlearn/{BOOTSTRAPS}", older) for older in ages] if long else []
    rest = [Entrant("tfma", older=True)] if size.slow else []
    laps = race([Entrant("ours/sites"), *kinds, *rest, *more], file, size.small, 3, size.budget)
    print(f"\n### {size.small:,} rows, four rates by 40 groups, one model, with intervals (TFMA: points only)\n")
    show(laps, laps["ours/sites"], "sites")
    print()
    for older in ages:
        _extrapolate(laps, size.bootstraps, " (older)" if older else "")
    if not size.slow:
        print("TFMA, MLflow and the newest Fairlearn are left out of the quick run.")


def _extrapolate(laps: Laps, n: int, old: str) -> None:
    """Say how Fairlearn with 200 bootstraps compares: measured, or as a straight line through 0 and n bootstraps."""
    ours, measured = laps["ours/sites"], laps.get(f"fairlearn/{BOOTSTRAPS}{old}")
    none, some = laps[f"fairlearn/0{old}"].median, laps[f"fairlearn/{n}{old}"].median
    how, seconds = f"extrapolated from {n}", none + (some - none) / n * BOOTSTRAPS
    if measured and measured.seconds:
        how, seconds = "measured", measured.median
    times = seconds / ours.median
    print(
        f"Fairlearn{old} with {BOOTSTRAPS} bootstraps, {how}: {seconds:,.0f} s, {times:,.0f} times as long as ours; "
        f"at least 1,000: {yes(times >= 1000)}\n"
    )


def memory(place: Path, size: Size) -> None:
    """Peak resident memory of one process that streams a Parquet file of growing size."""
    print("\n### Everything but the gaps, streamed from Parquet in batches of 262,144 rows, one process each\n")
    print("| rows | seconds | memory before (MiB) | peak (MiB) |\n|---|---|---|---|")
    for times in size.stream:
        file = place / "long.parquet"
        table.write(file, size.rows, times)
        command = [sys.executable, "-m", "benchmarks.memory", str(file)]
        told = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
        found = json.loads(told.stdout) if told.returncode == 0 else {}
        numbers = [found.get(name, math.nan) for name in ("seconds", "before", "peak")]
        print(f"| {size.rows * times:,} | " + " | ".join(f"{number:,.1f}" for number in numbers) + " |")
        if not found:
            print(told.stderr[-500:], file=sys.stderr)


def show(laps: Laps, ours: Lap, name: str) -> None:
    """A table: seconds, times ours, and how far the shared figures are apart."""
    print(f"| | seconds | times ours ({name}) | least to most | shared figures | largest difference of them | rounds |")
    print("|---|---|---|---|---|---|---|")
    for each, lap in laps.items():
        if not lap.seconds:
            print(f"| {each} | {lap.note or 'did not run'} | | | | | 0 |")
            continue
        of, (shared, apart, where) = ratios(lap, ours), agreement(lap, ours)
        numbers = f"{statistics.median(of):,.2f} | {min(of):,.2f} to {max(of):,.2f} | {shared} | {apart:.1e} {where}"
        print(f"| {each} | {lap.median:.4f} | {numbers if of else '| | |'} | {len(lap.seconds)} |")


def spread(each: Sequence[float]) -> str:
    """The median of ratios, and the extremes."""
    return f"{statistics.median(each):.2f} ({min(each):.2f} to {max(each):.2f})" if each else "not measured"


def yes(reached: object) -> str:
    """Whether a goal is reached; what was not measured is not."""
    return "**yes**" if reached else "**no**"


def _chosen(arguments: Iterable[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="100,000 rows, without the slow")
    parser.add_argument("--long", action="store_true", help="200 bootstraps, and memory at 100 times the rows")
    parser.add_argument("--rows", type=int, help="rows of the first two parts")
    parser.add_argument("--rounds", type=int, help="how often each is run")
    parser.add_argument("--only", choices=["cube", "points", "bootstraps", "memory"], action="append")
    return parser.parse_args(None if arguments is None else list(arguments))


def main() -> None:
    """Run all parts and print Markdown."""
    given = _chosen()
    base = QUICK if given.quick else FULL
    stream = (*base.stream, 100) if given.long else base.stream
    size = Size(
        given.rows or base.rows,
        given.rounds or base.rounds,
        base.small,
        base.bootstraps,
        stream,
        base.budget,
        base.slow,
    )
    print(machine.described())
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.parquet"
        table.write(file, size.rows)
        parts = {
            "cube": lambda: cube(file, size),
            "points": lambda: points(file, size),
            "bootstraps": lambda: bootstraps(file, size, long=given.long),
            "memory": lambda: memory(Path(folder), size),
        }
        for name in given.only or parts:
            parts[name]()
    print(f"\nLoad average at the end: {machine.load()}")


if __name__ == "__main__":
    main()
