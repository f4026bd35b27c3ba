"""Kill -9 in the middle of moving an alias: the next run ends where an undisturbed one would."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
from deadly import NEVER, killed, moments
from rollouts import answered, staged
from stage import Stage, approve_all, keep, new_process, restore
from test_custody import OPERATOR
from test_promote import anomalies

from tasks import guard
from tasks.guard import look_after
from tasks.promote import promote
from tasks.record import Case, standing
from tasks.roll import roll, roll_on
from tasks.rollback import roll_back

__all__ = ["staged"]

SAMPLED = [2, pytest.param(NEVER, marks=pytest.mark.proof)]


def move(case: Case) -> object:
    return promote.fn(case)


def back(home: Path, model: str) -> object:
    return roll_back(home, model, reason="complaints", who=OPERATOR)


def go_on(case: Case) -> object:
    return roll.fn(case)


def look(home: Path, model: str) -> object:
    guard.ABANDONED = timedelta(0)  # type: ignore[misc]  # in a process of its own, which has lived long enough
    return look_after(home, model)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was begun before is believed to be abandoned at once."""
    monkeypatch.setattr(guard, "ABANDONED", timedelta(0))


def begun(stage: Stage, *, live: int) -> Counter[str]:
    """The stage anew, with this version live; the kinds of all entries."""
    restore(stage.toy)
    if live == 2:
        assert promote.fn(stage.ready) == ()
    return kinds(stage)


def kinds(stage: Stage) -> Counter[str]:
    new_process()
    return Counter(entry.kind for entry in stage.desk.ledger().entries)


@pytest.mark.parametrize("sample", SAMPLED)
def test_a_promotion(stage: Stage, sample: int) -> None:
    before = begun(stage, live=1)
    count = killed(NEVER, move, stage.ready)
    assert count
    assert count >= 4, "the intention, the alias before and after, the record"
    after = kinds(stage)
    for moment in moments(count, sample):
        assert begun(stage, live=1) == before
        assert killed(moment, move, stage.ready) is None
        new_process()
        assert promote.fn(stage.ready) == ()
        assert (stage.alias(), kinds(stage), anomalies(stage)) == (2, after, []), f"killed at {moment} of {count}"


@pytest.mark.parametrize("sample", SAMPLED)
@pytest.mark.usefixtures("patient")
def test_a_rollback(stage: Stage, sample: int) -> None:
    home, model = stage.toy.home, stage.toy.name
    before = begun(stage, live=2)
    count = killed(NEVER, back, home, model)
    assert count
    after = kinds(stage)
    for moment in moments(count, sample):
        assert begun(stage, live=2) == before
        assert killed(moment, back, home, model) is None
        new_process()
        look_after(home, model)
        if stage.alias() == 2:
            assert kinds(stage) == before, "nothing was begun"
            back(home, model)
        assert (stage.alias(), kinds(stage), anomalies(stage)) == (1, after, []), f"killed at {moment} of {count}"


@pytest.mark.parametrize("sample", SAMPLED)
@pytest.mark.usefixtures("patient")
def test_a_guard_that_puts_back_what_somebody_moved(stage: Stage, sample: int) -> None:
    home, model = stage.toy.home, stage.toy.name

    def moved() -> Counter[str]:
        found = begun(stage, live=2)
        stage.registry.set_registered_model_alias(model, "champion", "1")
        return found

    before = moved()
    count = killed(NEVER, look, home, model)
    assert count
    after = kinds(stage)
    assert after - before == Counter(incident=1, incident_closed=1)
    for moment in moments(count, sample):
        assert moved() == before
        assert killed(moment, look, home, model) is None
        new_process()
        look_after(home, model)
        assert (stage.alias(), kinds(stage), anomalies(stage)) == (2, after, []), f"killed at {moment} of {count}"


@pytest.fixture
def case(staged: Stage) -> Case:
    """A release that may go through two stages, as far as a question about the third one; kept."""
    made = staged.open("approve")
    approve_all(staged.toy, made)
    answered(made, 3, 3, late=3600)
    keep(staged.toy, "approved")
    return made


@pytest.mark.parametrize("sample", SAMPLED)
def test_a_rollout(staged: Stage, case: Case, sample: int) -> None:
    count = killed(NEVER, go_on, case)
    assert count
    after = kinds(staged)
    assert (after["promoted"], after["soaked"], after["approval_requested"]) == (1 + 2, 2, 1 + 1 + 2)
    for moment in moments(count, sample):
        restore(staged.toy, "approved")
        assert killed(moment, go_on, case) is None
        new_process()
        roll.fn(case)
        assert (kinds(staged), anomalies(staged)) == (after, []), f"killed at {moment} of {count}"


@pytest.mark.parametrize("sample", SAMPLED)
@pytest.mark.usefixtures("patient")
def test_a_rollout_on_its_way_back(staged: Stage, case: Case, sample: int) -> None:
    home, model = staged.toy.home, staged.toy.name
    roll.fn(case)
    keep(staged.toy, "rolling")
    before = kinds(staged)
    count = killed(NEVER, back, home, model)
    assert count
    after = kinds(staged)
    assert after - before == Counter(rollback_started=2, rolled_back=2, halted=1)
    for moment in moments(count, sample):
        restore(staged.toy, "rolling")
        assert killed(moment, back, home, model) is None
        new_process()
        look_after(home, model)
        roll_on(home, model)
        if standing(case).is_open:
            assert kinds(staged) == before, "nothing was begun"
            back(home, model)
        assert (kinds(staged), anomalies(staged)) == (after, []), f"killed at {moment} of {count}"
