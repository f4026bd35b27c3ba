"""The monitor as the platform runs it: what is due, on the run's page, and a run that fails where it is blind."""

from __future__ import annotations

import pytest
from prefect.client.orchestration import get_client
from watched import Street, people, street, watched_toy

from flows.monitor import monitor
from tasks import monitor as looking

__all__ = ["street", "watched_toy"]


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    made: list[tuple[str, str]] = []
    monkeypatch.setattr(looking, "create_markdown_artifact", lambda *, key, markdown: made.append((key, markdown)))
    return made


def test_a_tick_looks_when_it_is_due_and_shows_what_it_saw(street: Street, shown: list[tuple[str, str]]) -> None:
    street.write("requests", street.serve(people()))
    home = str(street.toy.home)
    assert monitor(home, return_state=True).name == "Completed"
    (page,) = shown
    assert page[0] == "toy-monitor"
    assert "| other-rows | x1 | all | PASS |" in page[1]
    assert monitor(home, return_state=True).name == "Completed"
    assert len(shown) == 1, "nothing was due"
    with get_client(sync_client=True) as client:
        assert {run.name for run in client.read_flows()} >= {"monitor"}


def test_a_run_fails_where_something_could_not_be_measured(street: Street, shown: list[tuple[str, str]]) -> None:
    ended = monitor(str(street.toy.home), return_state=True)
    assert (ended.name, ended.message) == ("Trouble", "toy: something could not be measured")
    assert "there is no telemetry" not in shown[0][1]
    assert "telemetry of toy: none" in shown[0][1]
