"""Every door through which a registered model is opened or made live: one byte, or another signature, shuts it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from stage import Stage, run

from headgate.errors import HeadgateError
from headgate.records import Registered, Snapshot, Trained
from headgate.signing import Signer, new_key
from tasks import calibrate, evaluate, live, probe, register
from tasks.load import fetch, opened, proof_of
from tasks.move import look
from tasks.promote import why_not
from tasks.record import Case
from tasks.tally import Made, Scoring, tallied

Door = Callable[[Stage, Case], str]


def refused(act: Callable[[], object]) -> str:
    with pytest.raises(HeadgateError) as caught:
        act()
    return str(caught.value)


def registered(stage: Stage, case: Case) -> Registered:
    return stage.desk.release(case.release).step(Registered)


def tallying(stage: Stage, case: Case) -> str:
    release = stage.desk.release(case.release)
    made = Made(release.step(Registered), release.step(Trained).features)
    rows = release.step(Snapshot).evaluation
    return refused(lambda: tallied(Scoring(stage.toy.home, stage.desk.policy(release), rows, (made,))))


def scenarios(stage: Stage, case: Case) -> str:
    release = stage.desk.release(case.release)
    return refused(lambda: evaluate.opened(stage.desk, release.step(Registered), stage.desk.policy(release)))


def probing(stage: Stage, case: Case) -> str:
    release, made = stage.desk.release(case.release), registered(stage, case)
    proof = proof_of(stage.desk, made)
    request = probe.Request(
        folder=fetch(stage.desk.home, made.source),
        files=proof.files,
        signature=proof.signature.decode(),
        key=proof.key.decode(),
        home=stage.toy.home,
        rows=release.step(Snapshot).evaluation,
        features=release.step(Trained).features,
        requests=300,
        warmup=1,
        loads=4,
        trusted=(),
        unsafe_pickle=False,
    )
    return refused(lambda: probe.profile(request))


def calibrating(stage: Stage, case: Case) -> str:
    return refused(lambda: calibrate._released(stage.desk, stage.desk.release(case.release), "this"))


def promoting(stage: Stage, case: Case) -> str:
    return "; ".join(why_not(case))


def restoring(stage: Stage, case: Case) -> str:
    return str(look(stage.desk, stage.registry, stage.desk.state(), registered(stage, case).version).fault)


DOORS = (tallying, scenarios, probing, calibrating, promoting, restoring)
each_door = pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)


@each_door
def test_one_byte_shuts_it(stage: Stage, door: Door) -> None:
    if door is calibrating:
        run("evaluate", case := stage.open("register", training=str(stage.toy.training)))
    else:
        case = stage.ready
    path = fetch(stage.desk.home, registered(stage, case).source) / "model.skops"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert "model.skops" in door(stage, case)


@pytest.mark.parametrize("door", [tallying, scenarios, probing, restoring], ids=lambda door: door.__name__)
def test_a_signature_of_another_key_shuts_it(stage: Stage, door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    real, other = register.sign_model, Signer(new_key())
    monkeypatch.setattr(register, "sign_model", lambda _, name, files: real(other, name, files))
    case = stage.open("register", training=str(stage.toy.training))
    assert "model.sig" in door(stage, case)


def test_a_signature_that_is_gone_from_the_evidence_shuts_it(stage: Stage) -> None:
    hexadecimal = registered(stage, stage.ready).signature.removeprefix("sha256:")
    (path,) = (p for p in (stage.toy.home / "store" / "evidence").rglob("*") if p.name == hexadecimal[2:])
    path.unlink()
    for door in (tallying, scenarios):
        assert registered(stage, stage.ready).signature in door(stage, stage.ready)
    assert "could not be read" in restoring(stage, stage.ready)


def test_the_signature_lies_in_mlflow_beside_the_model_for_whoever_gets_it_there(stage: Stage) -> None:
    made = registered(stage, stage.live)
    shown = Path(stage.registry.download_artifacts(made.run, "model.sig")).read_bytes()
    assert shown == stage.desk.evidence.get(made.signature)
    assert opened(stage.desk, made, stage.desk.policy(stage.desk.release("toy-1"))) is not None


def test_what_is_live_is_loaded_as_the_ledger_has_it_and_verified(stage: Stage) -> None:
    home, made = stage.toy.home, registered(stage, stage.live)
    frame = pd.read_parquet(stage.toy.evaluation).head(20)[list(stage.desk.release("toy-1").step(Trained).features)]
    ours = opened(stage.desk, made, stage.desk.policy(stage.desk.release("toy-1")))
    stage.registry.delete_registered_model_alias("toy", "champion")  # whoever asks MLflow would find nothing
    for asked in ((), ("champion",)):
        assert (live.load("toy", *asked, home=home).predict_proba(frame) == ours.predict_proba(frame)).all()
    assert "got nothing at 'pilot'" in refused(lambda: live.load("toy", "pilot", home=home))
    assert "got nothing" in refused(lambda: live.load("another", home=home))
    path = fetch(stage.desk.home, made.source) / "model.skops"
    path.write_bytes(path.read_bytes() + b"x")
    assert "model.skops" in refused(lambda: live.load("toy", home=home))


def test_it_is_loaded_in_a_process_that_has_not_asked_for_anything_yet(stage: Stage) -> None:
    code = f"import headgate; print(type(headgate.load('toy', home={str(stage.toy.home)!r})).__name__)"
    assert stage.live
    environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "Pipeline"
