"""The serving probe, as the process that it is in a release."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest
from stage import Stage, saying

from headgate.gate import Gate
from headgate.metrics import RESOURCES
from headgate.records import Registered, Snapshot, Trained
from headgate.serving import ServingProfile
from tasks import probe as probe_module
from tasks import warm
from tasks.evaluate import _answer, _loads
from tasks.load import fetch, proof_of

PROBE = [sys.executable, "-m", "tasks.probe"]


def question(stage: Stage, **changes: Any) -> bytes:
    release = stage.desk.release("toy-1")
    registered = release.step(Registered)
    proof = proof_of(stage.desk, registered)
    asked = {
        "folder": str(fetch(stage.desk.home, registered.source)),
        "files": proof.files,
        "signature": proof.signature.decode(),
        "key": proof.key.decode(),
        "home": str(stage.toy.home),
        "rows": release.step(Snapshot).evaluation.model_dump(mode="json"),
        "features": release.step(Trained).features,
        "requests": 321,
        "warmup": 4,
        "loads": 8,
        "trusted": (),
        "unsafe_pickle": False,
    }
    return json.dumps({**asked, **changes}).encode()


def test_a_probe_measures_every_request_and_its_own_memory(stage: Stage) -> None:
    # Its parent is larger than any sound limit, and Linux hands a parent's peak on to what it starts.
    ballast = np.ones(200_000_000)
    ru_maxrss = "import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    hole = subprocess.run([sys.executable, "-c", ru_maxrss], capture_output=True, text=True, check=True)
    done = subprocess.run(PROBE, input=question(stage), capture_output=True, timeout=120, check=False)
    assert ballast.nbytes > 1.5e9
    assert done.returncode == 0, done.stderr.decode()
    profile = ServingProfile.model_validate_json(done.stdout)
    assert len(profile.latencies_us) == 321, "the warm-up is not reported"
    assert all(10 < us < 10_000_000 for us in profile.latencies_us)
    assert len(profile.loads_ms) in (5, 9)
    assert min(profile.loads_ms) > 0
    release = stage.desk.release("toy-1")
    assert profile.batch_rows == min(1000, release.step(Snapshot).evaluation.rows)
    assert len(profile.batches_us) in (5, 15)
    folder, files = fetch(stage.desk.home, release.step(Registered).source), release.step(Registered).files
    assert len(files) > 2
    assert profile.model_bytes == sum((folder / name).stat().st_size for name in files)
    for metric in RESOURCES:
        found = profile.estimate(metric)
        assert found.lower(0.05) <= found.value <= found.upper(0.05), metric
    assert 50 < profile.peak_memory_mib < 1536
    if sys.platform == "linux":
        assert int(hole.stdout) / 1024 > 1500, "a bare child reports the parent's peak, so that figure is useless"


def test_a_probe_that_is_never_asked_ends_in_silence() -> None:
    done = subprocess.run(PROBE, stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_probe_does_not_measure_a_model_that_was_changed(stage: Stage) -> None:
    registered = stage.desk.release("toy-1").step(Registered)
    path = fetch(stage.desk.home, registered.source) / "MLmodel"
    path.write_text(path.read_text() + "\n")
    probe = subprocess.Popen(PROBE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, told = probe.communicate(question(stage), timeout=120)
    assert (probe.returncode, out) == (1, b"")
    assert b"Tampered" in told
    assert b"MLmodel" in told


class Slow:
    """A model without probabilities, as a regression is."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.asked = seconds, []

    def predict(self, rows: Any) -> list[float]:
        self.asked.append(len(rows))
        time.sleep(self.seconds * (len(rows) > 1))
        return [0.0] * len(rows)


@pytest.mark.parametrize(("seconds", "times"), [(0.0, 16), (0.3, 6)], ids=["quick", "slow"])
def test_a_model_that_only_predicts_is_measured_too(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, seconds: float, times: int
) -> None:
    model = Slow(seconds)
    monkeypatch.setattr(probe_module, "open_model", lambda *_, **__: model)
    profile = probe_module.profile(probe_module.Request.model_validate_json(question(stage, requests=300)))
    assert model.asked[:304] == [1] * 304
    assert model.asked[304:] == [profile.batch_rows] * times, "the first batch is a warm-up"
    assert len(profile.batches_us) == times - 1
    assert len(profile.loads_ms) == 9


def test_it_loads_more_often_where_a_gate_asks_how_long_that_takes(stage: Stage) -> None:
    policy = stage.desk.policy(stage.desk.release("toy-1"))
    assert _loads(policy) == 4
    asked = policy.model_copy(update={"gate": (*policy.gate, Gate(metric="load_ms", max=900))})
    assert _loads(asked) == 8


def process(code: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)


@pytest.mark.parametrize(
    "code",
    [
        "raise SystemExit(3)",
        "pass",
        "print('{}')",
        "print('[1, 2')",
        """print('{"latencies_us": [1], "loads_ms": [1], "peak_memory_mib": "NaN"}')""",
        """print('{"latencies_us": [1], "loads_ms": [1], "peak_memory_mib": 1.0}'); raise SystemExit(1)""",
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
        r"import sys; sys.stdout.buffer.write(b'\xff\xfe')",
    ],
    ids=["ends", "says nothing", "no fields", "half", "no number", "an answer and an end", "killed", "no text"],
)
def test_a_probe_that_gives_no_sound_answer_is_no_evidence(code: str) -> None:
    assert _answer(process(code), 60) is None


def test_a_probe_that_takes_too_long_is_ended_and_is_no_evidence() -> None:
    probe, begun = process("import time; time.sleep(600)"), time.monotonic()
    assert _answer(probe, 0.2) is None
    assert probe.poll() is not None
    assert time.monotonic() - begun < 10


def test_a_sound_answer_is_evidence() -> None:
    profile = ServingProfile(latencies_us=(1, 2, 3), loads_ms=(1.5,), peak_memory_mib=100.0)
    probe = saying(profile.to_bytes())
    assert probe.stdin is not None
    assert _answer(probe, 60) == profile


def test_the_warm_probe_is_used_once_and_a_dead_one_never(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting, dead = process("import time; time.sleep(600)"), process("pass")
    dead.communicate()
    monkeypatch.setattr(warm, "_new_probe", lambda: process("import time; time.sleep(600)"))
    monkeypatch.setattr(warm, "_probes", [dead, waiting])
    first, second = warm.take_probe(), warm.take_probe()
    third = warm.take_probe()
    try:
        assert first is waiting
        assert second is not dead
        assert len({first.pid, second.pid, third.pid}) == 3
        assert all(probe.poll() is None for probe in (first, second, third))
    finally:
        for probe in (first, second, third):
            probe.kill()
            probe.communicate()


def test_dismissed_probes_are_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    probe = process("import time; time.sleep(600)")
    monkeypatch.setattr(warm, "_probes", [probe])
    warm.dismiss()
    assert probe.poll() is not None
    assert warm._probes == []
