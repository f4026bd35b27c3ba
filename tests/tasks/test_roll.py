"""A rollout through real stages: each alias in a real registry in its turn, and back from all of them."""

from __future__ import annotations

import shutil

import pytest
from model_folder import better
from rollouts import answered, staged
from stage import Stage, approve_all, new_process
from test_custody import OPERATOR, look
from test_promote import Killed, anomalies, model_file, of_client

from headgate.errors import BadInput
from tasks import guard as guarding
from tasks import live
from tasks.approve import answer, record_answer
from tasks.promote import promote, refuse, why_not
from tasks.record import Case, standing
from tasks.roll import Rolled, advance, roll, roll_on
from tasks.rollback import roll_back

__all__ = ["staged"]


@pytest.fixture
def case(staged: Stage) -> Case:
    """A release that people have agreed to, and that has reached nothing yet."""
    made = staged.open("approve", training=str(better(staged.toy)))
    approve_all(staged.toy, made)
    return made


def aliases(stage: Stage) -> dict[str, int]:
    found = stage.registry.get_registered_model(stage.toy.name).aliases
    assert {name: int(v) for name, v in found.items()} == stage.desk.state().aliases, "the registry and the ledger"
    return {name: int(version) for name, version in found.items()}


def to_pilot(stage: Stage, case: Case) -> int:
    """Roll to the pilot, and return the version that is there."""
    (held,) = roll.fn(case)
    assert "answered 0 of 3" in held
    return aliases(stage)["pilot"]


def to_question(stage: Stage, case: Case) -> int:
    version = to_pilot(stage, case)
    answered(case, version, 3)
    assert roll.fn(case) == ()
    assert standing(case).stage == "waiting"
    return version


def agree(stage: Stage, case: Case, **given: object) -> str:
    return answer(case, role="risk", key=stage.toy.keys["risk"], **given)  # type: ignore[arg-type]


def test_stage_by_stage_as_each_is_due(staged: Stage, case: Case) -> None:
    version = to_pilot(staged, case)
    assert aliases(staged) == {"champion": 1, "internal": version, "pilot": version}
    assert standing(case).stage == "rolling"
    answered(case, version, 2)
    answered(case, version, 9, failure="ValueError")
    answered(case, version, 9, stage="internal")
    answered(case, 1, 9)
    (held,) = roll.fn(case)
    assert "answered 2 of 3" in held, "what failed, or was answered elsewhere or by another version, is not counted"
    answered(case, version, 1)
    assert roll.fn(case) == ()
    assert standing(case).missing == {"risk": 1}
    agree(staged, case)
    assert roll.fn(case) == ()
    assert aliases(staged) == dict.fromkeys(("champion", "internal", "pilot"), version)
    assert standing(case).stage == "promoted"
    assert anomalies(staged) == []


def test_the_guard_carries_a_rollout_on(staged: Stage, case: Case) -> None:
    version = to_pilot(staged, case)
    assert look(staged) == ()
    held = roll_on(case.home, case.model)
    assert held is not None
    assert not held.moved
    assert "answered 0 of 3" in held.held[0]
    answered(case, version, 3)
    assert roll_on(case.home, case.model) == Rolled(case, moved=True, held=())
    assert standing(case).stage == "waiting"


def test_a_person_takes_it_to_the_next_stage_and_hears_what_that_lacks(staged: Stage, case: Case) -> None:
    assert refuse(case, "broad") == ("the stage 'broad' comes after 'internal', which is the next one",)
    assert refuse(case, "moon") == ("there is no stage 'moon'; the policy has internal, pilot, broad",)
    assert refuse(case, "internal") == refuse(case, "") == ()
    assert advance.fn(case) == ()
    assert refuse(case, "pilot") == ("the stage 'pilot' is reached already; the next one is 'broad'",)
    (held,) = advance.fn(case)
    assert "answered 0 of 3" in held
    assert "the stage 'pilot' has not soaked yet: it takes 0 minutes and 3 requests" in why_not(case)
    answered(case, aliases(staged)["pilot"], 3)
    assert advance.fn(case) == ("the release is waiting for 1 × risk",)
    agree(staged, case)
    assert advance.fn(case) == ()
    assert advance.fn(case) == (), "it is there"


def test_who_agreed_to_the_release_has_not_agreed_to_the_stage(staged: Stage, case: Case) -> None:
    to_question(staged, case)
    assert promote.fn(case) == ("1 approval(s) as risk are missing",)
    with pytest.raises(BadInput, match="not for the role product"):
        answer(case, role="product", key=staged.toy.keys["product"])


def test_a_no_to_a_stage_goes_back_from_all_of_them(staged: Stage, case: Case) -> None:
    to_question(staged, case)
    agree(staged, case, decision="reject", reason="too many complaints")
    assert roll.fn(case) == ()
    assert aliases(staged) == {"champion": 1}
    halted = standing(case).halted
    assert halted is not None
    assert halted.failures[0].reason == "too many complaints"
    assert anomalies(staged) == []


