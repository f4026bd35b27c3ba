"""The notes about local servers: believed only as far as a living process bears them out."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from headgate.errors import Unavailable
from headgate.home import Home
from tasks import serve
from tasks.serve import Server, running, stop, wait_for

SLEEP = "import time; time.sleep(600)"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    (tmp_path / "servers").mkdir()
    return Home(tmp_path)


def note(home: Home, pid: int, name: str = "mlflow", port: int = 45678) -> Server:
    server = Server(name=name, pid=pid, port=port)
    (home.servers / f"{name}.json").write_text(json.dumps(server.model_dump()))
    return server


@pytest.fixture
def process() -> Iterator[list[subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for one in started:
        one.kill()
        one.wait()


def test_a_preferred_port_is_taken_if_it_is_free_and_another_if_not() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = int(taken.getsockname()[1])
        other, claim = serve._free_port(port)
        claim.close()
        assert other not in (0, port)
    found, claim = serve._free_port(port)
    claim.close()
    assert found == port


def test_a_port_is_claimed_until_the_server_that_was_given_it_has_ended(
    process: list[subprocess.Popen[bytes]],
) -> None:
    port, claim = serve._free_port(0)
    with claim:
        process.append(subprocess.Popen([sys.executable, "-c", SLEEP], pass_fds=(claim.fileno(),)))
    second, other = serve._free_port(port)
    other.close()
    assert second != port, "nobody listens on it yet, and it is not free"
    process[0].kill()
    process[0].wait()
    third, claim = serve._free_port(port)
    claim.close()
    assert third == port


def test_stopping_nothing_is_nothing(home: Home, tmp_path: Path) -> None:
    assert stop(home) == []
    assert stop(Home(tmp_path / "never made")) == []


def test_a_note_of_a_process_that_ended_is_no_server_and_is_cleared(home: Home) -> None:
    ended = subprocess.Popen([sys.executable, "-c", "", "mlflow", "45678"])
    ended.wait()
    note(home, ended.pid)
    assert running(home, "mlflow") is None
    assert stop(home) == []
    assert list(home.servers.glob("*.json")) == []


@pytest.mark.parametrize("text", ["", "{", '{"name": "mlflow"}', '{"name": "mlflow", "pid": "x", "port": 1}'])
def test_half_a_note_is_no_server(home: Home, text: str) -> None:
    (home.servers / "mlflow.json").write_text(text)
    assert running(home, "mlflow") is None
    assert stop(home) == []


@pytest.mark.parametrize("arguments", [[], ["45678"], ["mlflow"], ["mlflow", "4567"]])
def test_a_process_that_was_given_the_id_since_is_not_taken_for_a_server_and_not_ended(
    home: Home, process: list[subprocess.Popen[bytes]], arguments: list[str]
) -> None:
    process.append(subprocess.Popen([sys.executable, "-c", SLEEP, *arguments], start_new_session=True))
    note(home, process[0].pid)
    assert running(home, "mlflow") is None
    assert stop(home) == []
    assert process[0].poll() is None


def test_a_server_of_ours_is_found_and_ended(home: Home, process: list[subprocess.Popen[bytes]]) -> None:
    process.append(subprocess.Popen([sys.executable, "-c", SLEEP, "mlflow", "45678"], start_new_session=True))
    server = note(home, process[0].pid)
    assert running(home, "mlflow") == server
    assert stop(home) == [server]
    assert running(home, "mlflow") is None
    assert process[0].wait(10) is not None


def test_a_server_that_ended_or_does_not_answer_is_unavailable_and_its_log_is_named(
    home: Home, process: list[subprocess.Popen[bytes]]
) -> None:
    process.append(subprocess.Popen([sys.executable, "-c", SLEEP, "mlflow", "45678"], start_new_session=True))
    server = note(home, process[0].pid)
    with pytest.raises(Unavailable, match=r"no answer.*mlflow\.log"):
        wait_for(home, server, patience=0.3)
    process[0].kill()
    process[0].wait()
    with pytest.raises(Unavailable, match="a process that ended"):
        wait_for(home, server, patience=30)
