"""Versions are opened once, a few are held, and rows reach them in the types that they were fitted to."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from stage import Stage

from headgate.errors import BadInput, HeadgateError, Tampered, Unavailable
from headgate.policy import Policy
from headgate.records import Snapshot, Table
from tasks import hold
from tasks.alter import table_of
from tasks.hold import Opened, Refused, Versions
from tasks.load import file_digest, frame_of, snapshot_path
from tasks.predict import predictions
from tasks.stream import types_in

COLUMNS = {
    "small": pd.Series([1, 2], dtype="int8"),
    "gaps": pd.Series([1, None], dtype="float64"),
    "nullable": pd.Series([1, None], dtype="Int64"),
    "text": pd.Series(["a", None], dtype="str"),
    "kind": pd.Series(["x", "y"], dtype="category"),
    "truth": pd.Series([True, False]),
    "time": pd.Series(pd.to_datetime(["2026-01-01", "2026-01-02"])).astype("datetime64[us]"),
}


def made(version: int) -> Any:
    """A release of which only the version matters."""
    return SimpleNamespace(step=lambda kind: SimpleNamespace(version=version))


@pytest.fixture
def opens(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Which versions were opened, without opening any; 13 cannot be."""
    seen: list[int] = []

    def opened(desk: Any, registered: Any, policy: Any) -> str:
        seen.append(registered.version)
        time.sleep(0.02)
        if registered.version == 13:
            raise Tampered("files", got="x", expected="y", next_step="z")
        if registered.version == 14:
            raise AttributeError("of another scikit-learn")
        return "model"

    monkeypatch.setattr(hold, "opened", opened)
    monkeypatch.setattr(hold, "_empty", lambda desk, release: pd.DataFrame())
    return seen


DESK: Any = SimpleNamespace(model="toy")


def test_a_version_is_opened_once_and_the_one_asked_longest_ago_is_let_go(opens: list[int], policy: Any) -> None:
    versions = Versions(most=2)
    for version in (1, 2, 1, 3, 1, 2):
        versions.get(DESK, made(version), policy)
    assert opens == [1, 2, 3, 2]
    assert versions.held == (("toy", 1), ("toy", 2))


def test_of_many_who_ask_at_once_one_opens(opens: list[int], policy: Any) -> None:
    versions = Versions()
    threads = [threading.Thread(target=versions.get, args=(DESK, made(1), policy)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert opens == [1]


@pytest.mark.parametrize(("version", "kind"), [(13, Tampered), (14, Unavailable)])
def test_what_cannot_be_opened_is_left_alone_for_longer_and_longer(
    opens: list[int], policy: Any, version: int, kind: type[HeadgateError]
) -> None:
    versions = Versions(retry=0.1)
    asked = time.monotonic()
    while time.monotonic() < asked + 0.6:
        with pytest.raises(kind):
            versions.get(DESK, made(version), policy)
        time.sleep(0.01)
    assert 2 <= len(opens) <= 3
    assert isinstance(versions.trouble("toy", version), kind)
    assert versions.held == ()


@pytest.fixture(scope="session")
def policy(built: Any) -> Policy:
    toy, _, _ = built
    from tasks.read import read_policy

    return read_policy(toy.folder)


def test_rows_have_the_types_of_the_training_table(stage: Stage, policy: Policy) -> None:
    frame, path = pd.DataFrame(COLUMNS), stage.toy.home / "rows.parquet"
    frame.to_parquet(path)
    table = Table(
        origin="o", digest=file_digest(path), suffix=".parquet", size=1, rows=2, columns=tuple(map(str, frame.columns))
    )
    place = snapshot_path(stage.desk.home, table.digest, ".parquet")
    place.parent.mkdir(parents=True, exist_ok=True)
    path.rename(place)
    types = types_in(stage.desk.home, table)
    assert {name: types[name] for name in frame} == dict(frame_of(stage.desk.home, table).dtypes)
    empty = pd.DataFrame({name: pd.Series([], dtype=types[name]) for name in frame})
    opened = Opened(None, empty, policy)
    row = {
        "small": 1,
        "gaps": 2.5,
        "nullable": 3,
        "text": "a",
        "kind": "x",
        "truth": True,
        "time": "2026-07-01T12:00:00",
    }
    opened.check(row)
    assert dict(opened.table([row]).dtypes) == dict(frame.dtypes)
    missing, unseen = {**dict.fromkeys(row), "truth": False}, {**row, "kind": "new"}
    opened.check(missing)
    assert opened.table([missing]).isna().sum().sum() == 6
    for rows in ([row], [row, missing], [unseen, row], [unseen, missing]):
        pd.testing.assert_frame_equal(opened.table(rows), table_of(empty, rows))
    coded = Opened(None, empty[["kind"]], policy)
    pd.testing.assert_frame_equal(coded.table([row] * 3), table_of(coded.empty, [row] * 3))
    for odd in ({"truth": None}, {"truth": 1}, {"small": True}, {"text": 1}, {"time": 5}, {"kind": 2}):
        with pytest.raises(BadInput, match=f"{next(iter(odd))} is no"):
            opened.check({**row, **odd})


def test_answers_are_those_that_the_gates_counted(stage: Stage, policy: Policy) -> None:
    release = stage.desk.release("toy-1")
    found = Versions().get(stage.desk, release, policy)
    frame = frame_of(stage.desk.home, release.step(Snapshot).evaluation).head(200)[["x1", "x2", "group"]]
    rows = frame.to_dict(orient="records")
    for row in rows:
        found.check(row)
    due = predictions(found.model, frame, policy)
    assert [said for (said,) in found.ask(rows)] == due.tolist()


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ([[0.5, np.nan]], BadInput),
        ([[0.0, 1.5]], BadInput),
        ([[0.5]], BadInput),
        (ValueError("a row"), Refused),
        (KeyError("x"), KeyError),
    ],
)
def test_what_is_no_score_is_no_answer(policy: Policy, said: Any, kind: type[Exception]) -> None:
    def predict_proba(rows: Any) -> Any:
        if isinstance(said, Exception):
            raise said
        return said

    opened = Opened(
        SimpleNamespace(predict_proba=predict_proba), pd.DataFrame({"x": pd.Series([], dtype=float)}), policy
    )
    with pytest.raises(kind) as told:
        opened.ask([{"x": 1.0}])
    assert "a row'" not in str(told.value)
