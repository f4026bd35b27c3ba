"""From one end of the street to the other, in the order of a user's day: each test goes on where the last one ended."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from model_folder import better
from terminal import Terminal

ROOT = Path(__file__).parents[2]


def test_a_release_waits_and_a_new_process_goes_on(terminal: Terminal) -> None:
    told = terminal.run("release", "toy")
    assert "toy-1: waiting" in told.stdout
    assert "registered" in told.stderr, "progress is told while it runs"
    keys = terminal.toy.keys
    assert (
        "Waits for 1 × product" in terminal.run("approve", "toy-1", "--role", "risk", "--key", str(keys["risk"])).stdout
    )
    done = terminal.json("approve", "toy-1", "--role", "product", "--key", str(keys["product"]))
    assert done["stage"] == "promoted"
    assert terminal.json("status")["toy"]["aliases"] == {"champion": 1}


def test_a_statement_that_was_signed_elsewhere_counts(terminal: Terminal, tmp_path: Path) -> None:
    assert terminal.json("release", "toy", "--data", str(better(terminal.toy)))["stage"] == "waiting"
    assert "What the policy demands otherwise" in terminal.run("approve", "toy-2").stdout
    assert terminal.json("approve", "toy-2")["stage"] == "waiting"
    keys, text = terminal.toy.keys, tmp_path / "statement.txt"
    text.write_text(terminal.run("approve", "toy-2", "--role", "risk", "--person", "ana@toy.example", "--show").stdout)
    sign = ["ssh-keygen", "-Y", "sign", "-n", "risk@headgate", "-f", str(keys["risk"]), str(text)]
    try:
        subprocess.run(sign, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("ssh-keygen is not installed; tests/core/test_sshsig.py covers the format")
    terminal.run("approve", "toy-2", "--statement", str(text), "--signature", f"{text}.sig")
    assert terminal.json("approve", "toy-2", "--role", "product", "--key", str(keys["product"]))["stage"] == "promoted"


def test_a_halt_is_exit_code_1_and_says_what_comes_next(terminal: Terminal) -> None:
    from model_folder import dirty

    told = terminal.run("release", "toy", "--data", str(dirty(terminal.toy)), expect=1)
    assert "Correct the extract at its source." in told.stdout
    assert terminal.json("status", "toy-3")["halted"]["playbook"] == "data_refused"


def test_the_audit_is_clean_and_finds_a_flipped_byte_in_a_copy(terminal: Terminal, tmp_path: Path) -> None:
    import shutil

    found = terminal.json("audit")["toy"]
    assert found["anomalies"] == []
    assert found["verdicts"] == 5, "three of the data gate and two of the gates"
    assert found["approvals"] == 4
    shutil.copytree(terminal.toy.home / "store", tmp_path / "store")
    victim = sorted((tmp_path / "store" / "evidence").rglob("*"))[-1]
    victim.chmod(0o600)
    victim.write_bytes(victim.read_bytes()[:-1] + b"!")
    broken = terminal.json("audit", "--store", str(tmp_path / "store"), expect=1)["toy"]
    assert "changed_evidence" in {a["name"] for a in broken["anomalies"]}


def test_the_file_deploys_the_same_to_a_standing_server(terminal: Terminal, tmp_path: Path) -> None:
    places = terminal.json("up")
    (tmp_path / "prefect.yaml").write_text((ROOT / "prefect.yaml").read_text())
    environment = {**terminal.environment, "PREFECT_API_URL": f"{places['prefect']}/api", "PWD": str(tmp_path)}
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
    subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)
    place = f"{places['prefect']}/api/deployments/name/release/employment"
    with urllib.request.urlopen(place, timeout=30) as answer:  # noqa: S310
        found = json.load(answer)
    assert found["entrypoint"] == "flows.release.release"
    assert found["parameters"] == {"folder": "expectations/employment", "home": ".headgate"}
    assert found["job_variables"] == {"working_dir": str(tmp_path)}, "relative paths are meant from the deployed folder"
    assert found["concurrency_options"]["collision_strategy"] == "ENQUEUE"
    (timed,) = found["schedules"]
    assert (timed["slug"], timed["active"], timed["schedule"]["cron"]) == ("release-employment", True, "0 6 * * 1")


def test_interrupted_it_ends_all(terminal: Terminal) -> None:
    # A shell's background job ignores Ctrl-C, and what it starts inherits that; what is caught here, it does not.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    places = terminal.json("up")
    staying = terminal.start("up")
    assert staying.stderr is not None
    while "Ctrl-C ends it" not in staying.stderr.readline():
        assert staying.poll() is None
    staying.send_signal(signal.SIGINT)
    _, told = staying.communicate(timeout=240)
    assert staying.returncode == 0
    assert all(f"{name} stopped" in told for name in places)
    for place in places.values():
        with pytest.raises((urllib.error.URLError, OSError)):
            urllib.request.urlopen(place, timeout=2)  # noqa: S310
    assert terminal.json("down") == {}
