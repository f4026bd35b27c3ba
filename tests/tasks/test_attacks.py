"""Attacks on a promotion, each tried on a real registry: in the end nothing is live but what people agreed to."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from model_folder import PEOPLE, REQUESTER, better
from stage import Stage

from headgate import sshsig
from headgate.approval import Statement, namespace, statement
from headgate.errors import BadInput, HeadgateError, Tampered
from headgate.records import Packaged
from tasks import follow
from tasks import promote as promoting
from tasks.approve import answer, new_throwaway_key, record_answer
from tasks.audit import audit_all
from tasks.promote import promote
from tasks.record import Case

FAR = "2099-01-01T00:00:00Z"


@pytest.fixture
def asked(stage: Stage) -> Case:
    """A second release that waits for risk and product."""
    return stage.open("approve", training=str(better(stage.toy)))


def spoken(stage: Stage, case: Case, role: str = "risk", **changed: Any) -> Statement:
    ledger, release = stage.desk.ledger(), stage.desk.release(case.release)
    said = statement(ledger, release, person=PEOPLE[role], role=role, decision="approve")
    return said.model_copy(update=changed)


def send(stage: Stage, case: Case, said: Statement, key: str | Path = "risk", space: str | None = None) -> None:
    path = stage.toy.keys[key] if isinstance(key, str) else key
    text = said.text()
    record_answer(case, text, sshsig.sign(path.read_bytes(), text, space or namespace(said.role)).encode())


def list_signer(stage: Stage, path: Path, person: str, role: str) -> None:
    line = new_throwaway_key(path, person, role)
    file = stage.toy.folder / "allowed_signers"
    file.write_text(file.read_text() + line + "\n")


def forged_name(stage: Stage, case: Case) -> None:
    send(stage, case, spoken(stage, case, person="somebody@toy.example"))


def other_role(stage: Stage, case: Case) -> None:
    send(stage, case, spoken(stage, case, role="product", person=PEOPLE["risk"]), key="risk")


def other_namespace(stage: Stage, case: Case) -> None:
    send(stage, case, spoken(stage, case), space="file")


def unknown_key(stage: Stage, case: Case) -> None:
    stranger = stage.toy.home.parent / "stranger"
    new_throwaway_key(stranger, PEOPLE["risk"], "risk")
    send(stage, case, spoken(stage, case), key=stranger)


def replayed_from_another_release(stage: Stage, case: Case) -> None:
    given = stage.desk.release(stage.live.release).approvals[0].record
    record_answer(case, stage.desk.evidence.get(given.statement), stage.desk.evidence.get(given.signature))


def digest_of_another_package(stage: Stage, case: Case) -> None:
    other = stage.desk.release(stage.live.release).step(Packaged).package
    send(stage, case, spoken(stage, case, package=other))


def a_history_that_never_was(stage: Stage, case: Case) -> None:
    send(stage, case, spoken(stage, case, ledger_root="sha256:" + "0" * 64))


def a_later_expiry(stage: Stage, case: Case) -> None:
    send(stage, case, spoken(stage, case, expires=FAR))


def by_whoever_asked(stage: Stage, case: Case) -> None:
    own = stage.toy.home.parent / "own"
    list_signer(stage, own, REQUESTER, "risk")
    send(stage, case, spoken(stage, case, person=REQUESTER), key=own)


def by_whoever_asked_under_a_second_name(stage: Stage, case: Case) -> None:
    own = stage.toy.home.parent / "own"
    list_signer(stage, own, REQUESTER, "audit")
    file = stage.toy.folder / "allowed_signers"
    key = sshsig.public_key(own.read_bytes()).text
    file.write_text(file.read_text() + f'second@toy.example namespaces="risk@headgate" {key}\n')
    send(stage, case, spoken(stage, case, person="second@toy.example"), key=own)


def a_second_time(stage: Stage, case: Case) -> None:
    send(stage, case, spoken(stage, case))
    send(stage, case, spoken(stage, case))


def altered_after_signing(stage: Stage, case: Case) -> None:
    text = spoken(stage, case).text()
    signature = sshsig.sign(stage.toy.keys["risk"].read_bytes(), text, "risk@headgate").encode()
    record_answer(case, text.replace(b'"reason": ""', b'"reason": "all is well"'), signature)


REFUSED: dict[str, tuple[Callable[[Stage, Case], None], str]] = {
    "a forged name": (forged_name, "not for somebody@toy.example"),
    "another role": (other_role, "may sign as product for nobody"),
    "another namespace": (other_namespace, "namespace"),
    "a key that nobody listed": (unknown_key, "for nobody"),
    "replayed from another release": (replayed_from_another_release, "the statement's release is toy-1"),
    "another package's digest": (digest_of_another_package, "the statement's package"),
    "a history that never was": (a_history_that_never_was, "ledger root"),
    "a later expiry": (a_later_expiry, "the statement's expiry"),
    "by whoever asked": (by_whoever_asked, "asked for this release"),
    "two accounts of one key": (by_whoever_asked_under_a_second_name, "asked for this release"),
    "altered after signing": (altered_after_signing, "signature"),
}


@pytest.mark.parametrize("attack", REFUSED)
def test_an_answer_that_is_none_is_refused_with_its_reason(stage: Stage, asked: Case, attack: str) -> None:
    signers = (stage.toy.folder / "allowed_signers").read_text()
    before = stage.desk.ledger().size
    try:
        act, said = REFUSED[attack]
        with pytest.raises(BadInput, match=said):
            act(stage, asked)
    finally:
        (stage.toy.folder / "allowed_signers").write_text(signers)
    assert stage.desk.ledger().size == before
    assert stage.alias() == 1


def test_one_person_counts_once(stage: Stage, asked: Case) -> None:
    with pytest.raises(HeadgateError, match="one answer per person"):
        a_second_time(stage, asked)
    assert stage.desk.release(asked.release).missing == {"product": 1}


# What is done to an approved release before it is promoted.


def expire(stage: Stage, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(promoting, "now", lambda: FAR)


def revoke_the_key(stage: Stage, patch: pytest.MonkeyPatch) -> None:
    file = stage.toy.folder / "allowed_signers"
    file.write_text(file.read_text().replace('namespaces="risk@headgate"', 'namespaces="old@headgate"'))


def swap_the_model(stage: Stage, patch: pytest.MonkeyPatch) -> None:
    from test_promote import model_file

    shutil.copyfile(model_file(stage, stage.live), model_file(stage, stage.ready))


def move_the_alias(stage: Stage, patch: pytest.MonkeyPatch) -> None:
    stage.registry.set_registered_model_alias(stage.toy.name, "champion", "2")


def delete_the_champion(stage: Stage, patch: pytest.MonkeyPatch) -> None:
    stage.registry.delete_model_version(stage.toy.name, "1")


def take_an_approval_back(stage: Stage, patch: pytest.MonkeyPatch) -> None:
    answer(stage.ready, role="risk", key=stage.toy.keys["risk"], decision="withdraw", reason="new evidence")


STOPPED: dict[str, tuple[Callable[[Stage, pytest.MonkeyPatch], None], str]] = {
    "it waits until the approval expires": (expire, "approval expired"),
    "a key is revoked": (revoke_the_key, "may sign as risk for nobody"),
    "the model's bytes are swapped": (swap_the_model, "model.skops has changed"),
    "the alias is moved by hand": (move_the_alias, "somebody else moved it"),
    "the champion's version is deleted": (delete_the_champion, "somebody else moved it"),
    "an approval is taken back": (take_an_approval_back, "1 approval(s) as risk are missing"),
}


@pytest.mark.parametrize("attack", STOPPED)
def test_what_changes_after_the_approval_stops_the_promotion(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, attack: str
) -> None:
    signers = (stage.toy.folder / "allowed_signers").read_text()
    act, said = STOPPED[attack]
    try:
        act(stage, monkeypatch)
        refused = promote.fn(stage.ready)
    finally:
        (stage.toy.folder / "allowed_signers").write_text(signers)
    assert any(said in reason for reason in refused), refused
    assert "promotion_started" not in stage.kinds(stage.ready)


def test_a_policy_that_is_edited_after_the_approval_changes_nothing(stage: Stage) -> None:
    """The release keeps the policy that it was opened under: a lower bar tomorrow is for tomorrow's releases."""
    file = stage.toy.folder / "policy.toml"
    before = file.read_text()
    try:
        file.write_text(before.replace("product = 1", "product = 2"))
        assert promote.fn(stage.ready) == ()
    finally:
        file.write_text(before)
    assert audit_all(stage.toy.home)[stage.toy.name].anomalies == ()


