"""What MLflow shows is what the ledger says, however often it is published."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow.utils.validation import _validate_metric_name
from stage import Stage, run

from headgate.checkpoint import sign
from headgate.errors import Unavailable
from headgate.judgement import Judged
from headgate.ledger import Ledger
from headgate.records import Evaluated, Packaged, Registered, Requested
from headgate.signing import Signer, new_key
from headgate.tally import Tally
from tasks import follow
from tasks import publish as module
from tasks.audit import audit_all
from tasks.record import Case


def registered(stage: Stage, case: Case) -> Registered:
    return stage.desk.release(case.release).step(Registered)


def shown(stage: Stage, case: Case) -> dict[str, Any]:
    """Everything that a reader of MLflow sees of a release, but for times of a last update."""
    made = registered(stage, case)
    version = stage.registry.get_model_version("toy", str(made.version))
    found = stage.registry.get_run(made.run)
    points = {m: stage.registry.get_metric_history(made.run, m) for m in found.data.metrics}
    return {
        "description": version.description,
        "tags": version.tags,
        "metrics": {name: [(p.value, p.timestamp, p.step) for p in history] for name, history in points.items()},
        "files": sorted(f.path for f in stage.registry.list_artifacts(made.run, "package")),
    }


def test_metrics_are_those_of_the_tally_for_all_rows_and_for_each_group(stage: Stage) -> None:
    run("publish", stage.live)
    metrics = {name: points[-1][0] for name, points in shown(stage, stage.live)["metrics"].items()}
    evaluated = stage.desk.release("toy-1").step(Evaluated)
    judged = Judged.model_validate_json(stage.desk.evidence.get(evaluated.judged))
    (auc,) = (j.value for j in judged.judgements if j.metric == "roc_auc")
    assert metrics["roc_auc"] == auc
    assert metrics["latency_p99_ms"] == 1.0
    assert metrics["peak_memory_mib"] == 200.0
    groups = {name.partition("/")[2] for name in metrics if "/" in name}
    assert groups == {"group:a", "group:b"}
    assert len([name for name in metrics if name.endswith("/group:b")]) >= 6
    assert metrics["roc_auc/group:a"] != metrics["roc_auc/group:b"]
    assert Tally.from_bytes(stage.desk.evidence.get(evaluated.tally)).slices


def test_the_page_begins_with_plain_words_and_the_tags_lead_to_the_evidence(stage: Stage) -> None:
    run("publish", stage.live)
    seen = shown(stage, stage.live)
    assert seen["description"].startswith("Ranks synthetic rows, so that a release can be tried in seconds.\n")
    assert "ana@toy.example" in seen["description"]
    made = registered(stage, stage.live)
    assert f"](get-artifact?path=verdicts.svg&run_uuid={made.run})" in seen["description"]
    drawn = Path(stage.registry.download_artifacts(made.run, "verdicts.svg")).read_text()
    assert drawn.startswith("<svg ")
    assert "roc-auc" in drawn
    release, ledger = stage.desk.release("toy-1"), stage.desk.ledger()
    assert seen["tags"] == seen["tags"] | {
        "headgate.release": "toy-1",
        "headgate.stage": "promoted",
        "headgate.verdict": "PASS",
        "headgate.policy": release.step(Requested).policy,
        "headgate.package": release.step(Packaged).package,
        "headgate.checkpoint": sign(ledger, stage.desk.signer).note.decode(),
    }
    verdicts = seen["tags"]["headgate.verdicts"]
    assert verdicts.startswith("PASS: ")
    assert {"roc-auc", "selection-gap", "latency-p99-ms"} <= set(verdicts.removeprefix("PASS: ").split(", "))
    assert "ranking-by-group" not in verdicts, "what was not judged has no verdict"
    assert {"package/manifest.json", "package/card.md", "package/VERIFY.md"} <= set(seen["files"])


def test_publishing_twice_changes_nothing(stage: Stage) -> None:
    run("publish", stage.live)
    once = shown(stage, stage.live)
    run("publish", stage.live)
    assert shown(stage, stage.live) == once
    assert all(len(points) == 1 for points in once["metrics"].values())


def test_a_promotion_shows_at_the_next_publishing(stage: Stage) -> None:
    run("publish", stage.ready)
    assert shown(stage, stage.ready)["tags"]["headgate.stage"] == "approved"
    run("promote", stage.ready)
    run("publish", stage.ready)
    seen = shown(stage, stage.ready)
    ledger = stage.desk.ledger()
    assert seen["tags"]["headgate.stage"] == "promoted"
    assert seen["tags"]["headgate.checkpoint"] == sign(ledger, stage.desk.signer).note.decode()


def test_what_was_cut_off_is_seen_by_the_checkpoint_in_mlflow(stage: Stage) -> None:
    def found() -> list[str]:
        return [a.name for a in audit_all(stage.toy.home)[stage.toy.name].anomalies]

    run("publish", stage.ready)
    assert found() == []
    shutil.rmtree(stage.toy.home / "memory")
    slots = sorted((stage.toy.home / "store" / "ledger" / stage.toy.name).glob("*.json"))
    slots[-1].unlink()
    follow._followed.clear()
    page = "other_page"  # it was rendered from the longer ledger
    assert found() == ["lost_entries", page]
    made = str(registered(stage, stage.ready).version)
    other = sign(Ledger(stage.toy.name), Signer(new_key())).note.decode()
    for note, names in ((other, [page]), (other.replace("\n0\n", "\n9\n"), [page]), ("", [page])):
        stage.registry.set_model_version_tag(stage.toy.name, made, "headgate.checkpoint", note)
        assert found() == names, "whoever can write to MLflow can take it away"
    ours = sign(stage.desk.ledger(), stage.desk.signer).note.decode().replace("\n0", "\n1", 1)
    stage.registry.set_model_version_tag(stage.toy.name, made, "headgate.checkpoint", ours + "x")
    assert found() == ["bad_witness", page], "in our name, and not by us"


def test_what_is_only_registered_has_tags_and_no_verdict(stage: Stage) -> None:
    case = stage.open("register", training=str(stage.toy.training))
    run("publish", case)
    seen = shown(stage, case)
    assert seen["tags"]["headgate.stage"] == "running"
    assert "headgate.verdict" not in seen["tags"]
    assert (seen["metrics"], seen["files"]) == ({}, [])


def test_what_is_not_registered_is_nothing_to_show_and_mlflow_is_not_asked(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = stage.open("train", training=str(stage.toy.training))
    monkeypatch.setattr(module, "client", None)
    run("publish", case)


def test_no_metric_is_left_out_where_there_are_more_than_one_call_takes(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    real = mlflow.MlflowClient.log_batch

    def counted(self: Any, run_id: str, metrics: Any = (), **more: Any) -> None:
        sizes.append(len(metrics))
        real(self, run_id, metrics=metrics, **more)

    monkeypatch.setattr(mlflow.MlflowClient, "log_batch", counted)
    monkeypatch.setattr(module, "_BATCH", 7)
    run("publish", stage.live)
    metrics = shown(stage, stage.live)["metrics"]
    assert max(sizes) == 7
    assert sum(sizes) == len(metrics) > 20


def test_a_card_that_is_too_long_for_the_database_is_cut_at_a_line_and_says_where_the_rest_is(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = mlflow.MlflowClient.update_model_version

    def narrow(self: Any, name: str, version: str, description: str) -> Any:
        # What PostgreSQL says of MLflow's column; SQLite takes any length.
        if len(description) > 600:
            raise mlflow.exceptions.MlflowException("value too long for type character varying(600)")
        return real(self, name, version, description)

    run("publish", stage.live)
    whole = shown(stage, stage.live)["description"]
    assert len(whole) > 600
    monkeypatch.setattr(module, "_LONGEST_DESCRIPTION", 600)
    monkeypatch.setattr(mlflow.MlflowClient, "update_model_version", narrow)
    run("publish", stage.live)
    cut = shown(stage, stage.live)["description"]
    beginning, _, rest = cut.partition("\n\nThe rest is in ")
    assert "card.md" in rest
    assert whole.startswith(beginning + "\n")
    assert len(cut) <= 600


@pytest.mark.parametrize("call", ["log_batch", "update_model_version", "set_model_version_tag", "log_artifacts"])
def test_an_mlflow_that_fails_is_unavailable(stage: Stage, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    def fail(*_: object, **__: object) -> None:
        raise mlflow.exceptions.MlflowException("gone")

    monkeypatch.setattr(mlflow.MlflowClient, call, fail)
    with pytest.raises(Unavailable, match="gone"):
        run("publish", stage.live)


STRANGE = (
    "group=a",
    "group=a b",
    "group=a,b",
    "group=a;b",
    "group=a/b",
    "group=..",
    "group=missing",
    "sex=f & race=other",
    "sex=f & race=öther",
    "age_band=30 to under 45",
    "x=%26",
    "x=#26",
    "x=-26",
    "c" * 80 + "=" + "v" * 80 + " & " + "d" * 80 + "=" + "w" * 79 + "1",
    "c" * 80 + "=" + "v" * 80 + " & " + "d" * 80 + "=" + "w" * 79 + "2",
)


def test_every_group_has_a_metric_of_its_own_under_a_name_that_mlflow_takes() -> None:
    for metric in ("roc_auc", "expected_calibration_error"):
        names = [module._name(metric, label) for label in STRANGE]
        assert len(set(names)) == len(STRANGE)
        for name in names:
            _validate_metric_name(name)
            assert len(name) <= 250
            assert name.startswith(f"{metric}/")
    assert module._name("roc_auc", "all") == "roc_auc"
    assert module._name("roc_auc", "sex=f & race=other") == "roc_auc/sex:f - race:other"
