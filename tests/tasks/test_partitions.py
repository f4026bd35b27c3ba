"""Partitions of the evaluation rows: whatever the cuts, the tally has the bytes of the table that was read at once."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import reduce
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from model_folder import Toy
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from headgate.batch import Batch
from headgate.canonical import digest_of
from headgate.errors import BadInput, HeadgateError, Tampered
from headgate.home import Home
from headgate.policy import Policy
from headgate.policy_file import parse
from headgate.records import Registered, Table
from headgate.scheme import Scheme
from headgate.slices import ALL
from headgate.tally import Tally, count
from tasks import load, steady, stream, tally
from tasks.load import file_digest, snapshot_path, verified_once
from tasks.predict import custom_scores, labels_of, predictions, slice_columns
from tasks.record import Desk
from tasks.stream import batches_of, types_of
from tasks.tally import Made, Scoring, counted, merged, tallied

ROWS, GRID = 1_000, 64
FEATURES = ("x1", "x2", "visits")
POLICY = """
[data]
train = "t.parquet"
evaluate = "e.parquet"
label = "label"
id = "id"
slices = ["group", "code", "flag", "kind", "age_band", ["group", "age_band"]]
[data.bands]
age_band = { column = "age", edges = [30, 60] }
"""
FAR = """
[[metric]]
name = "far"
function = "test_partitions:far"
range = [0.0, 1.0]
better = "lower"
[[gate]]
metric = "far"
max = 0.9
"""


def far(rows: pd.DataFrame, said: Any) -> Any:
    """A score of one's own, which reads a column that nothing else does."""
    return np.abs(said - rows["label"].to_numpy()) * (rows["weight"].to_numpy() > 0)


def table(n: int = ROWS) -> pd.DataFrame:
    """Rows whose groups and gaps are not spread evenly: some are in the first batches alone, some in the last."""
    chance = np.random.default_rng(3)
    x1, x2 = chance.normal(size=n), chance.normal(size=n)
    late = np.arange(n) > 0.8 * n
    frame = pd.DataFrame({"id": np.arange(n), "x1": x1, "x2": x2, "visits": chance.integers(0, 9, n)})
    frame["label"] = (chance.random(n) < 1 / (1 + np.exp(-x1 - x2))).astype(int)
    frame["group"] = np.where(late, "late", chance.choice(["a", "b"], n))
    frame["code"] = pd.Series(chance.integers(1, 4, n)).astype("Int64")
    frame["flag"] = pd.Series(chance.random(n) < 0.5).astype("boolean")
    frame["kind"] = pd.Categorical(np.where(late, "new", "old"))
    frame["age"] = np.where(late, np.nan, chance.integers(18, 90, n))
    frame["weight"] = chance.normal(size=n)
    frame.loc[: 2 * GRID, "group"] = None
    frame.loc[n - 3 :, ["code", "flag"]] = pd.NA
    frame.loc[n // 2, ["visits"]] = np.nan
    return frame


def plain(frame: pd.DataFrame) -> pa.Table:
    """Without pandas' notes, as other programs write: integers with gaps become floats when they are read."""
    return pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata({})


@pytest.fixture
def grid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "BATCH", GRID)


@pytest.fixture
def policy(toy: Toy) -> Policy:
    return policy_of(toy)


def policy_of(toy: Toy, more: str = "") -> Policy:
    text = (toy.folder / "policy.toml").read_text()
    head, tail = text.index("[data]"), text.index("[train]")
    return parse((text[:head] + POLICY + text[tail:] + more).encode(), "a test's policy")


def pinned(home: Path, rows: pa.Table | pd.DataFrame, **how: Any) -> Table:
    """A snapshot of rows, as the step of that name leaves it."""
    draft = home / "draft"
    home.mkdir(parents=True, exist_ok=True)
    rows.to_csv(draft, index=False) if isinstance(rows, pd.DataFrame) else pq.write_table(rows, draft, **how)
    suffix = ".csv" if isinstance(rows, pd.DataFrame) else ".parquet"
    digest, names = file_digest(draft), rows.columns if isinstance(rows, pd.DataFrame) else rows.column_names
    path = snapshot_path(Home(home), digest, suffix)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft.rename(path)
    return Table(
        origin="x", digest=digest, suffix=suffix, size=path.stat().st_size, rows=len(rows), columns=tuple(names)
    )


def scoring(
    home: Path, policy: Policy, monkeypatch: pytest.MonkeyPatch, *, models: int = 2, linear: bool = False, **how: Any
) -> Scoring:
    """Two models on a snapshot of `table`, without MLflow."""
    frame = table()
    X = frame[list(FEATURES)].fillna(0.0).astype(float)
    kinds = (LogisticRegression(), LogisticRegression(C=0.01)) if linear else _trees()
    fitted = {f"m{i}": kind.fit(X, frame["label"]) for i, kind in enumerate(kinds)}
    if linear:
        frame["visits"] = frame["visits"].fillna(0)
    monkeypatch.setattr(tally, "opened", lambda _, registered, __: fitted[registered.source])
    made = [
        Made(Registered(version=1, run="r", source=name, files={}, signature=digest_of(b"")), FEATURES)
        for name in fitted
    ]
    rows = pinned(home, plain(frame), **how)
    work = Scoring(home, policy, rows, tuple(made[:models]))
    return replace(work, types=types_of(verified_once(Home(home), rows)))


