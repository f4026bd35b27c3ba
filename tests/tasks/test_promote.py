"""Promotion against a real registry: its holes are shown open in MLflow itself, then closed by the task."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stage import Stage, approve_all

from headgate.errors import HeadgateError, Tampered, Unavailable
from headgate.ledger import Ledger
from headgate.record import Record
from headgate.records import Promoted, PromotionStarted, Registered
from tasks import audit as auditing
from tasks import move
from tasks import promote as module
from tasks.approve import answer
from tasks.audit import audit_all
from tasks.load import fetch
from tasks.promote import promote
from tasks.record import Case, Desk

SETTLED = ["approval_requested", "approved", "approved", "promotion_started", "promoted"]


class Killed(BaseException):
    """Ends the task at once, as a signal would: no `except Exception` sees it."""


def anomalies(stage: Stage) -> list[str]:
    return [a.name for a in audit_all(stage.toy.home)[stage.toy.name].anomalies]


def model_file(stage: Stage, case: Case) -> Path:
    return fetch(stage.desk.home, stage.desk.release(case.release).step(Registered).source) / "model.skops"


def third_version(stage: Stage) -> str:
    """One more version of the model, made by somebody else with MLflow's own means."""
    source = stage.desk.release(stage.live.release).step(Registered).source
    return str(stage.registry.create_model_version(stage.toy.name, source).version)


def is_undecided(stage: Stage) -> bool:
    return stage.kinds(stage.ready)[-1] == "approved" and stage.desk.state().intention is None


def test_the_alias_moves_and_the_ledger_and_the_page_say_so(stage: Stage) -> None:
    stage.pages.made.clear()
    assert promote.fn(stage.ready) == ()
    assert stage.alias() == 2
    assert stage.kinds(stage.ready)[-5:] == SETTLED
    assert stage.desk.state().aliases == {"champion": 2}
    assert anomalies(stage) == []
    ((key, page),) = stage.pages.made
    assert re.fullmatch("[a-z0-9-]+", key)
    assert "toy-2 is live" in page


def test_a_second_promotion_of_what_is_live_does_nothing_more(stage: Stage) -> None:
    promote.fn(stage.ready)
    size = stage.desk.ledger().size
    assert promote.fn(stage.ready) == ()
    assert stage.desk.ledger().size == size


def test_what_was_live_and_is_replaced_cannot_be_promoted_again(stage: Stage) -> None:
    promote.fn(stage.ready)
    refused = promote.fn(stage.live)
    assert "the release is promoted; expected one that is open" in refused
    assert stage.alias() == 2


def test_mlflow_lets_the_last_writer_win_and_we_do_not(stage: Stage) -> None:
    stranger = third_version(stage)
    stage.registry.set_registered_model_alias(stage.toy.name, "champion", "2")
    stage.registry.set_registered_model_alias(stage.toy.name, "champion", stranger)
    shown = stage.registry.get_registered_model(stage.toy.name)
    assert {name: int(version) for name, version in shown.aliases.items()} == {"champion": 3}
    assert "1" not in str(shown.aliases), "nothing tells where the alias was before"

    refused = promote.fn(stage.ready)
    assert refused == ("MLflow's 'champion' is version 3, the ledger says version 1: somebody else moved it",)
    assert is_undecided(stage)
    assert stage.alias() == 3
    assert anomalies(stage) == ["moved_alias"]


def test_mlflow_deletes_the_champion_without_a_word_and_we_notice(stage: Stage) -> None:
    stage.registry.delete_model_version(stage.toy.name, "1")
    assert stage.registry.get_registered_model(stage.toy.name).aliases == {}

    (refusal,) = promote.fn(stage.ready)
    assert "'champion' is no version, the ledger says version 1" in refusal
    assert is_undecided(stage)
    assert anomalies(stage) == ["moved_alias"]


def test_a_swapped_model_loads_silently_in_mlflow_and_is_refused_here(stage: Stage) -> None:
    import mlflow
    import pandas as pd

    rows = pd.DataFrame({"x1": [0.3, -1.2], "x2": [1.4, 0.1], "group": ["b", "a"]})
    before = mlflow.sklearn.load_model("models:/toy/2").predict_proba(rows)
    shutil.copyfile(model_file(stage, stage.live), model_file(stage, stage.ready))
    after = mlflow.sklearn.load_model("models:/toy/2").predict_proba(rows)
    assert abs(before - after).max() > 0.01, "MLflow serves another model under the same version"

    stage.pages.made.clear()
    assert promote.fn(stage.ready) == ("the registered file model.skops has changed since the gates judged it",)
    assert is_undecided(stage)
    assert stage.alias() == 1
    assert "model.skops" in stage.pages.made[0][1]


