"""Rows are copied and pinned by all of their content, and what was changed since is never read."""

from __future__ import annotations

import hashlib
import re
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from model_folder import Toy
from stage import Pages, opened

from headgate.errors import BadInput, Tampered
from headgate.home import Home
from headgate.records import Snapshot
from tasks import snapshot as module
from tasks.load import frame_of, read_table, snapshot_path
from tasks.record import Case, Desk


def pinned(toy: Toy, **given: str) -> tuple[Case, Snapshot]:
    case = opened(toy, "snapshot", **given)
    return case, Desk(case.home, case.model).release(case.release).step(Snapshot)


def sha256(path: Path) -> str:
    return "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_table_is_pinned_by_the_digest_of_all_its_bytes(toy: Toy, pages: Pages) -> None:
    _, record = pinned(toy)
    for table, origin, rows in (
        (record.training, toy.training, 1500),
        (record.evaluation, toy.evaluation, 1200),
    ):
        assert table.digest == sha256(origin)
        assert (table.origin, table.rows, table.size) == (str(origin), rows, origin.stat().st_size)
        assert table.columns == ("id", "x1", "x2", "group", "label")
        kept = snapshot_path(Home(toy.home), table.digest, ".parquet")
        assert kept.read_bytes() == origin.read_bytes()
        assert kept.stat().st_mode & 0o777 == 0o400, "nobody writes to it by accident"
    assert Home(toy.home).snapshots.stat().st_mode & 0o777 == 0o700, "rows are nobody's to share"
    ((key, page),) = pages.made
    assert re.fullmatch("[a-z0-9-]+", key)
    assert record.training.digest in page


@pytest.mark.filterwarnings("ignore:Starting with pandas version 4.0:DeprecationWarning:mlflow.data.digest_utils")
def test_mlflows_own_digest_does_not_see_row_10001_and_ours_does(toy: Toy, pages: Pages) -> None:
    from mlflow.data.pandas_dataset import from_pandas

    labels = np.zeros(12_000, dtype=np.int64)
    frame = pd.DataFrame({"id": np.arange(12_000), "label": labels})
    flipped = frame.assign(label=np.where(frame["id"] >= 10_000, 1, 0))
    assert from_pandas(frame).digest == from_pandas(flipped).digest

    left, right = toy.training.with_name("left.csv"), toy.training.with_name("right.csv")
    frame.to_csv(left, index=False)
    flipped.to_csv(right, index=False)
    assert left.stat().st_size == right.stat().st_size
    _, one = pinned(toy, training=str(left))
    _, other = pinned(toy, training=str(right))
    assert one.training.digest != other.training.digest


def test_what_happens_to_the_origin_later_does_not_matter(toy: Toy, pages: Pages) -> None:
    _, record = pinned(toy)
    before = pd.read_parquet(toy.training)
    toy.training.write_bytes(b"gone")
    toy.evaluation.unlink()
    pd.testing.assert_frame_equal(frame_of(Home(toy.home), record.training), before)


def test_csv_and_parquet_hold_the_same_rows(toy: Toy, pages: Pages) -> None:
    path = toy.training.with_suffix(".csv")
    pd.read_parquet(toy.training).to_csv(path, index=False)
    _, record = pinned(toy, training=str(path))
    assert record.training.suffix == ".csv"
    found = frame_of(Home(toy.home), record.training)
    pd.testing.assert_frame_equal(found, pd.read_parquet(toy.training), check_dtype=False)


def test_the_same_rows_are_kept_once(toy: Toy, pages: Pages) -> None:
    pinned(toy)
    pinned(toy, evaluation=str(toy.training))
    kept = [p for p in Home(toy.home).snapshots.rglob("*") if p.is_file()]
    assert len(kept) == 2, "and no draft is left behind"


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1000])


WRONG: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "no such file": ("rows.parquet", lambda p: None),
    "another suffix": ("rows.xlsx", lambda p: p.write_bytes(b"PK")),
    "no suffix": ("rows", lambda p: p.write_bytes(b"a,b\n")),
    "a folder": ("rows.csv", lambda p: p.mkdir()),
    "no parquet": ("rows.parquet", lambda p: p.write_text("id,x1\n1,2\n")),
    "an empty file": ("rows.csv", lambda p: p.touch()),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_read_is_refused_and_not_recorded(toy: Toy, pages: Pages, case: str) -> None:
    name, make = WRONG[case]
    path = toy.training.with_name(name)
    make(path)
    with pytest.raises(BadInput, match=re.escape(str(toy.folder)) + "|" + re.escape(str(toy.home))):
        pinned(toy, training=str(path))
    desk = Desk(toy.home, toy.name)
    assert [e.kind for e in desk.ledger().entries] == ["requested"]
    assert pages.made == []


@pytest.mark.parametrize("harm", ["one bit", "cut off", "removed", "another release's"])
def test_a_snapshot_that_was_changed_is_never_read(toy: Toy, pages: Pages, harm: str) -> None:
    _, record = pinned(toy)
    path = snapshot_path(Home(toy.home), record.training.digest, ".parquet")
    path.chmod(0o600)
    if harm == "one bit":
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    elif harm == "cut off":
        _cut(path)
    elif harm == "removed":
        path.unlink()
    else:
        shutil.copyfile(toy.evaluation, path)
    with pytest.raises(Tampered, match=record.training.digest):
        frame_of(Home(toy.home), record.training)
    assert len(frame_of(Home(toy.home), record.evaluation)) == 1200


def test_releases_that_copy_at_once_in_one_process_do_not_mix_their_rows(
    toy: Toy, pages: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As in one worker: every copy is written before any of them is digested.
    gate, real = threading.Barrier(2), shutil.copyfile

    def together(source: Path, target: Path) -> None:
        real(source, target)
        gate.wait(20)

    monkeypatch.setattr(module.shutil, "copyfile", together)
    found: dict[Path, str] = {}

    def one(origin: Path) -> None:
        found[origin] = module._pin(Home(toy.home), origin).digest

    threads = [threading.Thread(target=one, args=(p,)) for p in (toy.training, toy.evaluation)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found == {p: sha256(p) for p in (toy.training, toy.evaluation)}


def test_a_table_is_read_as_what_its_suffix_says(toy: Toy) -> None:
    assert len(read_table(toy.training)) == 1500
    with pytest.raises(BadInput, match=r"ends in '\.json'"):
        read_table(toy.folder / "training.json")
