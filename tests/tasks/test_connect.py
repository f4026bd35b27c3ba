"""Where MLflow is, and that its silence is never taken for an answer."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from stage import Stage

from headgate.errors import BadInput, Unavailable
from headgate.home import Home
from tasks import connect
from tasks.connect import alias_version, asking, client, tracking_uri


class Elsewhere(BaseHTTPRequestHandler):
    """A web server that is not MLflow and has no such page."""

    def do_GET(self) -> None:
        self.send_response(404)
        self.end_headers()
        self.wfile.write(b"<h1>Not found</h1> alias not found")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def wrong_address() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Elsewhere)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_no_model_and_no_alias_are_none(stage: Stage) -> None:
    assert alias_version(stage.registry, stage.toy.name, "champion") == 1
    assert alias_version(stage.registry, stage.toy.name, "nothing") is None
    assert alias_version(stage.registry, "nobody", "champion") is None


def test_a_server_that_knows_nothing_is_unavailable_and_not_a_model_without_alias(
    stage: Stage, wrong_address: str
) -> None:
    import mlflow

    assert stage.alias() == 1
    with pytest.raises(Unavailable, match="404"):
        alias_version(mlflow.MlflowClient(wrong_address), stage.toy.name, "champion")


def test_a_server_that_is_gone_is_unavailable_within_seconds(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow

    assert stage.alias() == 1
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(Unavailable, match="alias 'champion' of toy"):
        alias_version(mlflow.MlflowClient("http://127.0.0.1:9"), stage.toy.name, "champion")


def test_the_address_is_the_users_or_a_file_below_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "_NAMED", None)
    assert tracking_uri(Home(tmp_path)) == f"sqlite:///{tmp_path}/mlflow/mlflow.db"
    monkeypatch.setattr(connect, "_NAMED", "http://mlflow.example:5000")
    assert tracking_uri(Home(tmp_path)) == "http://mlflow.example:5000"


def test_mlflow_hands_an_address_on_and_the_next_home_does_not_take_it(stage: Stage, tmp_path: Path) -> None:
    assert stage.alias() == 1
    assert str(stage.toy.home) in os.environ["MLFLOW_TRACKING_URI"], "MLflow wrote its address into the environment"
    assert str(tmp_path) in tracking_uri(Home(tmp_path))


def test_an_address_of_no_known_kind_is_unavailable(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "_NAMED", "gopher://nowhere")
    with pytest.raises(Unavailable, match="gopher"):
        client(stage.desk.home)
    monkeypatch.undo()
    assert stage.alias() == 1


def test_our_own_errors_pass_through_unchanged() -> None:
    own = BadInput("x", got="a", expected="b", next_step="c")
    with pytest.raises(BadInput) as caught, asking("MLflow"):
        raise own
    assert caught.value is own
