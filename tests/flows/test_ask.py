"""A release asks in Prefect's pages: what counts there is what counts anywhere, and nothing else moves anything."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from model_folder import PEOPLE
from stage import Stage
from waiting_run import WaitingRun, delete_input, set_state, write_input

from headgate.records import Approved
from tasks.approve import answer
from tasks.audit import audit_all
from tasks.promote import why_not
from tasks.reap import settle
from tasks.record import standing

ANA, BEN = PEOPLE["risk"], PEOPLE["product"]


@pytest.fixture
def waiting(stage: Stage) -> WaitingRun:
    """The stage's approved release is undone by nobody: it is left, and a third one waits with a form."""
    run = WaitingRun.of(stage.open("approve"))
    assert run.go().name == "Suspended"
    return run


def stage_of(run: WaitingRun) -> str:
    return standing(run.case).stage


def sound(run: WaitingRun) -> bool:
    return audit_all(run.case.home)[run.case.model].anomalies == ()


def test_the_form_shows_what_is_signed_and_the_quorum_promotes(stage: Stage, waiting: WaitingRun) -> None:
    told, schema = waiting.form()
    assert {"decision", "name", "role"} <= set(schema["required"]), "no run goes on without a decision"
    assert set(schema["properties"]["role"]["enum"]) == set(PEOPLE)
    assert ANA in told
    assert BEN in told
    (page,) = [text for key, text in stage.pages.made if key == waiting.case.artifact("approve")][-1:]
    for heading in (
        "## Verdict: PASS",
        "## Against the champion",
        "## What the policy demands otherwise",
        "## To sign",
    ):
        assert heading in page
    assert "ranking-by-group" in page
    assert waiting.statement("risk") in page

    assert waiting.answer("risk", stage.toy.keys["risk"]).name == "Suspended"
    assert standing(waiting.case).missing == {"product": 1}
    assert ANA in [a.record.person for a in standing(waiting.case).approvals]
    done = waiting.answer("product", stage.toy.keys["product"])
    assert (done.name, done.message) == ("Promoted", waiting.case.release)
    assert stage.alias() == 3
    assert sound(waiting)


def test_the_command_on_the_page_signs_as_it_stands(stage: Stage, waiting: WaitingRun, tmp_path: Path) -> None:
    if shutil.which("ssh-keygen") is None:
        pytest.skip("ssh-keygen is not installed; tests/core/test_sshsig.py covers the format")
    block = waiting.form()[0].partition(f"{ANA} approves as risk**\n\n```text\n")[2].partition("\n```")[0]
    (tmp_path / ".ssh").mkdir()
    shutil.copy(stage.toy.keys["risk"], tmp_path / ".ssh" / "id_ed25519")
    signed = subprocess.run(
        ["bash", "-c", block], env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}, capture_output=True, check=True
    )
    fields = {"decision": "approve", "name": ANA, "role": "risk"}
    assert waiting.submit(**fields, signature=signed.stdout.decode().replace("\n", "")) == 201
    waiting.go()
    assert [a.record.person for a in standing(waiting.case).approvals] == [ANA]


def test_a_wrong_signature_fails_no_run_and_the_form_says_what_was_wrong(stage: Stage, waiting: WaitingRun) -> None:
    wrong = waiting.answer("risk", stage.toy.keys["product"])
    assert wrong.name == "Suspended"
    told, schema = waiting.form()
    assert told.startswith("## Not recorded")
    assert "the key may sign as risk for nobody" in told.split("---")[0]
    defaults = {name: schema["properties"][name].get("default") for name in ("decision", "name", "role", "signature")}
    assert defaults == {"decision": None, "name": ANA, "role": "risk", "signature": ""}
    assert "decision" in schema["required"]
    assert waiting.key() == "answer-1"
    for nonsense in ("", "yes", "-----BEGIN SSH SIGNATURE----- !! -----END SSH SIGNATURE-----"):
        assert waiting.submit(decision="approve", name=ANA, role="risk", signature=nonsense) == 201
        assert waiting.go().name == "Suspended"
    assert stage_of(waiting) == "waiting"
    assert waiting.answer("risk", stage.toy.keys["risk"]).name == "Suspended"
    assert standing(waiting.case).missing == {"product": 1}
    assert not waiting.form()[0].startswith("## Not recorded")


def test_who_gives_a_reason_gets_exactly_that_text_to_sign_and_a_rejection_halts(
    stage: Stage, waiting: WaitingRun
) -> None:
    said = "zu früh: `rm -rf` ``` und <b>'STATEMENT'</b>"
    assert waiting.submit(decision="reject", name=f" {ANA} ", role="risk", reason=said) == 201
    assert waiting.go().name == "Suspended"
    text = waiting.statement("risk")
    assert json.loads(text)["reason"] == said
    assert (json.loads(text)["decision"], json.loads(text)["person"]) == ("reject", ANA)
    ended = waiting.answer("risk", stage.toy.keys["risk"], text)
    assert (ended.name, ended.type) == ("Halted", "FAILED")
    halted = standing(waiting.case).halted
    assert halted is not None
    assert halted.failures[0].reason == said
    assert stage.alias() == 1
    assert sound(waiting)


