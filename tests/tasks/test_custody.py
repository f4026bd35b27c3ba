"""Rollback and guard against a real registry, which lets anybody move, delete and make an alias, and says nothing."""

from __future__ import annotations

import shutil
from datetime import timedelta
from typing import Any

import pytest
from stage import Stage, new_process
from test_promote import Killed, anomalies, kill, model_file, of_client, third_version

from headgate.errors import BadInput, Tampered, Unavailable
from headgate.oversight import Guard
from headgate.watch import Incident, IncidentClosed, RollbackStarted, RolledBack
from tasks import guard as guarding
from tasks import move
from tasks.guard import clear, look_after
from tasks.promote import promote
from tasks.record import Desk
from tasks.rollback import roll_back

OPERATOR = "olga@toy.example"


@pytest.fixture
def twice(stage: Stage) -> Stage:
    """Version 2 is live, and version 1 was before it."""
    assert promote.fn(stage.ready) == ()
    return stage


def back(stage: Stage, **given: Any) -> tuple[int, int]:
    return roll_back(stage.toy.home, stage.toy.name, reason="complaints", who=OPERATOR, **given)


def look(stage: Stage) -> tuple[str, ...]:
    return look_after(stage.toy.home, stage.toy.name)


def kinds(stage: Stage) -> list[str]:
    return [entry.kind for entry in stage.desk.ledger().entries]


def set_alias(stage: Stage, version: int | str, alias: str = "champion") -> None:
    stage.registry.set_registered_model_alias(stage.toy.name, alias, str(version))


def pinned(patch: pytest.MonkeyPatch, guard: Guard) -> None:
    real = Desk.policy
    patch.setattr(Desk, "policy", lambda self, release: real(self, release).model_copy(update={"guard": guard}))


def test_an_alias_goes_back_in_one_step_and_the_ledger_says_by_whom(twice: Stage) -> None:
    assert back(twice) == (2, 1)
    assert twice.alias() == 1
    begun, done = twice.desk.ledger().entries[-2:]
    assert (begun.kind, done.kind, begun.actor) == ("rollback_started", "rolled_back", OPERATOR)
    assert anomalies(twice) == []


def test_without_anything_before_it_there_is_no_way_back(stage: Stage) -> None:
    before = stage.desk.ledger().size
    with pytest.raises(BadInput, match="nothing to go back to"):
        back(stage)
    assert stage.desk.ledger().size == before


@pytest.mark.parametrize("reason", ["", "  ", "a\nb", "x" * 2001, "\u202e"])
def test_a_rollback_has_a_reason_that_can_be_read(twice: Stage, reason: str) -> None:
    with pytest.raises(BadInput, match="one line"):
        roll_back(twice.toy.home, twice.toy.name, reason=reason, who=OPERATOR)


def test_a_version_whose_bytes_were_swapped_is_not_gone_back_to(twice: Stage) -> None:
    path = model_file(twice, twice.live)
    good = path.read_bytes()
    shutil.copyfile(model_file(twice, twice.ready), path)
    with pytest.raises(BadInput, match=r"model\.skops"):
        back(twice)
    assert twice.alias() == 2
    path.write_bytes(good)
    assert back(twice, to=1) == (2, 1)


def test_a_version_that_was_deleted_is_not_gone_back_to(twice: Stage) -> None:
    twice.registry.delete_model_version(twice.toy.name, "1")
    with pytest.raises(BadInput, match="it was deleted from the registry"):
        back(twice)