def _trees() -> tuple[Any, Any]:
    return DecisionTreeClassifier(max_depth=5, random_state=0), DecisionTreeClassifier(max_depth=2, random_state=0)


def at_once(work: Scoring) -> Tally:
    """What one call says of the whole table."""
    path, policy = verified_once(Home(work.home), work.rows), work.policy
    frame = load.read_table(path)
    models = [tally.opened(None, made.registered, policy) for made in work.models]
    said = [predictions(model, frame[list(FEATURES)], policy) for model in models]
    scores = custom_scores(frame, said, policy)
    batch = Batch(labels_of(frame, policy), said, slice_columns(frame, policy.data), scores)
    return count(Scheme.of(policy, len(models)), batch)


def cut(work: Scoring, rows: int) -> Tally:
    """The tally of partitions of so many rows."""
    ends = [*range(0, work.rows.rows, rows), work.rows.rows]
    return reduce(merged, (Tally.from_bytes(counted(work, a, b).to_bytes()) for a, b in pairwise(ends)))


@pytest.mark.parametrize("groups", [50, 333, 5_000])
@pytest.mark.parametrize("models", [1, 2])
def test_the_same_bytes_however_the_table_is_cut(
    tmp_path: Path, policy: Policy, monkeypatch: pytest.MonkeyPatch, grid: None, groups: int, models: int
) -> None:
    work = scoring(tmp_path, policy, monkeypatch, models=models, row_group_size=groups)
    whole = at_once(work)
    assert {"group=missing", "group=late", "code=1.0", "flag=True", "kind=new", "age_band=missing"} <= set(whole.labels)
    assert "code=1" not in whole.labels, "a gap in the last rows makes floats of all"
    for rows in (GRID, 3 * GRID, 8 * GRID, ROWS):
        assert cut(work, rows).to_bytes() == whole.to_bytes()


def test_a_score_of_ones_own_sees_every_column(
    tmp_path: Path, toy: Toy, monkeypatch: pytest.MonkeyPatch, grid: None
) -> None:
    work = scoring(tmp_path, policy_of(toy, FAR), monkeypatch, row_group_size=100)
    assert at_once(work).scheme.scores[0].name == "far"
    assert cut(work, 2 * GRID).to_bytes() == at_once(work).to_bytes()


def test_the_last_bits_of_a_linear_model_do_not_hang_on_the_cut(
    tmp_path: Path, policy: Policy, monkeypatch: pytest.MonkeyPatch, grid: None
) -> None:
    work = scoring(tmp_path, policy, monkeypatch, linear=True)
    assert len({cut(work, rows).digest for rows in (GRID, 5 * GRID, ROWS)}) == 1


def test_what_the_file_does_not_say_about_gaps_is_looked_up(
    tmp_path: Path, policy: Policy, monkeypatch: pytest.MonkeyPatch, grid: None
) -> None:
    work = scoring(tmp_path, policy, monkeypatch, write_statistics=False, row_group_size=100)
    assert cut(work, GRID).to_bytes() == at_once(work).to_bytes()


@pytest.mark.parametrize("notes", [True, False])
def test_every_batch_has_the_types_of_the_whole_table(tmp_path: Path, grid: None, notes: bool) -> None:
    frame = table().assign(day=pd.Timestamp("2026-01-01"), nothing=None)
    rows = pa.Table.from_pandas(frame) if notes else plain(frame)
    rows = rows.add_column(0, "tree", pa.array([{"a": 1, "b": None}] * ROWS))
    rows = rows.append_column("zone", pa.array([0] * ROWS, pa.timestamp("us", "Europe/Vienna")))
    pq.write_table(rows, path := tmp_path / "rows.parquet", row_group_size=90)
    whole, types = load.read_table(path), types_of(path)
    found = [f for first in (0, 512) for f in batches_of(path, types, [], first, min(first + 512, ROWS))]
    assert [len(f) for f in found] == [GRID] * 15 + [40]
    assert all((f.dtypes == whole.dtypes).all() for f in found)
    pd.testing.assert_frame_equal(pd.concat(found, ignore_index=True), whole)


def test_a_csv_file_is_one_partition_whatever_its_size(
    tmp_path: Path, policy: Policy, monkeypatch: pytest.MonkeyPatch, grid: None
) -> None:
    work = scoring(tmp_path, policy, monkeypatch)
    work = replace(work, rows=pinned(tmp_path, table()), types={})
    monkeypatch.setattr(tally, "PART", GRID)
    assert tallied(work).to_bytes() == at_once(work).to_bytes()


