"""A rollout in the platform: each question has a form of its own, wherever the rollout goes on."""

from __future__ import annotations

from uuid import UUID

import pytest
from model_folder import PEOPLE
from prefect import get_client
from prefect.settings import get_current_settings
from rollouts import answered, staged
from stage import Stage
from waiting_run import WaitingRun

from flows.patrol import guard
from flows.promote import promote
from tasks.audit import audit_all
from tasks.record import standing

__all__ = ["staged"]


@pytest.fixture
def waiting(staged: Stage) -> WaitingRun:
    run = WaitingRun.of(staged.open("approve"))
    assert run.go().name == "Suspended"
    return run


def agreed(staged: Stage, waiting: WaitingRun) -> None:
    for role in PEOPLE:
        ended = waiting.answer(role, staged.toy.keys[role])
    assert ended.name == "Rolling", "its work is done, and nothing is wrong"


def runs(waiting: WaitingRun) -> set[UUID]:
    with get_client(sync_client=True) as client:
        return {run.id for run in client.read_flow_runs() if run.parameters.get("resume") == waiting.case.release}


def test_a_stage_is_asked_about_by_a_form_of_its_own(
    staged: Stage, waiting: WaitingRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    agreed(staged, waiting)
    monkeypatch.setenv("PREFECT_API_URL", str(get_current_settings().api.url))
    answered(waiting.case, 3, 3)
    before = runs(waiting)
    assert guard(home=str(waiting.case.home), return_state=True).name == "Completed"
    assert standing(waiting.case).missing == {"risk": 1}
    (asking,) = runs(waiting) - before
    again = WaitingRun(waiting.case, asking)
    assert again.go().name == "Suspended"
    told, schema = again.form()
    assert '"stage": "broad"' in told
    assert schema["properties"]["role"]["enum"] == ["risk"]
    page = [text for key, text in staged.pages.made if key == waiting.case.artifact("approve")][-1]
    assert "Asked is about the stage **broad**, which serves everybody. Before it:" in page
    assert again.answer("risk", staged.toy.keys["risk"]).name == "Promoted"
    assert staged.desk.state().aliases == dict.fromkeys(("internal", "pilot", "champion"), 3)
    assert audit_all(waiting.case.home)[waiting.case.model].anomalies == ()


def test_an_answer_to_the_release_is_read_again_by_no_later_question(staged: Stage, waiting: WaitingRun) -> None:
    # All stages at once: the same run asks twice, and what was submitted first stays in its inputs.
    answered(waiting.case, 3, 9, late=3600)
    for role in PEOPLE:
        ended = waiting.answer(role, staged.toy.keys[role])
    assert (ended.name, standing(waiting.case).stage) == ("Suspended", "waiting")
    assert waiting.key() == "answer-broad-0"
    assert standing(waiting.case).missing == {"risk": 1}
    assert waiting.answer("risk", staged.toy.keys["risk"]).name == "Promoted"


def test_the_promotions_form_takes_a_stage_and_says_what_it_lacks(staged: Stage, waiting: WaitingRun) -> None:
    agreed(staged, waiting)
    given = {"version": 3, "folder": str(waiting.case.folder), "home": str(waiting.case.home)}
    for stage, why in (
        ("internal", "the stage 'internal' is reached already; the next one is 'broad'"),
        ("broad", "answered 0 of 3"),
        ("", "answered 0 of 3"),
        ("moon", "there is no stage 'moon'"),
    ):
        ended = promote(**given, stage=stage, return_state=True)
        assert ended.name == "Refused"
        assert why in str(ended.message)
    answered(waiting.case, 3, 3)
    assert "waiting for 1 × risk" in str(promote(**given, stage="broad", return_state=True).message)
