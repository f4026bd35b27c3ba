"""A toy that is watched: two versions in use one after the other, and telemetry lines as a router would write them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from model_folder import Toy, better, build, rows
from stage import approve_all, keep, opened, recorded, restore, run

from headgate.home import Home
from headgate.records import Registered
from headgate.telemetry import Line, Outcome, Served
from tasks.load import opened as loaded
from tasks.record import Case, Desk

MONITORING = """
[monitoring]
owner = "toy-watch"
every_minutes = 60
label_delay_days = 2.0
min_rows = 200

[[monitoring.check]]
name = "other-rows"
watches = "inputs"
of = ["x1", "x2", "group"]
max = 0.20
window_hours = 24.0
severity = "warning"
playbook = "drifted"

[[monitoring.check]]
name = "other-scores"
watches = "scores"
max = 0.25
window_hours = 24.0
severity = "warning"
playbook = "drifted"

[[monitoring.check]]
name = "worse-for-some"
watches = "performance"
of = ["roc_auc"]
slices = ["group"]
min = 0.55
window_hours = 24.0
severity = "incident"
playbook = "group_harmed"
response = "retreat"

[[monitoring.check]]
name = "no-answers"
watches = "failures"
max = 0.05
window_hours = 1.0
severity = "incident"
playbook = "out_of_order"

[[monitoring.check]]
name = "slow"
watches = "latency"
max = 100.0
window_hours = 24.0
severity = "warning"
playbook = "out_of_order"

[[monitoring.check]]
name = "used"
watches = "volume"
min = 10.0
window_hours = 24.0
severity = "warning"
playbook = "out_of_order"

[incidents]
owner = "toy-on-call"
contact = "the bell"
respond_hours = 4.0
tell = ["the board"]
drill_days = 90

"""
PLAYBOOK = """
drifted = ["Compare the rows.", "Release again."]
out_of_order = ["Restart it.", "Go back."]
"""


@dataclass(frozen=True)
class Street:
    """The home, with what its router would write.

    Attributes:
        live, ready: the release that is in use, and one that is approved.
    """

    toy: Toy
    live: Case
    ready: Case

    @property
    def desk(self) -> Desk:
        return Desk(self.toy.home, self.toy.name)

    @property
    def folder(self) -> Path:
        return Home(self.toy.home).package(self.live.release)

    @cached_property
    def model(self) -> Any:
        release = self.desk.release(self.live.release)
        return loaded(self.desk, release.step(Registered), self.desk.policy(release))

    def write(self, kind: str, lines: Sequence[Line], *, torn: bytes = b"", writer: str = "w") -> None:
        place = Home(self.toy.home).telemetry / self.toy.name / kind
        for line in lines:
            path = place / line.time[:13] / f"{writer}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab") as file:
                file.write(line.to_line() + (torn if line is lines[-1] else b""))

    def serve(self, frame: pd.DataFrame, *, hours: float = 0.5, version: int = 1, **more: Any) -> list[Served]:
        """Answer rows, so many hours ago, as this version does."""
        said = self.model.predict_proba(frame[["x1", "x2", "group"]])[:, 1]
        return requests(frame, said, hours=hours, version=version, **more)


def requests(
    frame: pd.DataFrame, said: Any, *, hours: float, version: int, ms: Any = 5.0, failed: int = 0
) -> list[Served]:
    slow = np.broadcast_to(ms, len(frame)).tolist()
    made = []
    for place, row in enumerate(frame.to_dict("records")):
        lost = place < failed
        made.append(
            Served(
                id=f"r{row['id']}", time=ago(hours), subject=f"s{row['id']}", stage="broad", version=version,
                inputs={c: row[c] for c in ("x1", "x2", "group")}, scores=() if lost else (float(said[place]),),
                ms=float(slow[place]), failure="TimeoutError" if lost else None,
            )
        )  # fmt: skip
    return made


def outcomes(frame: pd.DataFrame, labels: Any = None, *, hours: float = 0.2) -> list[Outcome]:
    told = frame["label"] if labels is None else labels
    return [Outcome(id=f"r{i}", time=ago(hours), label=int(y)) for i, y in zip(frame["id"], told, strict=True)]


def ago(hours: float) -> str:
    at = datetime.now(UTC) - timedelta(hours=hours)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def people(n: int = 1200, seed: int = 11, first: int = 500_000) -> pd.DataFrame:
    """Rows of the same population as the evaluation table's."""
    return rows(n, seed=seed, first=first)


def settled(toy: Toy) -> tuple[Toy, Case, Case]:
    policy = toy.folder / "policy.toml"
    policy.write_text(policy.read_text().replace("[playbook]", f"{MONITORING}[playbook]") + PLAYBOOK)
    with pytest.MonkeyPatch.context() as patch:
        recorded(patch)
        live = opened(toy, "approve")
        approve_all(toy, live)
        run("promote", live)
        ready = opened(toy, "approve", training=str(better(toy)))
        approve_all(toy, ready)
    keep(toy)
    return toy, live, ready


@pytest.fixture(scope="session")
def watched_toy(tmp_path_factory: pytest.TempPathFactory) -> tuple[Toy, Case, Case]:
    return settled(build(tmp_path_factory.mktemp("watched")))


@pytest.fixture
def street(watched_toy: tuple[Toy, Case, Case], pages: Any) -> Street:
    """The home as it was, without any telemetry or report."""
    toy, live, ready = watched_toy
    restore(toy)
    for made in (Home(toy.home).telemetry, Home(toy.home).reports):
        shutil.rmtree(made, ignore_errors=True)
    return Street(toy, live, ready)


def verdicts(vigil: Any) -> Mapping[str, str]:
    return {check: vigil.of(check).name for check in vigil.checks}
