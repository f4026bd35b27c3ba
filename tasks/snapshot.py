"""Snapshot: copy the rows and pin them by the digest of their whole content."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from headgate.entry import Digest
from headgate.home import Home
from headgate.markdown import table as markdown_table
from headgate.records import Requested, Snapshot, Table
from tasks.load import check_table, file_digest, read_table, snapshot_path
from tasks.record import Case, Desk


@task(name="snapshot", retries=1, cache_policy=NO_CACHE)
def snapshot(case: Case) -> None:
    """Pin the training and the evaluation table of a release."""
    desk = Desk(case.home, case.model)
    asked = desk.release(case.release).step(Requested)
    record = Snapshot(
        training=_pin(desk.home, Path(asked.training)), evaluation=_pin(desk.home, Path(asked.evaluation))
    )
    desk.write(case.release, record)
    create_markdown_artifact(key=case.artifact("snapshot"), markdown=_shown(record))


def _pin(home: Home, origin: Path) -> Table:
    digest, copy = _copy(home, origin)
    frame = read_table(copy)
    return Table(
        origin=str(origin),
        digest=digest,
        suffix=".csv" if origin.suffix == ".csv" else ".parquet",
        size=copy.stat().st_size,
        rows=len(frame),
        columns=tuple(map(str, frame.columns)),
    )


def _copy(home: Home, origin: Path) -> tuple[Digest, Path]:
    # Copied first, digested and read after: the origin may be written meanwhile, the copy is not.
    check_table(origin)
    home.snapshots.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(prefix="draft-", dir=home.snapshots) as place:
        draft = Path(place) / "rows"
        shutil.copyfile(origin, draft)
        digest = file_digest(draft)
        final = snapshot_path(home, digest, origin.suffix)
        final.parent.mkdir(parents=True, exist_ok=True)
        draft.chmod(0o400)
        return digest, draft.replace(final)


def _shown(record: Snapshot) -> str:
    rows = [
        (name, f"{t.rows:,}", len(t.columns), t.digest, t.origin)
        for name, t in (("training", record.training), ("evaluation", record.evaluation))
    ]
    return markdown_table(("table", "rows", "columns", "digest of the whole content", "origin"), rows)