def test_no_rows_are_one_empty_batch(tmp_path: Path) -> None:
    pq.write_table(plain(table()).slice(0, 0), path := tmp_path / "rows.parquet")
    assert [len(f) for f in batches_of(path, types_of(path), [], 0, 0)] == [0]


def test_a_snapshot_is_verified_again_when_it_was_touched(
    tmp_path: Path, policy: Policy, monkeypatch: pytest.MonkeyPatch, grid: None
) -> None:
    work = scoring(tmp_path, policy, monkeypatch)
    counted(work, 0, GRID)
    path = snapshot_path(Home(tmp_path), work.rows.digest, ".parquet")
    path.write_bytes(path.read_bytes().replace(b"late", b"lame"))
    with pytest.raises(Tampered, match="snapshot"):
        counted(work, GRID, 2 * GRID)
    path.unlink()
    with pytest.raises(Tampered, match="no file"):
        counted(work, GRID, 2 * GRID)


def test_a_row_that_is_not_counted_is_an_error(
    tmp_path: Path, policy: Policy, monkeypatch: pytest.MonkeyPatch, grid: None
) -> None:
    work = scoring(tmp_path, policy, monkeypatch)
    assert tallied(work).slices[ALL].rows == ROWS
    with pytest.raises(Tampered, match=r"1,000 rows; expected the 1,001"):
        tallied(replace(work, rows=work.rows.model_copy(update={"rows": ROWS + 1})))
    with pytest.raises(Tampered, match=r"1,000 rows; expected the 999"):
        tallied(replace(work, rows=work.rows.model_copy(update={"rows": ROWS - 1})))
    whole = stream._on_the_grid
    monkeypatch.setattr(stream, "_on_the_grid", lambda pieces: list(whole(pieces))[:-1])
    with pytest.raises(Tampered, match="not one may be lost"):
        counted(work, 0, 4 * GRID)


def test_a_partition_that_fails_fails_all(
    tmp_path: Path, policy: Policy, monkeypatch: pytest.MonkeyPatch, grid: None
) -> None:
    work = scoring(tmp_path, policy, monkeypatch)
    features = (Made(work.models[0].registered, ("x1",)), *work.models[1:])
    with pytest.raises(ValueError, match="feature"):
        counted(replace(work, models=features), GRID, 2 * GRID)


def test_groups_that_are_few_in_every_batch_and_too_many_together_are_refused(
    tmp_path: Path, policy: Policy, monkeypatch: pytest.MonkeyPatch, grid: None
) -> None:
    work = scoring(tmp_path, policy, monkeypatch)
    rows = pinned(tmp_path, plain(table().assign(group=[f"g{i}" for i in range(ROWS)])))
    work = replace(work, rows=rows)
    left, right = counted(work, 0, 7 * GRID), counted(work, 7 * GRID, 14 * GRID)
    with pytest.raises(BadInput, match=r"'group'.*896 groups"):
        merged(left, right)
    with pytest.raises(BadInput, match="at most 500 groups"):
        counted(work, 0, 14 * GRID)


def test_models_are_opened_one_at_a_time(policy: Policy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    inside: list[int] = []
    most: list[int] = []

    def slow(*_: object, **__: object) -> None:
        inside.append(1)
        most.append(len(inside))
        time.sleep(0.02)
        inside.pop()

    monkeypatch.setattr(load, "fetch", lambda _, source: Path(source))
    monkeypatch.setattr(load, "open_model", slow)
    monkeypatch.setattr(load, "proof_of", lambda *_: None)
    registered = Registered(version=1, run="r", source="m", files={}, signature=digest_of(b""))
    desk = Desk(tmp_path, "toy")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: load.opened(desk, registered, policy), range(4)))
    assert most == [1, 1, 1, 1]


def test_the_limit_on_threads_is_taken_back_by_the_last_who_leaves() -> None:
    from threadpoolctl import threadpool_info

    def threads() -> set[int]:
        return {each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"}

    before = threads()
    one, other = steady.steady(), steady.steady()
    one.__enter__()
    other.__enter__()
    one.__exit__(None, None, None)
    assert threads() == {1}
    other.__exit__(None, None, None)
    assert threads() == before


def test_a_cluster_that_does_not_answer_stops_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks import spread

    spread.reach(tmp_path)
    monkeypatch.setenv("HEADGATE_DASK", "tcp://127.0.0.1:9")
    monkeypatch.setattr(spread, "_PATIENCE", "300 ms")
    with pytest.raises(HeadgateError, match=r"tcp://127\.0\.0\.1:9.*HEADGATE_DASK"):
        spread.reach(tmp_path)
    monkeypatch.setattr(spread, "find_spec", lambda _: None)
    with pytest.raises(HeadgateError, match=r"headgate\[dask\]"):
        spread.reach(tmp_path)
    assert type(spread.runner()).__name__ == "ThreadPoolTaskRunner"


@pytest.mark.proof
def test_the_memory_of_a_worker_does_not_grow_with_the_table() -> None:
    from benchmarks.scale import measured

    small, large = measured(1_000_000), measured(4_000_000)
    assert large["peak"] < 1.1 * small["peak"]
