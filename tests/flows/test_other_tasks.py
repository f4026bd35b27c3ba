"""Releases of every task: two of each, so that the second is compared with the first."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from other_tasks import relabelled, retasked
from runs import promoted, run

from headgate.judgement import Judged
from headgate.records import Evaluated
from headgate.verdict import Verdict
from tasks.audit import audit_all
from tasks.record import Desk

PROOF = pytest.mark.proof  # tests of the core and of the tasks have these too, in seconds


@pytest.mark.parametrize(
    "task", [pytest.param("multiclass", marks=PROOF), "regression", pytest.param("scored", marks=PROOF)]
)
def test_a_model_of_any_task_is_released_and_then_compared(tmp_path: Path, task: str) -> None:
    toy = retasked(tmp_path, task)
    first = promoted(toy)
    desk = Desk(toy.home, toy.name)
    assert desk.release(first).stage == "promoted", desk.release(first).halted

    second = promoted(toy)
    record = desk.release(second).step(Evaluated)
    judged = Judged.model_validate_json(desk.evidence.get(record.judged))
    assert judged.omitted == ()
    assert {j.verdict for j in judged.judgements} == {Verdict.PASS}
    assert task == "scored" or any(j.form in ("champion", "relative") for j in judged.judgements)
    found = audit_all(toy.home)[toy.name]
    assert found.anomalies == ()
    assert found.verdicts > 0


def test_a_model_that_learned_noise_is_halted_by_its_error(tmp_path: Path) -> None:
    toy = retasked(tmp_path, "regression")
    frame = pd.read_parquet(toy.training)
    frame["label"] = frame["label"].sample(frac=1, random_state=0).to_numpy()
    frame.to_parquet(toy.training)
    halted = Desk(toy.home, toy.name).release(run(toy)).halted
    assert halted is not None
    assert {f.what for f in halted.failures} >= {"mean-absolute-error", "r2"}


def test_a_label_that_is_no_class_stops_before_training(tmp_path: Path) -> None:
    toy = retasked(tmp_path, "multiclass")
    frame = relabelled(pd.read_parquet(toy.training), "multiclass", seed=3)
    frame.loc[:4, "label"] = "huge"
    frame.to_parquet(toy.training)
    halted = Desk(toy.home, toy.name).release(run(toy)).halted
    assert halted is not None
    assert halted.step == "validate"