def test_a_ledger_that_is_cut_behind_an_approval_makes_it_void(stage: Stage, asked: Case) -> None:
    """An approver's statement names the history it was made in: of a shorter one it does not speak."""
    answer(asked, role="risk", key=stage.toy.keys["risk"])
    text = spoken(stage, asked, role="product").text()
    signature = sshsig.sign(stage.toy.keys["product"].read_bytes(), text, "product@headgate").encode()
    slots = sorted((stage.toy.home / "store" / "ledger" / stage.toy.name).glob("*.json"))
    slots[-1].unlink()
    with pytest.raises(Tampered, match="rewritten"):
        record_answer(asked, text, signature)
    follow._followed.clear()  # another process has not seen what was cut off
    with pytest.raises(BadInput, match="ledger root"):
        record_answer(asked, text, signature)


def test_an_entry_that_somebody_wrote_by_hand_stops_everything(stage: Stage) -> None:
    slots = sorted((stage.toy.home / "store" / "ledger" / stage.toy.name).glob("*.json"))
    forged = slots[-1].read_bytes().replace(b'"approved"', b'"rejected"')
    slots[-1].with_name(f"{len(slots):09}.json").write_bytes(forged)
    with pytest.raises(Tampered):
        promote.fn(stage.ready)
    assert stage.alias() == 1


def test_an_approval_that_was_taken_back_can_be_given_again(stage: Stage) -> None:
    for decision, reason in (("withdraw", "let me look again"), ("approve", "")):
        answer(stage.ready, role="risk", key=stage.toy.keys["risk"], decision=decision, reason=reason)  # type: ignore[arg-type]
    assert promote.fn(stage.ready) == ()
    assert audit_all(stage.toy.home)[stage.toy.name].anomalies == ()


def test_nobody_takes_back_what_they_did_not_give(stage: Stage, asked: Case) -> None:
    with pytest.raises(BadInput, match="did not approve as risk"):
        answer(asked, role="risk", key=stage.toy.keys["risk"], decision="withdraw", reason="no")
