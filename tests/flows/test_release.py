"""The release flow, on a real Prefect server, a real MLflow registry and real Great Expectations."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest
from model_folder import Toy, better, build, dirty, harmed
from runs import approve_all, promoted, run

from headgate.errors import BadInput
from headgate.records import Evaluated, Halted, Registered
from tasks.approve import answer
from tasks.audit import audit_all
from tasks.connect import alias_version, client
from tasks.promote import why_not
from tasks.record import Case, Desk, reopen

STREET = ["requested", "snapshot", "validated", "trained", "registered", "evaluated", "packaged", "approval_requested"]
PROMOTED = [*STREET, "approved", "approved", "promotion_started", "promoted"]


def desk(toy: Toy) -> Desk:
    return Desk(toy.home, toy.name)


def case(toy: Toy, name: str) -> Case:
    return reopen(str(toy.home), str(toy.folder), name)


def kinds(toy: Toy, release: str | None = None) -> list[str]:
    return [e.kind for e in desk(toy).ledger().entries if release in (None, e.release)]


def live(toy: Toy) -> int | None:
    return alias_version(client(desk(toy).home), toy.name, "champion")


def versions(toy: Toy) -> int:
    return len(client(desk(toy).home).search_model_versions(f"name='{toy.name}'"))


def sound(toy: Toy) -> bool:
    found = audit_all(toy.home)[toy.name]
    return found.entries > 0 and found.anomalies == ()


def test_a_first_release_waits_for_people_and_goes_on_when_they_have_signed(toy: Toy) -> None:
    name = run(toy)
    assert name == "toy-1"
    assert kinds(toy) == STREET
    assert live(toy) is None
    assert desk(toy).release(name).stage == "waiting"

    before = desk(toy).ledger().size
    run(toy, resume=name)
    assert desk(toy).ledger().size == before, "a release that waits does nothing when it is resumed"

    approve_all(toy, name)
    run(toy, resume=name)
    assert kinds(toy) == PROMOTED
    assert live(toy) == desk(toy).release(name).step(Registered).version == 1
    assert versions(toy) == 1, "no finished step was repeated"
    assert sound(toy)
    told = (toy.home / "reports" / "toy.html").read_text()
    assert "Version 1 is live as &#x27;champion&#x27;" in told, "a release tells its stakeholders when it ends"


def test_the_second_is_compared_with_the_champion_and_takes_over_and_the_third_is_halted(toy: Toy) -> None:
    promoted(toy)
    second = promoted(toy, training=str(better(toy)))
    assert desk(toy).release(second).step(Evaluated).champion == 1
    assert live(toy) == 2

    third = run(toy, training=str(harmed(toy)))
    halted = desk(toy).release(third).halted
    assert isinstance(halted, Halted)
    assert (halted.step, halted.owner, halted.playbook) == ("evaluate", "fairness-board", "group_harmed")
    assert halted.next_step == "Keep the champion."
    assert "ranking-by-group" in {f.what for f in halted.failures}
    assert all("group=b" in f.reason for f in halted.failures if f.what == "ranking-by-group")
    assert "packaged" not in kinds(toy, third)
    assert live(toy) == 2, "the alias did not move"
    with pytest.raises(BadInput):
        answer(case(toy, third), role="risk", key=toy.keys["risk"])
    assert sound(toy)


def test_dirty_data_is_refused_before_anything_is_trained(toy: Toy) -> None:
    name = run(toy, training=str(dirty(toy)))
    assert kinds(toy) == ["requested", "snapshot", "validated", "halted"]
    halted = desk(toy).release(name).halted
    assert halted is not None
    assert (halted.step, halted.playbook, halted.verdict.name) == ("validate", "data_refused", "FAIL")
    assert {"unique_ids (training)", "expect_column_values_to_be_unique (training)"} <= {
        f.what for f in halted.failures
    }
    assert versions(toy) == 0
    assert sound(toy)


def test_a_rejection_halts_with_its_reason(toy: Toy) -> None:
    name = run(toy)
    answer(case(toy, name), role="risk", key=toy.keys["risk"], decision="reject", reason="the purpose is not clear")
    run(toy, resume=name)
    halted = desk(toy).release(name).halted
    assert halted is not None
    assert halted.playbook == "rejected"
    assert halted.failures[0].reason == "the purpose is not clear"
    assert live(toy) is None


def test_a_release_whose_champion_was_replaced_meanwhile_is_refused(toy: Toy) -> None:
    slow = run(toy)
    promoted(toy, training=str(better(toy)))
    approve_all(toy, slow)
    run(toy, resume=slow)
    assert desk(toy).release(slow).stage == "approved"
    (reason,) = why_not(case(toy, slow))
    assert "release again, against the current champion" in reason
    assert live(toy) == 2
    assert sound(toy)


QUICK = {("after", "promotion_started")}  # tests/deadly.py kills real processes at the others
POINTS = [(when, at) for at in (*STREET[1:], "promotion_started", "promoted") for when in ("before", "after")]


@pytest.mark.parametrize(
    ("when", "at"), [pytest.param(*each, marks=() if each in QUICK else pytest.mark.proof) for each in POINTS]
)
def test_stopped_at_any_record_the_next_run_ends_in_the_same_state(
    toy: Toy, monkeypatch: pytest.MonkeyPatch, at: str, when: str
) -> None:
    _stop_once(monkeypatch, at, when)
    name = "toy-1"
    with pytest.raises(KeyboardInterrupt):
        promoted(toy)
    if desk(toy).release(name).missing or desk(toy).release(name).stage == "running":
        run(toy, resume=name)
    if desk(toy).release(name).stage == "waiting":
        approve_all(toy, name)
    run(toy, resume=name)
    assert Counter(kinds(toy)) == Counter(PROMOTED)
    assert (live(toy), versions(toy)) == (1, 1)
    assert sound(toy)


def _stop_once(monkeypatch: pytest.MonkeyPatch, at: str, when: str) -> None:
    from headgate.records import KINDS

    whole, stopped = Desk.append, []

    def append(self: Desk, ledger, release, record, actor="pipeline"):  # type: ignore[no-untyped-def]
        due = KINDS[type(record)] == at and not stopped
        if due and when == "before":
            stopped.append(at)
            raise KeyboardInterrupt
        grown = whole(self, ledger, release, record, actor)
        if due:
            stopped.append(at)
            raise KeyboardInterrupt
        return grown

    monkeypatch.setattr(Desk, "append", append)


def test_two_models_share_a_home_and_a_copied_home_is_the_same(toy: Toy, tmp_path: Path) -> None:
    other = build(tmp_path, name="toy-two")
    first = run(toy)
    second = run(other)
    assert (first, second) == ("toy-1", "toy-two-1")
    shutil.copytree(toy.home / "store", tmp_path / "copy")
    found = audit_all(toy.home, store=tmp_path / "copy", ask_registry=False)
    assert {name: f.anomalies for name, f in found.items()} == {"toy": (), "toy-two": ()}
