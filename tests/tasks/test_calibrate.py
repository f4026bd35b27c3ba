"""The gates' calibration from the command line, with the real models of a home, into the package of a release."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from model_folder import Toy
from stage import Stage, run
from terminal import Terminal

from headgate.calibration import CALIBRATED, NUMBERS, Calibration, Known
from headgate.canonical import digest_of
from headgate.errors import BadInput, Tampered
from tasks.calibrate import calibrate
from tasks.keep import keep, kept
from tasks.load import file_digest
from tasks.read import read_policy
from tasks.record import Desk

CEILING = '\n[[gate]]\nmetric = "expected_calibration_error"\nmax = 0.15\n\n[serving]'
"""A gate that sees miscalibration, which the toy's policy leaves alone."""


def guarded(toy: Toy) -> None:
    path = toy.folder / "policy.toml"
    path.write_text(path.read_text().replace("\n[serving]", CEILING))


def measured(stage: Stage, runs: int = 20, seed: int = 7) -> Calibration:
    return calibrate(stage.toy.home, stage.toy.folder, runs=runs, seed=seed)


def test_a_policy_can_be_calibrated_before_its_first_release_and_what_nobody_guards_halts_it(toy: Toy) -> None:
    terminal = Terminal(toy)
    said = terminal.json("policy", "calibrate", "toy", "--runs", "20", expect=1)
    assert said["problems"] == ["miscalibration: no gate of this policy looks at what it changes"]
    assert said["made"] == "a model fitted for this"
    assert (said["sound"], said["version"], said["rows"], said["runs"]) == (False, None, 1_200, 20)
    assert said["policy"] == read_policy(toy.folder).digest
    assert said["evaluation"] == file_digest(toy.evaluation)
    halted = {(t["fault"], t["gate"]): t["rate"] for t in said["trials"] if t["world"] == "fault"}
    assert halted["misaligned-rows", "roc-auc"] == halted["dropped-subgroup", "ranking-by-group"] == 1.0
    assert all(low <= t["rate"] <= high for t in said["trials"] for low, high in [t["interval"]])
    assert digest_of(Desk(toy.home, "toy").evidence.get(said["digest"])) == said["digest"]
    assert not (toy.home / "store" / "ledger").exists(), "nothing is recorded"
    assert not (toy.home / "mlflow" / "artifacts").exists(), "nothing is registered"

    guarded(toy)
    table = terminal.run("policy", "calibrate", "toy", "--runs", "20").stdout
    for words in ("logits times 0.5", "expected-calibration-error", "20 of 20", "false pass", "keep what they promise"):
        assert words in table


def test_help_teaches_and_a_bad_call_is_the_callers_mistake(toy: Toy) -> None:
    terminal = Terminal(toy)
    told = terminal.run("policy", "calibrate", "--help").stdout
    for words in ("at the limit", "Exit code 1", "--runs", "--seed", "headgate policy calibrate employment"):
        assert words in told
    assert "no such file" in terminal.run("policy", "calibrate", "nobody", expect=2).stderr
    assert "--runs" in terminal.run("policy", "calibrate", "toy", "--runs", "3", expect=2).stderr
    toy.evaluation.unlink()
    assert "evaluation.parquet" in terminal.run("policy", "calibrate", "toy", expect=2).stderr


def test_the_champion_is_taken_with_its_serving_and_twice_the_same_seed_is_the_same(stage: Stage) -> None:
    before = stage.desk.ledger().size
    found = measured(stage)
    assert (found.version, found.made) == (1, "the champion, version 1 of toy-1")
    slow = [t for t in found.of("fault") if t.fault == "slow-model"]
    assert [(t.gate, t.times, t.runs) for t in slow] == [("latency-p99-ms", 20, 20)]
    assert measured(stage).digest == found.digest
    assert stage.desk.ledger().size == before
    assert len(kept(stage.desk, found.policy, found.evaluation).found) == 1


