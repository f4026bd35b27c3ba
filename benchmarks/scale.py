"""Scale: a worker counts a Parquet table partition by partition, in a fresh process; its seconds and its peak memory.

    python -m benchmarks.scale [--rows 1000000 4000000]

Rows have eight numbers and two attributes, and two boosted models score them. The peak is that of the whole process,
Python and its libraries included.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from functools import reduce
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.memory import resident
from headgate.home import Home
from headgate.model_signature import sign_model
from headgate.policy_file import parse
from headgate.records import Registered, Table
from tasks import tally
from tasks.load import file_digest, files_of, snapshot_path
from tasks.read import Site
from tasks.record import Desk
from tasks.stream import BATCH, types_of
from tasks.tally import Made, Scoring, counted, merged

FEATURES = tuple(f"x{i}" for i in range(8))
GROUP = 2**20
"""Rows of a row group, as pyarrow and pandas make them."""


def rows(n: int, seed: int) -> pa.Table:
    """So many rows."""
    random = np.random.default_rng(seed)
    numbers = {name: random.normal(size=n) for name in FEATURES}
    label = (random.random(n) < 1 / (1 + np.exp(-numbers["x0"] - numbers["x1"]))).astype(np.int8)
    groups = {"sex": random.choice(["f", "m"], n), "race": random.choice(["a", "b", "c", "d", "e"], n)}
    return pa.table({"id": np.arange(n), **numbers, **groups, "label": label})


def pinned(home: Path, n: int) -> Table:
    """A snapshot of so many rows, written one row group after the other."""
    draft = home / "draft"
    with pq.ParquetWriter(draft, rows(1, 0).schema) as file:
        for number, first in enumerate(range(0, n, GROUP)):
            file.write_table(rows(min(GROUP, n - first), number), row_group_size=GROUP)
    digest = file_digest(draft)
    path = snapshot_path(Home(home), digest, ".parquet")
    path.parent.mkdir(parents=True, exist_ok=True)
    draft.rename(path)
    names = tuple(rows(1, 0).column_names)
    return Table(origin="made", digest=digest, suffix=".parquet", size=path.stat().st_size, rows=n, columns=names)


def made(home: Path, name: str, seed: int) -> Made:
    """A fitted model in a folder of its own, as MLflow would have it."""
    import skops.io
    from sklearn.ensemble import HistGradientBoostingClassifier

    table = rows(20_000, seed).to_pandas()
    model = HistGradientBoostingClassifier(max_iter=50, random_state=seed).fit(table[list(FEATURES)], table["label"])
    folder, desk = home / name, Desk.create(home, "employment")
    folder.mkdir()
    (folder / "model.skops").write_bytes(skops.io.dumps(model))
    files = files_of(folder)
    signature = desk.evidence.put(sign_model(desk.signer, name, files))
    return Made(Registered(version=1, run="none", source=folder.as_uri(), files=files, signature=signature), FEATURES)


def scoring(home: Path, n: int) -> Scoring:
    """Everything that a worker is told."""
    path = Site(home, None).folder("employment") / "policy.toml"
    policy = parse(path.read_bytes(), str(path))
    data = policy.data.model_copy(update={"label": "label", "slices": ("sex", "race", ("sex", "race")), "bands": {}})
    models = (made(home, "candidate", 1), made(home, "champion", 2))
    return Scoring(home, policy.model_copy(update={"data": data}), pinned(home, n), models)


def count(given: Scoring, part: int) -> dict[str, float]:
    """Count all rows in partitions of so many, one after the other, as one worker does."""
    n = given.rows.rows
    counted(given, 0, min(n, BATCH))
    before, begun = resident("VmHWM"), time.perf_counter()
    reduce(merged, (counted(given, first, min(first + part, n)) for first in range(0, n, part)))
    seconds, peak = time.perf_counter() - begun, resident("VmHWM")
    return {"rows": n, "seconds": seconds, "before": before, "peak": peak}


def measured(n: int) -> dict[str, float]:
    """What a fresh process says about a table of so many rows."""
    with tempfile.TemporaryDirectory() as place:
        given = scoring(Path(place), n)
        told = Path(place) / "told"
        told.write_bytes(pickle.dumps(given))
        command = [sys.executable, "-m", "benchmarks.scale", "--worker", str(told)]
        passive = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}  # as a release has it: see flows/run.py
        run = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=passive)
    return dict(json.loads(run.stdout))


def main() -> None:
    """Measure tables of several sizes, or be the fresh process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 4_000_000])
    parser.add_argument("--worker", type=Path)
    given = parser.parse_args()
    if given.worker:
        told: Scoring = pickle.loads(given.worker.read_bytes())  # noqa: S301  # written by this program
        path = snapshot_path(Home(told.home), told.rows.digest, told.rows.suffix)
        print(json.dumps(count(replace(told, types=types_of(path)), tally.PART)))
        return
    for n in given.rows:
        found = measured(n)
        print(f"{n:>12,} rows  {found['seconds']:6.1f} s  peak {found['peak']:6.0f} MiB", flush=True)


if __name__ == "__main__":
    main()