def test_a_click_counts_only_where_the_policy_says_so(stage: Stage) -> None:
    policy = stage.toy.folder / "policy.toml"
    before = policy.read_text()
    try:
        policy.write_text(before.replace("expires_hours", 'ui_click = ["product"]\nexpires_hours'))
        run = WaitingRun.of(stage.open("approve"))
        run.go()
        for role, who in reversed(PEOPLE.items()):
            assert run.submit(decision="approve", name=who, role=role) == 201
            run.go()
        (given,) = standing(run.case).approvals
        assert isinstance(given.record, Approved)
        assert (given.record.person, given.record.assurance, given.record.key) == (BEN, "ui-click", None)
        assert "by a click" in run.form()[0].split("---")[0]
        assert run.answer("risk", stage.toy.keys["risk"]).name == "Promoted"
        assert sound(run)
    finally:
        policy.write_text(before)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"name": ANA, "role": "risk"},
        {"decision": "withdraw", "name": ANA, "role": "risk"},
        {"decision": "approve", "name": ANA, "role": "risk", "approved": True},
        {"decision": "approve", "name": ANA, "role": "root"},
        {"decision": "approve", "name": 1, "role": "risk"},
    ],
)
def test_an_incomplete_or_inventive_form_does_not_even_resume(waiting: WaitingRun, fields: dict[str, object]) -> None:
    assert waiting.submit(**fields) == 200
    state = waiting.read().state
    assert state is not None
    assert state.name == "Suspended"
    assert stage_of(waiting) == "waiting"


def test_whatever_is_done_to_the_run_by_the_api_nothing_moves(stage: Stage, waiting: WaitingRun) -> None:
    before = stage.desk.ledger().size
    assert set_state(waiting, "SCHEDULED") == "ACCEPT"
    assert waiting.go().name == "Suspended", "set to run without an answer, it asks again"
    assert waiting.submit(decision="approve", name=ANA, role="risk", signature="x") == 201
    assert delete_input(waiting, f"suspended-{waiting.key()}-response") in (204, 404)
    assert waiting.go().name == "Suspended", "an answer that was deleted is none"
    for value in ("approve", {"decision": "approve"}, {"approved": True}, [1], None):
        key = f"suspended-{waiting.key()}-response"
        assert write_input(waiting, key, value) == 201
        assert set_state(waiting, "SCHEDULED") == "ACCEPT"
        assert waiting.go().name == "Suspended", f"{value} is no answer"
    write_input(waiting, f"suspended-{waiting.key()}-response", {"decision": "approve", "name": ANA, "role": "risk"})
    set_state(waiting, "RUNNING", force=True)
    assert waiting.go().name == "Suspended"
    assert stage.desk.ledger().size == before
    assert stage.alias() == 1


def test_an_expired_approval_that_is_retried_by_force_stays_unapproved(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = stage.toy.folder / "policy.toml"
    before = policy.read_text()
    try:
        policy.write_text(before.replace("expires_hours = 72.0", "expires_hours = 0.0001"))
        run = WaitingRun.of(stage.open("approve"))
    finally:
        policy.write_text(before)
    run.go()
    size = stage.desk.ledger().size
    assert set_state(run, "FAILED", force=True) == "ACCEPT"
    for force in (False, True):
        set_state(run, "SCHEDULED", force=force)
        run.go()
    assert run.answer("risk", stage.toy.keys["risk"]).name == "Suspended"
    assert "expired" in run.form()[0].split("---")[0]
    assert stage.desk.ledger().size == size

    from tasks.guard import look_after

    look_after(stage.toy.home, stage.toy.name)
    assert stage_of(run) == "halted"
    assert run.case.release in settle(stage.toy.home)
    state = run.read().state
    assert state is not None
    assert (state.name, state.type) == ("Halted", "FAILED")


def test_what_was_answered_in_a_terminal_closes_the_run_that_waits(stage: Stage, waiting: WaitingRun) -> None:
    from flows.release import release

    answer(waiting.case, role="risk", key=stage.toy.keys["risk"])
    assert settle(stage.toy.home) == (), "one of two answers: it still waits"
    answer(waiting.case, role="product", key=stage.toy.keys["product"])
    here = {"folder": str(waiting.case.folder), "home": str(waiting.case.home), "resume": waiting.case.release}
    assert release(**here, return_state=True).name == "Promoted"
    state = waiting.read().state
    assert state is not None
    assert (state.name, state.type) == ("Promoted", "COMPLETED")

    before = stage.desk.ledger().size
    set_state(waiting, "SCHEDULED", force=True)
    assert waiting.go().name == "Promoted", "resumed later, it finds nothing to do"
    assert stage.desk.ledger().size == before


def test_an_answer_that_was_taken_back_is_not_given_again_by_the_same_form(stage: Stage, waiting: WaitingRun) -> None:
    waiting.answer("risk", stage.toy.keys["risk"])
    answer(waiting.case, role="risk", key=stage.toy.keys["risk"], decision="withdraw", reason="a second look")
    ended = waiting.answer("product", stage.toy.keys["product"])
    assert ended.name == "Suspended", ended.message
    assert standing(waiting.case).missing == {"risk": 1}, "the forms of before are read again, and give nothing again"
    assert why_not(waiting.case)