def test_a_rollback_gives_up_a_promotion_that_has_not_happened_yet(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        of_client("set_registered_model_alias", before=True)(patch)
        with pytest.raises(Killed):
            promote.fn(stage.ready)
    with pytest.raises(BadInput, match="nothing to go back to"):
        back(stage)
    assert kinds(stage)[-1] == "promotion_undone"
    assert stage.alias() == 1


def test_a_rollback_records_a_promotion_that_has_happened_and_goes_back_from_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        of_client("set_registered_model_alias", before=False)(patch)
        with pytest.raises(Killed):
            promote.fn(stage.ready)
    assert back(stage) == (2, 1)
    assert kinds(stage)[-4:] == ["promotion_started", "promoted", "rollback_started", "rolled_back"]


POINTS = {
    "before the intention": lambda p: kill(p, move.Desk, "append", before=True, when=RollbackStarted),
    "after the intention": lambda p: kill(p, move.Desk, "append", before=False, when=RollbackStarted),
    "before the alias": of_client("set_registered_model_alias", before=True),
    "after the alias": of_client("set_registered_model_alias", before=False),
    "before the record": lambda p: kill(p, move.Desk, "write", before=True, when=RolledBack),
    "after the record": lambda p: kill(p, move.Desk, "write", before=False, when=RolledBack),
}


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_any_point_the_guard_ends_what_was_begun(
    twice: Stage, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    with monkeypatch.context() as patch:
        POINTS[point](patch)
        with pytest.raises(Killed):
            back(twice)
    monkeypatch.setattr(guarding, "ABANDONED", timedelta(0))
    look(twice)
    assert twice.alias() == (2 if point == "before the intention" else 1)
    assert twice.desk.state().intention is None
    assert anomalies(twice) == []


def test_an_intention_of_a_living_process_is_left_to_it(twice: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        POINTS["before the alias"](patch)
        with pytest.raises(Killed):
            back(twice)
    assert look(twice) == ()
    assert twice.desk.state().intention is not None


# What others do.


def test_an_alias_that_somebody_moved_is_put_back_and_recorded(twice: Stage) -> None:
    set_alias(twice, third_version(twice))
    told = look(twice)
    assert twice.alias() == 2
    assert kinds(twice)[-2:] == ["incident", "incident_closed"]
    assert told[0] == "'champion' was found at version 3 instead of version 2: restore, as the policy says"
    assert anomalies(twice) == []
    assert look(twice) == (), "nothing is left to do"


def test_an_alias_that_somebody_deleted_is_put_back(twice: Stage) -> None:
    twice.registry.delete_registered_model_alias(twice.toy.name, "champion")
    look(twice)
    assert twice.alias() == 2


def test_an_alias_that_nobody_decided_is_taken_away(stage: Stage) -> None:
    set_alias(stage, 1, "pilot")
    move.hold(stage.desk, stage.registry, {"champion", "pilot"})
    assert stage.registry.get_registered_model(stage.toy.name).aliases.keys() == {"champion"}
    assert stage.desk.ledger().entries[-1].body["now"] is None


def test_a_deleted_version_freezes_the_model_until_somebody_rolls_back(twice: Stage) -> None:
    twice.registry.delete_model_version(twice.toy.name, "2")
    told = look(twice)
    assert "freeze, version 2 cannot be served: it was deleted from the registry" in told[0]
    slot = twice.desk.ledger().size - 1
    assert look(twice) == (), "it is known"
    with pytest.raises(BadInput, match="rollback"):
        clear(twice.toy.home, twice.toy.name, slot, reason="looked", who=OPERATOR)
    assert back(twice) == (2, 1)
    clear(twice.toy.home, twice.toy.name, slot, reason="version 2 was deleted by mistake", who=OPERATOR)
    assert twice.desk.state().incidents == {}
    assert twice.desk.ledger().entries[-1].actor == OPERATOR
    assert anomalies(twice) == []


def test_where_the_policy_freezes_nothing_is_promoted_until_a_person_has_looked(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    pinned(monkeypatch, Guard(response="freeze"))
    set_alias(stage, third_version(stage))
    look(stage)
    assert stage.alias() == 3, "frozen as it was found"
    refused = promote.fn(stage.ready)
    assert any("the incident of slot" in reason for reason in refused)
    (slot,) = stage.desk.state().incidents
    clear(stage.toy.home, stage.toy.name, slot, reason="it was a test", who=OPERATOR)
    assert stage.alias() == 1
    assert promote.fn(stage.ready) == ()


def test_killed_between_incident_and_repair_the_next_look_repairs(
    twice: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_alias(twice, third_version(twice))
    with monkeypatch.context() as patch:
        kill(patch, Desk, "write", before=False, when=Incident)
        with pytest.raises(Killed):
            look(twice)
    with monkeypatch.context() as patch:
        kill(patch, Desk, "write", before=True, when=IncidentClosed)
        with pytest.raises(Killed):
            look(twice)
    look(twice)
    assert (twice.alias(), twice.desk.state().incidents) == (2, {})
    assert kinds(twice).count("incident") == 1


def test_a_promoter_that_slept_while_it_was_overtaken_does_not_win(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It wakes between its last look and its write, when the guard has finished its promotion and an operator has
    rolled that back: MLflow takes the late write, and the model ends where the ledger has it."""
    import mlflow

    real, woken = mlflow.MlflowClient.set_registered_model_alias, []

    def sleepy(client: Any, *given: str) -> None:
        if not woken:
            woken.append(True)
            monkeypatch.setattr(guarding, "ABANDONED", timedelta(0))
            look(stage)
            assert stage.alias() == 2, "the guard has ended what it had begun"
            assert back(stage) == (2, 1)
        real(client, *given)

    monkeypatch.setattr(mlflow.MlflowClient, "set_registered_model_alias", sleepy)
    assert promote.fn(stage.ready) == ()
    assert stage.alias() == 1, "not where the late write put it"
    assert kinds(stage)[-2:] == ["incident", "incident_closed"], "the window of doubt is recorded"
    assert anomalies(stage) == []


@pytest.mark.parametrize("call", ["get_model_version_by_alias", "set_registered_model_alias"])
def test_an_mlflow_that_fails_leaves_a_rollback_to_be_ended(
    twice: Stage, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    import mlflow

    def fail(*_: object) -> None:
        raise mlflow.exceptions.MlflowException("the database is locked")

    with monkeypatch.context() as patch:
        patch.setattr(mlflow.MlflowClient, call, fail)
        with pytest.raises(Unavailable, match="the database is locked"):
            back(twice)
    monkeypatch.setattr(guarding, "ABANDONED", timedelta(0))
    look(twice)
    assert twice.alias() == 1
    assert anomalies(twice) == []


def test_a_broken_ledger_is_not_looked_after(twice: Stage) -> None:
    slot = twice.toy.home / "store" / "ledger" / twice.toy.name / "000000003.json"
    slot.chmod(0o600)
    slot.write_bytes(slot.read_bytes().replace(b"a", b"b", 1))
    set_alias(twice, 1)
    new_process()
    with pytest.raises(Tampered):
        look(twice)
    assert twice.alias() == 1, "nothing is done by a ledger that cannot be believed"