def test_silence_about_a_stage_goes_back_from_all_of_them(staged: Stage, case: Case, later: None) -> None:
    to_question(staged, case)
    said = look(staged)
    assert aliases(staged) == {"champion": 1}
    assert standing(case).stage == "halted"
    assert any("did not answer by" in line or "approval" in line for line in said)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard looks, and it is long after everything expired."""
    monkeypatch.setattr(guarding, "now", lambda: "2099-01-01T00:00:00Z")


def test_a_rollback_ends_a_rollout_and_leaves_the_champion(staged: Stage, case: Case) -> None:
    version = to_pilot(staged, case)
    assert roll_back(case.home, case.model, reason="complaints", who=OPERATOR) == (version, None)
    assert aliases(staged) == {"champion": 1}
    halted = standing(case).halted
    assert halted is not None
    assert (halted.step, halted.failures[0].what) == ("rollout", f"rollout, by {OPERATOR}")
    assert anomalies(staged) == []


def test_a_rollback_after_the_end_takes_every_stage_back(staged: Stage, case: Case) -> None:
    version = to_question(staged, case)
    agree(staged, case)
    roll.fn(case)
    assert roll_back(case.home, case.model, reason="complaints", who=OPERATOR) == (version, 1)
    assert aliases(staged) == {"champion": 1}
    assert anomalies(staged) == []


def test_a_stage_alias_that_somebody_moved_is_put_back_and_the_rollout_goes_on(staged: Stage, case: Case) -> None:
    version = to_pilot(staged, case)
    staged.registry.set_registered_model_alias(case.model, "pilot", "1")
    answered(case, version, 3)
    (why,) = [w for w in (look(staged),) if w]
    assert any("'pilot' was found at version 1" in line for line in why)
    assert aliases(staged)["pilot"] == version
    assert roll.fn(case) == ()
    assert standing(case).stage == "waiting"


def test_a_stage_alias_that_somebody_made_is_taken_away(staged: Stage, case: Case) -> None:
    staged.registry.set_registered_model_alias(case.model, "pilot", "2")
    look(staged)
    assert aliases(staged) == {"champion": 1}


POINTS = {
    "before the alias": of_client("set_registered_model_alias", before=True),
    "after the alias": of_client("set_registered_model_alias", before=False),
}


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_a_stage_the_next_look_ends_where_it_would_have(
    staged: Stage, case: Case, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    with monkeypatch.context() as patch:
        POINTS[point](patch)
        with pytest.raises(Killed):
            roll.fn(case)
    new_process()
    (held,) = roll.fn(case)
    assert "answered 0 of 3" in held
    assert set(aliases(staged)) == {"champion", "internal", "pilot"}
    assert anomalies(staged) == []


@pytest.mark.parametrize("before", [True, False])
def test_killed_on_the_way_back_the_next_look_goes_all_the_way(
    staged: Stage, case: Case, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    to_pilot(staged, case)
    with monkeypatch.context() as patch:
        of_client("delete_registered_model_alias", before=before)(patch)
        with pytest.raises(Killed):
            roll_back(case.home, case.model, reason="complaints", who=OPERATOR)
    new_process()
    monkeypatch.setattr(guarding, "ABANDONED", guarding.timedelta(0))
    look(staged)
    roll_on(case.home, case.model)
    assert aliases(staged) == {"champion": 1}
    assert standing(case).stage == "halted"
    assert anomalies(staged) == []


def test_two_releases_do_not_roll_at_once(staged: Stage, case: Case) -> None:
    to_pilot(staged, case)
    other = staged.open("approve")
    approve_all(staged.toy, other)
    refused = promote.fn(other)
    assert f"the rollout of {case.release} has not ended: `headgate rollback toy` ends it" in refused
    assert aliases(staged)["champion"] == 1


# What is tried between two stages.


def revoke_the_key(stage: Stage, case: Case) -> None:
    file = stage.toy.folder / "allowed_signers"
    file.write_text(file.read_text().replace('namespaces="product@headgate"', 'namespaces="old@headgate"'))


def swap_the_model(stage: Stage, case: Case) -> None:
    shutil.copyfile(model_file(stage, stage.live), model_file(stage, case))


def raise_the_bar(stage: Stage, case: Case) -> None:
    path = stage.toy.folder / "policy.toml"
    path.write_text(path.read_text().replace("min_requests = 3", "min_requests = 0").replace('needs = ["risk"]\n', ""))


ATTACKS = {
    "the key of an approver is revoked": (revoke_the_key, "may sign as product for nobody"),
    "the model's bytes are swapped": (swap_the_model, "model.skops has changed"),
    "the policy is edited to ask nobody": (raise_the_bar, "1 approval(s) as risk are missing"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_changes_between_two_stages_stops_the_next(staged: Stage, case: Case, attack: str) -> None:
    act, said = ATTACKS[attack]
    version = to_question(staged, case)
    signers = (staged.toy.folder / "allowed_signers").read_text()
    if attack != "the policy is edited to ask nobody":
        agree(staged, case)
    try:
        act(staged, case)
        refused = promote.fn(case)
    finally:
        (staged.toy.folder / "allowed_signers").write_text(signers)
    assert any(said in reason for reason in refused), refused
    assert aliases(staged) == {"champion": 1, "internal": version, "pilot": version}


def test_an_approval_of_the_release_is_no_approval_of_a_stage(staged: Stage, case: Case) -> None:
    given = next(a.record for a in standing(case).approvals if a.record.role == "risk")
    text, signature = (staged.desk.evidence.get(d) for d in (given.statement, given.signature or ""))
    to_question(staged, case)
    with pytest.raises(BadInput, match="the statement's stage is None; this release's is broad"):
        record_answer(case, text, signature)
    assert standing(case).missing == {"risk": 1}


def test_what_is_loaded_is_what_everybody_is_served_and_each_stage_by_its_alias(staged: Stage, case: Case) -> None:
    version = to_pilot(staged, case)
    known = {1: "toy-1", version: case.release}
    opened: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(live, "opened", lambda desk, registered, policy: opened.append(registered.version))
        for alias in (None, "champion", "pilot", "internal"):
            live.load("toy", alias, home=staged.toy.home)
    assert [known[each] for each in opened] == ["toy-1", "toy-1", case.release, case.release]