def test_a_champion_whose_files_were_changed_is_not_used(stage: Stage) -> None:
    model = next((stage.toy.home / "mlflow").rglob("model.skops"))
    for path in (stage.toy.home / "mlflow").rglob("model.skops"):
        path.write_bytes(path.read_bytes() + b"x")
    assert model.exists()
    with pytest.raises(Tampered, match="model files"):
        measured(stage)


def test_a_table_without_the_models_columns_is_refused(stage: Stage, tmp_path: Path) -> None:
    import pandas as pd

    path = tmp_path / "narrow.parquet"
    pd.read_parquet(stage.toy.evaluation).drop(columns="x1").to_parquet(path)
    with pytest.raises(BadInput, match="x1"):
        calibrate(stage.toy.home, stage.toy.folder, runs=20, seed=7, evaluation=path)


def packaged(stage: Stage) -> dict[str, bytes]:
    case = stage.open("evaluate", training=str(stage.toy.training))
    run("package", case)
    folder = stage.desk.home.package(case.release)
    named = json.loads((folder / "manifest.json").read_bytes())["files"]
    return {name: (folder / name).read_bytes() for name in named}


def test_a_package_says_that_nothing_was_measured(stage: Stage) -> None:
    files = packaged(stage)
    assert b"Not measured for this policy on this evaluation table." in files[CALIBRATED]
    assert Known.from_bytes(files[NUMBERS]) == Known(best=None)


def test_a_package_holds_the_calibration_of_its_policy_and_table(stage: Stage) -> None:
    found = measured(stage)
    files = packaged(stage)
    assert Known.from_bytes(files[NUMBERS]) == Known(best=found)
    assert b"# The gates' own calibration" in files[CALIBRATED]
    assert b"Not measured" not in files[CALIBRATED]
    for digest in (found.policy, found.evaluation):
        assert digest.encode() in files[CALIBRATED]


def test_the_calibration_of_another_table_or_policy_is_none(stage: Stage) -> None:
    found = measured(stage)
    for change in ({"evaluation": "sha256:" + "1" * 64}, {"policy": "sha256:" + "1" * 64}):
        other = found.model_copy(update=change)
        keep(stage.desk, other)
        assert kept(stage.desk, other.policy, other.evaluation).best == other
    assert kept(stage.desk, found.policy, found.evaluation).found == (found,)

    place = f"calibration/toy/{found.policy[7:]}/{found.evaluation[7:]}/"
    stage.desk.store.put(place + other.digest[7:], b"put here by somebody")
    known = kept(stage.desk, found.policy, found.evaluation)
    assert known.found == (found,)
    assert "another policy or table" in known.unreadable[0]


def test_the_longest_calibration_is_shown_then_the_worse_one_and_the_others_are_counted(stage: Stage) -> None:
    short, long = measured(stage), measured(stage, runs=40)
    rosy = short.model_copy(update={"silences": (), "seed": 8})
    for each in (short, rosy):
        keep(stage.desk, each)
    assert (short.sound, rosy.sound) == (False, True)
    assert kept(stage.desk, short.policy, short.evaluation).best == long
    files = packaged(stage)
    assert Known.from_bytes(files[NUMBERS]) == Known(best=long, others=2, unsound=1)
    assert b"2 more of this policy and table, 1 unsound" in files[CALIBRATED]
    assert max([short, rosy], key=lambda c: (c.runs, len(c.problems))) == short


def test_a_calibration_that_cannot_be_read_is_named_and_is_none(stage: Stage) -> None:
    found = measured(stage)
    digits = found.digest.removeprefix("sha256:")
    path = stage.toy.home / "store" / "evidence" / "sha256" / digits[:2] / digits[2:]
    path.chmod(0o600)
    path.write_bytes(b"{}")
    files = packaged(stage)
    assert b"Not measured for this policy" in files[CALIBRATED]
    assert b"One could not be read" in files[CALIBRATED]
    known = Known.from_bytes(files[NUMBERS])
    assert (known.best, known.others, len(known.unreadable)) == (None, 0, 1)
