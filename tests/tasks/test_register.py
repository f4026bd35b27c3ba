"""Registration: what a reader finds in MLflow, and one version per release whatever happens in between."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from typing import Any

import mlflow
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from stage import Stage, run

from headgate.errors import BadInput, Tampered, Unavailable
from headgate.record import Record
from headgate.records import Registered, Snapshot, Trained
from tasks.load import changed_files, fetch, load_skops, open_model, proof_of
from tasks.record import Case, Desk


class Killed(BaseException):
    """Ends the task at once, as a signal would."""


def trained(stage: Stage) -> Case:
    return stage.open("train", training=str(stage.toy.training))


def record(stage: Stage, case: Case) -> Registered:
    return stage.desk.release(case.release).step(Registered)


def versions(stage: Stage) -> list[int]:
    return sorted(int(v.version) for v in stage.registry.search_model_versions(f"name='{stage.toy.name}'"))


def test_the_run_says_what_was_made_how_and_from_which_rows(stage: Stage) -> None:
    made = record(stage, stage.live)
    found = stage.registry.get_run(made.run)
    assert found.info.status == "FINISHED"
    assert found.data.params == {
        "C": "1.0",
        "estimator": "sklearn.linear_model.LogisticRegression",
        "seed": "7",
        "features": "3",
    }
    assert found.data.tags["headgate.release"] == "toy-1"
    assert found.data.tags["headgate.requester"] == "dana@toy.example"

    rows = stage.desk.release(stage.live.release).step(Snapshot)
    tagged = [({tag.key: tag.value for tag in i.tags}, i) for i in found.inputs.dataset_inputs]
    by_context = {tags["mlflow.data.context"]: (tags, i) for tags, i in tagged}
    for context, table in (("training", rows.training), ("evaluation", rows.evaluation)):
        tags, shown = by_context[context]
        assert tags["headgate.digest"] == table.digest, "the whole digest"
        profile = json.loads(shown.dataset.profile)
        assert (profile["digest"], profile["num_rows"]) == (table.digest, table.rows)
        assert table.digest.removeprefix("sha256:").startswith(shown.dataset.digest)
        assert shown.dataset.name == f"{context}.parquet"


def test_the_model_has_a_signature_an_example_and_a_format_that_runs_no_code(stage: Stage) -> None:
    made = record(stage, stage.live)
    info = mlflow.models.get_model_info("models:/toy/1")
    assert info.signature.inputs.input_names() == ["x1", "x2", "group"]
    assert info.signature.outputs is not None
    assert info.saved_input_example_info is not None
    assert info.flavors["sklearn"]["serialization_format"] == "skops"
    assert "model.skops" in made.files
    assert not [name for name in made.files if name.endswith((".pkl", ".py"))]
    assert "scikit-learn==" in (fetch(stage.desk.home, made.source) / "requirements.txt").read_text()


def test_the_registered_model_is_the_trained_one(stage: Stage) -> None:
    frame = pd.read_parquet(stage.toy.evaluation)[["x1", "x2", "group"]]
    kept = stage.desk.release(stage.live.release).step(Trained)
    made = record(stage, stage.live)
    ours = load_skops(stage.desk.evidence.get(kept.estimator), ()).predict_proba(frame)
    theirs = open_model(
        fetch(stage.desk.home, made.source), proof_of(stage.desk, made), trusted=(), unsafe_pickle=False
    ).predict_proba(frame)
    assert (ours == theirs).all()
    assert (mlflow.pyfunc.load_model("models:/toy/1").predict(frame) == ours).all(), "probabilities, not classes"


def test_the_version_and_the_page_name_the_release(stage: Stage) -> None:
    case = trained(stage)
    stage.pages.made.clear()
    run("register", case)
    made = record(stage, case)
    version = stage.registry.get_model_version("toy", str(made.version))
    assert made.version == 3
    assert version.run_id == made.run
    assert version.tags["headgate.release"] == "toy-3"
    assert version.tags["headgate.stage"] == "candidate"
    ((key, page),) = stage.pages.made
    assert re.fullmatch("[a-z0-9-]+", key)
    assert made.files["model.skops"] in page


def die(patch: pytest.MonkeyPatch, owner: Any, name: str, *, after: bool, on: type[Record] | None = None) -> None:
    real = getattr(owner, name)

    def dying(*args: Any, **kwargs: Any) -> Any:
        fits = on is None or any(isinstance(a, on) for a in args)
        result = real(*args, **kwargs) if after or not fits else None
        if fits:
            raise Killed
        return result

    patch.setattr(owner, name, dying)


@pytest.mark.parametrize(
    ("name", "after"),
    [
        ("create_run", True),
        ("log_inputs", True),
        ("set_terminated", True),
        ("create_model_version", False),
        ("create_model_version", True),
        ("write", False),
        ("write", True),
    ],
)
def test_killed_at_any_point_there_is_one_version_in_the_end(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, name: str, after: bool
) -> None:
    case = trained(stage)
    with monkeypatch.context() as patch:
        owner = Desk if name == "write" else mlflow.MlflowClient
        die(patch, owner, name, after=after, on=Registered if name == "write" else None)
        with pytest.raises(Killed):
            run("register", case)
    if stage.kinds(case)[-1] != "registered":
        run("register", case)
    assert versions(stage) == [1, 2, 3]
    made = record(stage, case)
    assert made.version == 3
    assert changed_files(fetch(stage.desk.home, made.source), proof_of(stage.desk, made)) == ()
    assert stage.registry.get_run(made.run).info.status == "FINISHED"
    assert stage.kinds(case).count("registered") == 1


def killed_before_the_record(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Case:
    case = trained(stage)
    with monkeypatch.context() as patch:
        die(patch, Desk, "write", after=False, on=Registered)
        with pytest.raises(Killed):
            run("register", case)
    return case


def test_a_version_that_somebody_else_tagged_as_ours_is_not_taken_over(stage: Stage) -> None:
    case = trained(stage)
    live = record(stage, stage.live)
    stolen = stage.registry.get_model_version("toy", "1").tags
    tags = {**stolen, "headgate.release": case.release}
    forged = stage.registry.create_model_version("toy", live.source, run_id=live.run, tags=tags)
    bare = stage.registry.create_model_version("toy", live.source, tags={"headgate.release": case.release})
    assert (int(forged.version), int(bare.version)) == (3, 4)

    run("register", case)
    made = record(stage, case)
    assert made.version == 5
    assert made.source != live.source


def test_files_that_were_changed_before_the_record_are_not_registered(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = killed_before_the_record(stage, monkeypatch)
    left = stage.registry.get_model_version("toy", "3")
    shutil.copyfile(
        fetch(stage.desk.home, record(stage, stage.live).source) / "model.skops",
        fetch(stage.desk.home, left.source) / "model.skops",
    )
    with pytest.raises(Tampered, match="version 3 of toy"):
        run("register", case)
    assert stage.kinds(case)[-1] == "trained"

    stage.registry.delete_model_version("toy", "3")
    run("register", case)
    assert record(stage, case).version == 4


@pytest.mark.parametrize("call", ["create_run", "search_model_versions", "create_model_version"])
def test_an_mlflow_that_fails_is_unavailable_and_the_next_run_goes_on(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise mlflow.exceptions.MlflowException("the disk is full")

    case = trained(stage)
    with monkeypatch.context() as patch:
        patch.setattr(mlflow.MlflowClient, call, fail)
        with pytest.raises(Unavailable, match="the disk is full"):
            run("register", case)
    run("register", case)
    assert versions(stage) == [1, 2, 3]


def test_trained_bytes_that_were_changed_are_not_registered(stage: Stage) -> None:
    case = trained(stage)
    digest = stage.desk.release(case.release).step(Trained).estimator.removeprefix("sha256:")
    path = stage.desk.home.store / "evidence" / "sha256" / digest[:2] / digest[2:]
    path.chmod(0o600)
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(Tampered, match=digest):
        run("register", case)
    assert versions(stage) == [1, 2]


def lazy(frame: pd.DataFrame, labels: pd.Series, params: dict[str, Any], seed: int) -> Any:
    """An entrypoint whose model skops cannot store: it holds a generator's function."""
    numbers = make_column_transformer(("passthrough", ["x1", "x2"]))
    model = make_pipeline(numbers, LogisticRegression()).fit(frame, labels)
    model.later = lambda: (n for n in range(3))
    return model


@pytest.fixture
def pickling(stage: Stage) -> Iterator[Stage]:
    """The stage under a policy that allows pickles."""
    path = stage.toy.folder / "policy.toml"
    text = path.read_text()
    old = 'estimator = "sklearn.linear_model.LogisticRegression"\nparams = { C = 1.0 }\n'
    assert old in text
    path.write_text(text.replace(old, 'entrypoint = "test_register:lazy"\nunsafe_pickle = true\n'))
    yield stage
    path.write_text(text)


def test_a_pickle_is_registered_where_the_policy_says_so_and_opens_only_then(pickling: Stage) -> None:
    case = trained(pickling)
    run("register", case)
    made = record(pickling, case)
    folder, proof = fetch(pickling.desk.home, made.source), proof_of(pickling.desk, made)
    assert "model.pkl" in made.files
    assert "cloudpickle==" in (folder / "requirements.txt").read_text()
    with pytest.raises(BadInput, match="a pickle"):
        open_model(folder, proof, trusted=(), unsafe_pickle=False)
    frame = pd.read_parquet(pickling.toy.evaluation)[["x1", "x2", "group"]]
    assert open_model(folder, proof, trusted=(), unsafe_pickle=True).predict_proba(frame).shape == (1200, 2)
