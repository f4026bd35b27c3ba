"""The edges of the servers, with their own locks: the pipeline alone moves an alias, and no secret is shown."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from headgate.errors import Unavailable
from tasks.move import put

pytestmark = pytest.mark.timeout(400)

ROOT = Path(__file__).parents[2]
PIPELINE, READER = "headgate", "rita"
PASSWORD = secrets.token_urlsafe(18)
RIGHT, WRONG = (PIPELINE, PASSWORD), (PIPELINE, "guessed")


@dataclass(frozen=True)
class Locked:
    """A registry behind MLflow's basic-auth app, with a model whose `champion` is version 1 of 2."""

    url: str


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def awaited(url: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 240
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310
                return
        except urllib.error.HTTPError:
            return  # it answers, if only that nobody may look
        except OSError:
            time.sleep(0.3)
    raise AssertionError(f"no answer at {url}")


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Locked]:
    folder, port = tmp_path_factory.mktemp("locked"), free_port()
    accounts = (ROOT / "infra" / "mlflow-auth.ini").read_text().replace("SET-BEFORE-THE-FIRST-START", PASSWORD)
    (folder / "auth.ini").write_text(accounts)
    environment = {
        **os.environ,
        "MLFLOW_AUTH_CONFIG_PATH": str(folder / "auth.ini"),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(16),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    words = ["server", "--app-name", "basic-auth", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    stores = ["--backend-store-uri", f"sqlite:///{folder / 'm.db'}", "--default-artifact-root", str(folder / "files")]
    with (folder / "log").open("wb") as log:
        command = [sys.executable, "-m", "mlflow", *words, *stores]
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log, start_new_session=True)
    url = f"http://127.0.0.1:{port}"
    try:
        awaited(f"{url}/health", process)
        _furnish(url)
        yield Locked(url)
    finally:
        os.killpg(process.pid, 15)
        process.wait(30)


def _furnish(url: str) -> None:
    from mlflow import MlflowClient

    with pytest.MonkeyPatch.context() as patch:
        _enter(patch, PIPELINE)
        registry = MlflowClient(url)
        registry.create_registered_model("toy")
        for _ in range(2):
            registry.create_model_version("toy", "s3://nowhere/model")
        registry.set_registered_model_alias("toy", "champion", "1")
    made = {"username": READER, "password": PASSWORD}
    requests.post(f"{url}/api/2.0/mlflow/users/create", json=made, auth=RIGHT, timeout=60).raise_for_status()


def _enter(patch: pytest.MonkeyPatch, account: str) -> None:
    patch.setenv("MLFLOW_TRACKING_USERNAME", account)
    patch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)


def test_people_may_look_and_the_pipeline_alone_moves_an_alias(locked: Locked, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    registry = MlflowClient(locked.url)
    _enter(monkeypatch, READER)
    assert registry.get_model_version_by_alias("toy", "champion").version == "1"
    for act in (
        lambda: registry.set_registered_model_alias("toy", "champion", "2"),
        lambda: registry.delete_registered_model_alias("toy", "champion"),
        lambda: registry.delete_model_version("toy", "1"),
        lambda: registry.set_model_version_tag("toy", "1", "headgate.verdict", "PASS"),
    ):
        with pytest.raises(MlflowException, match=r"403|Permission denied"):
            act()
    with pytest.raises(Unavailable):
        put(registry, "toy", "champion", 2)
    _enter(monkeypatch, PIPELINE)
    put(registry, "toy", "champion", 2)
    assert registry.get_model_version_by_alias("toy", "champion").version == "2"


def test_without_an_account_nothing_is_shown_and_no_error_tells_a_password(
    locked: Locked, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    from tasks.connect import alias_version

    registry = MlflowClient(locked.url)
    monkeypatch.delenv("MLFLOW_TRACKING_USERNAME", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_PASSWORD", raising=False)
    with pytest.raises(Unavailable):
        alias_version(registry, "toy", "champion")
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", PIPELINE)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", f"{PASSWORD}-wrong")
    with pytest.raises(Unavailable) as raised:
        put(registry, "toy", "champion", 1)
    assert PASSWORD not in str(raised.value)


def test_a_prefect_server_with_its_lock_serves_nobody_without_the_key(tmp_path: Path) -> None:
    port = free_port()
    environment = {
        **os.environ,
        "PREFECT_HOME": str(tmp_path),
        "PREFECT_API_URL": "",
        "PREFECT_SERVER_API_AUTH_STRING": f"headgate:{PASSWORD}",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }
    words = ["-m", "uvicorn", "--factory", "prefect.server.api.server:create_app", "--host", "127.0.0.1"]
    process = subprocess.Popen(
        [sys.executable, *words, "--port", str(port), "--log-level", "warning"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        url = f"http://127.0.0.1:{port}/api"
        awaited(f"{url}/admin/version", process)
        given = {key: requests.get(f"{url}/admin/version", auth=key, timeout=60) for key in (None, RIGHT, WRONG)}
        assert {key: answer.status_code for key, answer in given.items()} == {None: 401, RIGHT: 200, WRONG: 401}
        assert not [key for key, answer in given.items() if PASSWORD in answer.text]
    finally:
        os.killpg(process.pid, 15)
        process.wait(30)
