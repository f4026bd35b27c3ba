"""From one end of the street to the other, in the order of a user's day: each test goes on where the last one ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path

import pytest
from model_folder import better
from terminal import Terminal

ROOT = Path(__file__).parents[2]
CHROMIUM = next((p for p in ("/usr/bin/chromium", "/usr/bin/google-chrome") if Path(p).exists()), None)
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")


def kinds(terminal: Terminal, name: str) -> list[str]:
    return [entry["kind"] for entry in terminal.json("status", name)["entries"]]


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


def test_killed_in_the_middle_it_goes_on_where_it_was(terminal: Terminal) -> None:
    running = terminal.start("release", "toy", "--data", str(better(terminal.toy)))
    slots = terminal.toy.home / "store" / "ledger" / "toy"
    before = len(list(slots.iterdir()))
    while len([p for p in slots.iterdir() if p.suffix == ".json"]) < before + 3 and running.poll() is None:
        time.sleep(0.05)
    os.killpg(running.pid, signal.SIGKILL)
    running.communicate()

    left = terminal.json("status", "toy-2")
    assert left["stage"] == "running"
    finished = [e["kind"] for e in left["entries"]]
    assert finished[:3] == ["requested", "snapshot", "validated"]

    assert terminal.json("release", "toy", "--resume", "toy-2")["stage"] == "waiting"
    assert set(Counter(kinds(terminal, "toy-2")).values()) == {1}, "no finished step was repeated"
    assert terminal.json("status")["toy"]["aliases"] == {"champion": 1}, "nothing moves without approval"


def test_a_statement_that_was_signed_elsewhere_counts(terminal: Terminal, tmp_path: Path) -> None:
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


def test_the_servers_answer_and_are_seen_in_a_browser(terminal: Terminal, tmp_path: Path) -> None:
    places = terminal.json("up")
    environment = {**terminal.environment, "PREFECT_API_URL": f"{places['prefect']}/api"}
    inspect = [sys.executable, "-m", "prefect", "flow-run", "ls", "--flow-name", "release"]
    listed = subprocess.run(inspect, env=environment, capture_output=True, text=True, check=True)
    assert "toy-2" in listed.stdout
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine: the pages were not looked at")
    _look(places, tmp_path)


def _look(places: dict[str, str], shots: Path) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.goto(f"{places['prefect']}/runs")
        page.get_by_text("toy-2", exact=True).first.wait_for()
        page.screenshot(path=shots / "prefect.png")
        page.goto(f"{places['mlflow']}/#/models/toy/versions/2")
        page.get_by_text("Ranks synthetic rows").first.wait_for()
        page.get_by_text("champion").first.wait_for()
        page.screenshot(path=shots / "mlflow.png")
        browser.close()
    assert all((shots / name).stat().st_size > 10_000 for name in ("prefect.png", "mlflow.png"))


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
