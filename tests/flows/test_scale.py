"""Many partitions, through the flow's task runner: threads, and the workers of a real Dask cluster."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from distributed import LocalCluster
from model_folder import REQUESTER, Toy, rows
from prefect import flow

from headgate.errors import HeadgateError, Tampered
from headgate.home import Home
from headgate.records import Evaluated, Registered, Snapshot, Trained
from tasks import tally
from tasks.load import fetch
from tasks.record import Desk
from tasks.spread import runner
from tasks.stream import BATCH
from tasks.tally import Made, Scoring, tallied

ROWS = 2 * BATCH + 1_000


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """A scheduler, and a worker process that counts two partitions at once."""
    # MLflow has written the address of an earlier test's home into this process: a worker must begin without it.
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        made = LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address=None)
    with made:
        yield made


def enlarged(toy: Toy) -> None:
    """An evaluation table of three partitions, if a partition is one batch."""
    rows(ROWS, seed=2, first=100_000).to_parquet(toy.evaluation)
    suite = json.loads((toy.folder / "evaluation.json").read_text())
    suite["expectations"][0]["kwargs"]["max_value"] = ROWS
    (toy.folder / "evaluation.json").write_text(json.dumps(suite))


def released(toy: Toy) -> str:
    from flows.release import release

    given = {"folder": str(toy.folder), "home": str(toy.home), "requester": REQUESTER}
    ended = release.with_options(task_runner=runner())(**given, return_state=True)
    if ended.name in ("Failed", "Crashed"):
        ended.result()
    return str(ended.message)


def scoring(toy: Toy, *names: str) -> Scoring:
    desk = Desk(toy.home, toy.name)
    made = [desk.release(name) for name in names]
    models = tuple(Made(each.step(Registered), each.step(Trained).features) for each in made)
    return Scoring(toy.home, desk.policy(made[0]), made[0].step(Snapshot).evaluation, models)


def counted(work: Scoring) -> str:
    """The digest of the tally, counted by the runner that the surroundings ask for."""

    @flow(task_runner=runner())
    def counting() -> str:
        return tallied(work).digest

    return counting()


def given_to(cluster: LocalCluster) -> int:
    """How many partitions the scheduler has heard of."""
    return len({key for key, *_ in cluster.scheduler.transition_log if key.startswith("tally-")})


def test_threads_and_a_cluster_count_to_the_same_bytes(
    toy: Toy, cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    enlarged(toy)
    monkeypatch.setattr(tally, "PART", BATCH)
    monkeypatch.setenv("HEADGATE_DASK", cluster.scheduler_address)
    name = released(toy)
    assert given_to(cluster) == 3
    work = scoring(toy, name, name)  # the same model as its own champion
    paired = counted(work)
    assert given_to(cluster) == 6

    monkeypatch.delenv("HEADGATE_DASK")
    assert counted(work) == paired
    assert counted(scoring(toy, name)) == Desk(toy.home, toy.name).release(name).step(Evaluated).tally
    monkeypatch.setattr(tally, "PART", ROWS)
    assert counted(work) == paired

    monkeypatch.setattr(tally, "PART", BATCH)
    (fetch(Home(work.home), work.models[1].registered.source) / "model.skops").write_bytes(b"another")
    for address in ("", cluster.scheduler_address):
        monkeypatch.setenv("HEADGATE_DASK", address)
        with pytest.raises(Tampered, match="model files"):
            counted(work)


def test_without_its_cluster_a_release_stops_before_it_reads_a_row(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    from tasks import spread

    monkeypatch.setattr(spread, "_PATIENCE", "300 ms")
    monkeypatch.setenv("HEADGATE_DASK", "tcp://127.0.0.1:9")
    with pytest.raises(HeadgateError, match="Dask cluster"):
        released(toy)
    assert [e.kind for e in Desk(toy.home, toy.name).ledger().entries] == ["requested"]
