"""The stage with a rollout through three stages, and the lines that a router would write about it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator

import pytest
from stage import Stage

from headgate.telemetry import Served
from tasks.record import Case

STAGES = """
[[rollout.stage]]
name = "internal"
alias = "internal"
audience = { group = ["employee"] }

[[rollout.stage]]
name = "pilot"
alias = "pilot"
share = 0.05
min_requests = 3

[[rollout.stage]]
name = "broad"
alias = "champion"
needs = ["risk"]
"""


@pytest.fixture
def staged(stage: Stage) -> Iterator[Stage]:
    """Version 1 is live, and from now on the policy has three stages."""
    path = stage.toy.folder / "policy.toml"
    text = path.read_text()
    shutil.rmtree(stage.toy.home / "telemetry", ignore_errors=True)
    head, _, tail = text.partition("[[rollout.stage]]")
    path.write_text(head + STAGES.lstrip() + "\n[renewal]" + tail.partition("[renewal]")[2])
    yield stage
    path.write_text(text)
    shutil.rmtree(stage.toy.home / "telemetry", ignore_errors=True)


def answered(
    case: Case, version: int, requests: int, *, stage: str = "pilot", failure: str | None = None, late: float = 1
) -> None:
    """The lines that a router writes about so many requests, so many seconds from now."""
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + late))
    folder = case.home / "telemetry" / case.model / "requests" / at[:13]
    folder.mkdir(parents=True, exist_ok=True)
    line = Served(
        id="r", time=at, subject="s", stage=stage, version=version, inputs={}, scores=(0.5,), ms=1.0, failure=failure
    ).to_line()
    with (folder / f"{len(list(folder.iterdir()))}.jsonl").open("ab") as file:
        file.write(line * requests + line[:20])