def test_a_model_that_is_swapped_in_the_middle_of_a_promotion_does_not_go_live(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = model_file(stage, stage.ready)
    good = path.read_bytes()
    with monkeypatch.context() as patch:
        kill(patch, move, "put", before=True)
        with pytest.raises(Killed):
            promote.fn(stage.ready)
    shutil.copyfile(model_file(stage, stage.live), path)
    with pytest.raises(Tampered, match=r"model\.skops"):
        promote.fn(stage.ready)
    assert stage.alias() == 1
    path.write_bytes(good)
    assert promote.fn(stage.ready) == ()
    assert stage.alias() == 2


def kill(patch: pytest.MonkeyPatch, owner: Any, name: str, *, before: bool, when: type[Record] | None = None) -> None:
    """Make a function die before or after its work; with `when`, only if it is given such a record."""
    real = getattr(owner, name)

    def dying(*args: Any, **kwargs: Any) -> None:
        fits = when is None or any(isinstance(a, when) for a in args)
        if not (before and fits):
            result = real(*args, **kwargs)
        if fits:
            raise Killed
        return result

    patch.setattr(owner, name, dying)


def of_client(name: str, *, before: bool) -> Callable[[pytest.MonkeyPatch], None]:
    def patch_it(patch: pytest.MonkeyPatch) -> None:
        import mlflow

        kill(patch, mlflow.MlflowClient, name, before=before)

    return patch_it


POINTS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "before the intention": lambda p: kill(p, Desk, "append", before=True, when=PromotionStarted),
    "after the intention": lambda p: kill(p, Desk, "append", before=False, when=PromotionStarted),
    "before the alias": of_client("set_registered_model_alias", before=True),
    "after the alias": of_client("set_registered_model_alias", before=False),
    "before the record": lambda p: kill(p, Desk, "write", before=True, when=Promoted),
    "after the record": lambda p: kill(p, Desk, "write", before=False, when=Promoted),
    "at the page": lambda p: kill(p, module, "create_markdown_artifact", before=True),
}


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_any_point_the_next_run_ends_where_an_undisturbed_one_would(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    with monkeypatch.context() as patch:
        POINTS[point](patch)
        with pytest.raises(Killed):
            promote.fn(stage.ready)
    assert promote.fn(stage.ready) == ()
    assert stage.alias() == 2
    assert stage.kinds(stage.ready)[-5:] == SETTLED
    assert anomalies(stage) == []


def test_killed_again_and_again_it_still_ends_there_and_an_alias_that_is_set_is_not_set_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for point in ("after the intention", "after the alias", "before the record"):
        with monkeypatch.context() as patch:
            POINTS[point](patch)
            with pytest.raises(Killed):
                promote.fn(stage.ready)
    of_client("set_registered_model_alias", before=True)(monkeypatch)
    assert promote.fn(stage.ready) == ()
    assert stage.kinds(stage.ready)[-5:] == SETTLED


def test_an_alias_that_somebody_moves_in_the_middle_stops_the_promotion(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger = third_version(stage)
    with monkeypatch.context() as patch:
        POINTS["before the alias"](patch)
        with pytest.raises(Killed):
            promote.fn(stage.ready)
    stage.registry.set_registered_model_alias(stage.toy.name, "champion", stranger)
    with pytest.raises(Tampered, match="neither version 1 nor version 2"):
        promote.fn(stage.ready)
    assert stage.alias() == 1, "put back, as the policy says"
    assert stage.kinds(stage.ready)[-2:] == ["promotion_started", "promotion_undone"]
    told = [e.kind for e in stage.desk.ledger().entries][-3:]
    assert told == ["incident", "promotion_undone", "incident_closed"]
    assert anomalies(stage) == []
    assert promote.fn(stage.ready) == ()
    assert stage.alias() == 2


def test_an_alias_that_does_not_stay_where_it_was_put_is_not_recorded(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    with monkeypatch.context() as patch:
        patch.setattr(mlflow.MlflowClient, "set_registered_model_alias", lambda *_: None)
        with pytest.raises(Unavailable, match="version 1 right after it was set"):
            promote.fn(stage.ready)
    assert stage.kinds(stage.ready)[-1] == "promotion_started"
    assert promote.fn(stage.ready) == ()


@pytest.mark.parametrize("call", ["get_model_version_by_alias", "set_registered_model_alias"])
@pytest.mark.parametrize("error", [OSError, RuntimeError, None], ids=str)
def test_an_mlflow_that_fails_is_unavailable_and_the_next_run_goes_on(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, call: str, error: type[Exception] | None
) -> None:
    import mlflow

    def fail(*_: object) -> None:
        raise (error or mlflow.exceptions.MlflowException)("the database is locked")

    with monkeypatch.context() as patch:
        patch.setattr(mlflow.MlflowClient, call, fail)
        with pytest.raises(Unavailable, match="the database is locked"):
            promote.fn(stage.ready)
    assert (stage.desk.state().intention is None) == (call == "get_model_version_by_alias")
    assert stage.alias() == 1
    assert promote.fn(stage.ready) == ()
    assert stage.kinds(stage.ready)[-5:] == SETTLED


def at_once(monkeypatch: pytest.MonkeyPatch, *cases: Case) -> list[tuple[str, ...] | HeadgateError]:
    """Promote in threads that all decide from the same ledger before any of them writes."""
    gate, real, waited = threading.Barrier(len(cases)), Desk.append, set[int]()

    def together(desk: Desk, ledger: Ledger, release: str, record: Record, actor: str = "pipeline") -> Ledger:
        if threading.get_ident() not in waited:
            waited.add(threading.get_ident())
            gate.wait(20)
        return real(desk, ledger, release, record, actor)

    monkeypatch.setattr(Desk, "append", together)
    results: list[tuple[str, ...] | HeadgateError] = [("not ended",)] * len(cases)

    def one(n: int) -> None:
        try:
            results[n] = promote.fn(cases[n])
        except HeadgateError as error:
            results[n] = error

    threads = [threading.Thread(target=one, args=(n,)) for n in range(len(cases))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results


def test_of_two_that_promote_the_same_release_one_does_it_and_both_say_it_is_live(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert at_once(monkeypatch, stage.ready, stage.ready) == [(), ()]
    assert stage.alias() == 2
    assert stage.kinds(stage.ready)[-5:] == SETTLED
    assert anomalies(stage) == []


def test_of_two_releases_that_are_promoted_at_once_one_wins(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    other = stage.open("approve", training=str(stage.toy.training))
    approve_all(stage.toy, other)
    results = at_once(monkeypatch, stage.ready, other)
    winner, loser = (0, 1) if results[0] == () else (1, 0)
    assert results[winner] == ()
    assert results[loser]
    assert stage.alias() == (2, 3)[winner]
    assert stage.kinds((stage.ready, other)[loser])[-1] == "approved"
    every = [entry.kind for entry in stage.desk.ledger().entries]
    assert every.count("promotion_started") == every.count("promoted") == 2, "one each for toy-1 and the winner"
    assert anomalies(stage) == []


def test_an_unapproved_release_lists_everything_that_is_missing(stage: Stage) -> None:
    waiting = stage.open("approve", training=str(stage.toy.training))
    refused = promote.fn(waiting)
    assert sorted(refused) == ["1 approval(s) as product are missing", "1 approval(s) as risk are missing"]
    assert stage.alias() == 1


def test_an_approval_by_a_key_that_was_revoked_since_does_not_count(stage: Stage) -> None:
    path = stage.toy.folder / "allowed_signers"
    listed = path.read_text()
    path.write_text("".join(line for line in listed.splitlines(keepends=True) if not line.startswith("ana@")))
    try:
        refused = promote.fn(stage.ready)
    finally:
        path.write_text(listed)
    assert refused
    assert all(reason.startswith("the approval of ana@toy.example as risk does not count") for reason in refused)
    assert is_undecided(stage)


def test_an_audit_takes_what_is_decided_meanwhile_for_no_tampering(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = auditing._shown

    def busy(desk: Desk) -> Any:
        found = shown(desk)
        if stage.alias() == 1:
            answer(stage.ready, role="risk", key=stage.toy.keys["risk"], decision="withdraw", reason="new facts")
            answer(stage.ready, role="risk", key=stage.toy.keys["risk"], reason="they were wrong")
            assert promote.fn(stage.ready) == ()
        return found

    monkeypatch.setattr(auditing, "_shown", busy)
    assert anomalies(stage) == []
    assert stage.alias() == 2
