"""The router over real HTTP: it answers with what the ledger has live, and with nothing else."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest
from click.testing import CliRunner
from stage import Stage, new_process, run

from flows.cli import cli
from headgate.flags import Route, below, bucket
from headgate.home import Home
from headgate.inquiry import Ask
from headgate.ledger import slot_name
from headgate.policy import Stage as Step
from headgate.records import Registered
from headgate.telemetry import KINDS, Complaint, Outcome, Served, read
from tasks import heed
from tasks.dispatch import Limits, Router
from tasks.fend import Rules
from tasks.gauge import MOST_SERIES, Gauges
from tasks.listen import at, server_of, url_of
from tasks.live import load
from tasks.respond import respond
from tasks.rollback import roll_back
from tasks.route import wrong

QUICK = Limits(every=0.1, grace=30.0, retry=0.3)
ROW = {"x1": 0.5, "x2": -1.25, "group": "a"}


def ask(subject: str = "person-1", **given: Any) -> dict[str, Any]:
    return {"subject": subject, "inputs": ROW, **given}


@contextmanager
def serving(stage: Stage, limits: Limits = QUICK, **given: Any) -> Iterator[httpx.Client]:
    router = Router(stage.toy.home, limits=limits)
    router.start()
    with at("127.0.0.1", 0) as listening:
        server = server_of(respond(router, **given))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            with httpx.Client(base_url=url_of(listening), timeout=30) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join()
            router.close()


@pytest.fixture
def clean(stage: Stage) -> Iterator[Stage]:
    """The stage, without what another test's router has written into the home that tests share."""
    _sweep(stage)
    yield stage
    _sweep(stage)


def _sweep(stage: Stage) -> None:
    home = Home(stage.toy.home)
    home.flags.unlink(missing_ok=True)
    shutil.rmtree(home.telemetry, ignore_errors=True)


def told(stage: Stage, kind: str) -> list[Any]:
    """All lines of a kind that routers have written about the model."""
    files = sorted((Home(stage.toy.home).telemetry / "toy" / kind).rglob("*.jsonl"))
    found = [read(KINDS[kind], path.read_bytes()) for path in files]
    assert sum(torn for _, torn in found) == 0
    return [line for lines, _ in found for line in lines]


def until(holds: Callable[[], bool], patience: float = 10.0) -> float:
    """Seconds until something holds."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < patience
        time.sleep(0.02)
    return time.monotonic() - began


def predicted(client: httpx.Client, **given: Any) -> httpx.Response:
    return client.post("/models/toy/predict", json=ask(**given))


def test_it_answers_as_the_live_model_does_and_writes_it_down(clean: Stage) -> None:
    with serving(clean) as client:
        answer = predicted(client, audience={"group": "employee"})
        assert answer.status_code == 200
        said = answer.json()
        (due,) = load("toy", home=clean.toy.home).predict_proba(pd.DataFrame([ROW]))[:, 1]
        assert said["scores"] == [float(due)]
        assert (said["stage"], said["version"], said["decision"]) == ("broad", 1, int(due >= 0.5))
        (line,) = told(clean, "requests")
        assert isinstance(line, Served)
        assert (line.id, line.subject, dict(line.inputs), line.failure) == (said["id"], "person-1", ROW, None)
        assert (line.stage, line.version, line.scores) == ("broad", 1, tuple(said["scores"]))
        assert 0 < line.ms < 20_000
    assert Home(clean.toy.home).telemetry.stat().st_mode & 0o777 == 0o700


def test_a_list_is_answered_row_by_row_and_a_bad_row_keeps_no_other_from_its_answer(clean: Stage) -> None:
    rows = [ask(f"p-{n}", inputs={**ROW, "x1": n / 10}) for n in range(5)]
    rows[2]["inputs"] = {"x1": 1.0}
    with serving(clean) as client:
        answer = client.post("/models/toy/predict", json=rows)
        said = answer.json()
        assert (answer.status_code, len(said)) == (200, 5)
        assert "x2 is missing" in said[2]["error"]["got"]
        one = predicted(client, subject="p-4", inputs=rows[4]["inputs"]).json()
        assert said[4]["scores"] == pytest.approx(one["scores"], rel=1e-12)
        assert len({each["id"] for each in said}) == 5
        assert client.post("/models/toy/predict", json=[rows[2]]).status_code == 422
        assert client.post("/models/toy/predict", json=[ask()] * 1001).status_code == 422
    assert [line.subject for line in told(clean, "requests")] == ["p-0", "p-1", "p-3", "p-4", "p-4"]


def test_a_promotion_and_a_rollback_are_followed_without_a_restart_and_refuse_nobody(clean: Stage) -> None:
    with serving(clean) as client:
        assert predicted(client).json()["version"] == 1
        seen: list[tuple[int, int]] = []

        def serves(version: int) -> bool:
            answer = predicted(client)
            seen.append((answer.status_code, answer.json()["version"]))
            return seen[-1][1] == version

        run("promote", clean.ready)
        assert until(lambda: serves(2)) < 3
        roll_back(clean.toy.home, "toy", reason="it harms", who="dana@toy.example")
        assert until(lambda: serves(1)) < 3
        assert {status for status, _ in seen} == {200}
    assert wrong(clean.toy.home) == ()


def model_file(stage: Stage, version: int = 1) -> Path:
    """The bytes that MLflow serves of a version."""
    case = {1: stage.live, 2: stage.ready}[version]
    source = stage.desk.release(case.release).step(Registered).source
    (found,) = (stage.toy.home / "mlflow" / "artifacts").rglob(f"{source.rpartition('/')[2]}/artifacts/model.skops")
    return found


def test_a_version_whose_bytes_changed_is_refused_told_and_tried_again(clean: Stage) -> None:
    path = model_file(clean)
    good = path.read_bytes()
    path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with serving(clean) as client:
        answer = predicted(client)
        assert answer.status_code == 503
        assert "changes in model.skops" in answer.json()["error"]["got"]
        line = told(clean, "requests")[-1]
        assert (line.version, line.scores, line.failure) == (1, (), "Tampered")
        assert 'load_failures_total{model="toy",version="1"}' in client.get("/metrics").text
        assert "refused" in client.get("/").text
        assert client.get("/readyz").status_code == 503, "it is the only model"
        path.write_bytes(good)
        until(lambda: predicted(client).status_code == 200)
        assert client.get("/readyz").status_code == 200


def test_a_forged_flag_is_refused_and_written_again(clean: Stage) -> None:
    path = Home(clean.toy.home).flags
    with serving(clean, Limits(every=60.0)) as client:
        due = path.read_bytes()
        for forged, got in (
            (due.replace(b'"broad": 1', b'"broad": 2'), "version 2, which the ledger does not have"),
            (due.replace(b"broad", b"other"), "version 1, which the ledger does not have"),
            (due.replace(b'"broad": 1', b'"broad": true'), "no usable flag"),
            (due.replace(b'"broad": 1', b'"broad": 1' + b"0" * 40), "no usable flag"),
            (due.replace(b'"broad": 1', b'"broad": -1'), "no usable flag"),
            (due.replace(b"ENABLED", b"DISABLED"), "no usable flag"),
            (due.replace(b"serve.toy", b"serve.nothing"), "no usable flag"),
        ):
            assert forged != due
            path.write_bytes(forged)
            until(lambda: predicted(client).status_code == 503)
            assert got in predicted(client).json()["error"]["got"]
            assert [a.name for a in wrong(clean.toy.home)] == ["other_flags"]
            path.write_bytes(due)
            until(lambda: predicted(client).status_code == 200)
        path.write_bytes(b"{ half of it")
        time.sleep(0.3)
        assert predicted(client).status_code == 200, "half a file is not followed"
    assert {line.failure for line in told(clean, "requests")} == {None, "Forbidden", "Unavailable"}
    assert {line.stage for line in told(clean, "requests")} <= {"broad", "odd", "none"}
    with serving(clean) as client:
        path.write_bytes(due.replace(b'"broad": 1', b'"broad": 2'))
        until(lambda: path.read_bytes() == due)
        until(lambda: predicted(client).status_code == 200)


def test_a_ledger_that_does_not_verify_serves_nobody_from_the_next_look_on(clean: Stage) -> None:
    with serving(clean) as client:
        assert predicted(client).status_code == 200
        entry = clean.toy.home / "store" / slot_name("toy", clean.desk.ledger().size - 1)
        entry.chmod(0o644)
        entry.write_bytes(entry.read_bytes().replace(b"toy-2", b"toy-9"))
        assert until(lambda: predicted(client).status_code == 503) < 3
        assert "rewritten" in predicted(client).json()["error"]["subject"]
        assert client.get("/readyz").status_code == 503
        assert client.post("/models/toy/outcomes", json={"id": "x", "label": 1}).status_code == 202
    assert "serve.toy" not in Home(clean.toy.home).flags.read_text()
    assert told(clean, "requests")[-1].failure == "Tampered"


def test_a_ledger_that_does_not_answer_is_believed_for_a_while(clean: Stage) -> None:
    store = clean.toy.home / "store"
    with serving(clean, Limits(every=0.1, grace=1.5)) as client:
        assert predicted(client).status_code == 200
        store.rename(store.with_name("away"))
        try:
            time.sleep(0.5)
            assert predicted(client).status_code == 200
            assert until(lambda: predicted(client).status_code == 503) > 0.3
            assert predicted(client).json()["error"]["got"] == "no folder"
        finally:
            store.with_name("away").rename(store)
        until(lambda: predicted(client).status_code == 200)


@pytest.mark.parametrize(
    ("inputs", "got"),
    [
        ({"x1": 1, "x2": 1}, "group is missing"),
        ({**ROW, "x3": 1}, "x3 is unknown"),
        ({**ROW, "x1": "1"}, "x1 is no number"),
        ({**ROW, "x1": True}, "x1 is no number"),
        ({**ROW, "group": 3}, "group is no text"),
        ({**ROW, "x1": None}, "a row at which the model raises ValueError"),
    ],
)
def test_a_row_that_the_model_does_not_read_is_refused_and_named(clean: Stage, inputs: Any, got: str) -> None:
    with serving(clean) as client:
        answer = predicted(client, inputs=inputs)
        assert answer.status_code == 422
        error = answer.json()["error"]
        assert got in error["got"]
        assert error["expected"]
        assert error["next"]
        assert predicted(client, inputs={**ROW, "x1": 1, "group": "never seen"}).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b"null",
        b"[" * 100_000,
        json.dumps({"subject": "", "inputs": ROW}).encode(),
        json.dumps({"subject": "x" * 201, "inputs": ROW}).encode(),
        json.dumps({"subject": "x", "inputs": ROW, "more": 1}).encode(),
        json.dumps({"subject": 3, "inputs": ROW}).encode(),
        json.dumps({"subject": "x", "audience": {"group": 3}, "inputs": ROW}).encode(),
        json.dumps({"subject": "x", "inputs": {**ROW, "x1": float("nan")}}).encode(),
        json.dumps({"subject": "x", "inputs": {**ROW, "x1": 2**60}}).encode(),
        json.dumps({"subject": "x", "inputs": {**ROW, "x1": [1]}}).encode(),
        json.dumps({"subject": "x", "inputs": {**ROW, "group": "g" * 2001}}).encode(),
        b'{"subject": "\\ud800", "inputs": {}}',
        b'{"subject": "x", "inputs": {"x1": ' + b"9" * 5000 + b"}}",
    ],
)
def test_a_body_that_is_no_question_is_refused(clean: Stage, body: bytes) -> None:
    with serving(clean) as client:
        answer = client.post("/models/toy/predict", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code in (400, 422), answer.text
        assert client.get("/healthz").status_code == 200
    assert told(clean, "requests") == []


def test_outcomes_and_reports_are_kept_and_bounded(clean: Stage) -> None:
    with serving(clean, Limits(every=0.1, largest=4_000)) as client:
        said = predicted(client).json()
        assert client.post("/models/toy/outcomes", json={"id": said["id"], "label": 1}).json() == {"accepted": 1}
        many = [{"id": f"nobody-{n}", "label": "yes"} for n in range(3)]
        assert client.post("/models/toy/outcomes", json=many).status_code == 202, "who asked elsewhere may tell here"
        report = {"id": said["id"], "text": "<b>wrong</b>\nand harmful"}
        assert client.post("/models/toy/reports", json=report).status_code == 202
        for path, odd in (
            ("outcomes", {"id": "x" * 201, "label": 1}),
            ("outcomes", {"id": "x", "label": "y" * 201}),
            ("outcomes", {"id": "x", "label": None}),
            ("outcomes", {"id": "x", "label": 2**60}),
            ("reports", {"id": "x", "text": ""}),
            ("reports", {"id": "x", "text": "y" * 2001}),
        ):
            assert client.post(f"/models/toy/{path}", json=odd).status_code == 422
        assert client.post("/models/other/outcomes", json={"id": "x", "label": 1}).status_code == 404
        flood = [{"id": f"{n}", "label": 1} for n in range(1000)]
        full = client.post("/models/toy/outcomes", json=flood)
        assert full.status_code == 429
        assert "4,000 bytes of outcomes" in full.json()["error"]["got"]
        assert client.get("/readyz").status_code == 200
    assert told(clean, "outcomes")[0] == Outcome(id=said["id"], time=told(clean, "outcomes")[0].time, label=1)
    assert len(told(clean, "outcomes")) == 4
    (line,) = told(clean, "reports")
    assert isinstance(line, Complaint)
    assert line.text == "<b>wrong</b>\nand harmful"


def test_an_answer_that_cannot_be_written_down_is_given_and_its_loss_is_counted(clean: Stage) -> None:
    place = Home(clean.toy.home).telemetry
    with serving(clean) as client:
        place.write_text("in the way")
        assert predicted(client).status_code == 200
        assert 'telemetry_lost_total{kind="requests"} 1.0' in client.get("/metrics").text
        ready = client.get("/readyz")
        assert ready.status_code == 503
        assert "telemetry in" in ready.json()["troubles"][0]
        assert client.post("/models/toy/outcomes", json={"id": "x", "label": 1}).status_code == 503
        place.unlink()
        assert client.get("/readyz").status_code == 200
        assert predicted(client).status_code == 200
    assert len(told(clean, "requests")) == 1


def test_only_who_has_the_token_is_answered(clean: Stage) -> None:
    token = "0123456789abcdef"  # noqa: S105
    with serving(clean, token=token) as client:
        for given in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": token}, {"Authorization": "Bearer é"}):
            headers = {k: v.encode() for k, v in given.items()}
            for path in ("/", "/metrics", "/openapi.json"):
                assert client.get(path, headers=headers).status_code == 401
            assert client.post("/models/toy/predict", json=ask(), headers=headers).status_code == 401
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").status_code == 200
        right = {"Authorization": f"Bearer {token}"}
        assert client.post("/models/toy/predict", json=ask(), headers=right).status_code == 200
        assert 'fenced_total{status="401"} 16.0' in client.get("/metrics", headers=right).text


def test_too_much_too_many_and_too_slow_go_no_further(clean: Stage) -> None:
    rules = Rules(token=None, most_bytes=1_000, most_at_once=1, patience=0.5)
    with serving(clean, rules=rules) as client:
        assert client.post("/models/toy/predict", content=b"x" * 1_001).status_code == 413
        assert client.post("/models/toy/predict", content=iter([b"x" * 600] * 2)).status_code == 413
        assert (
            client.post("/models/toy/predict", content=b"{}", headers={"Content-Type": "text/plain"}).status_code == 422
        )

        def slowly() -> Iterator[bytes]:
            yield b"{"
            began.set()
            time.sleep(1.0)
            yield b"}"

        began, answers = threading.Event(), []
        json_type = {"Content-Type": "application/json"}
        thread = threading.Thread(
            target=lambda: answers.append(
                httpx.post(f"{client.base_url}/models/toy/predict", content=slowly(), headers=json_type)
            )
        )
        thread.start()
        began.wait()
        until(lambda: client.get("/metrics").status_code == 503)
        assert client.get("/healthz").status_code == 200
        thread.join()
        assert answers[0].status_code == 408
        assert predicted(client).status_code == 200


def test_a_subject_stays_with_its_stage_and_an_audience_comes_first(
    clean: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages = (
        Step(name="internal", alias="internal", audience={"group": ("employee",)}),
        Step(name="pilot", alias="pilot", share=0.3),
        Step(name="broad", alias="champion"),
    )
    aliases = {"internal": 2, "pilot": 2, "champion": 1}
    monkeypatch.setattr(heed, "route_of", lambda desk, state: Route(stages, aliases))
    people = [f"person-{n}" for n in range(60)]
    with serving(clean) as client:
        for _ in range(2):
            said = client.post("/models/toy/predict", json=[ask(each) for each in people]).json()
            due = [("pilot", 2) if bucket("toy", each) < below(0.3) else ("broad", 1) for each in people]
            assert [(each["stage"], each["version"]) for each in said] == due
        staff = client.post("/models/toy/predict", json=[ask(p, audience={"group": "employee"}) for p in people]).json()
        assert {(each["stage"], each["version"]) for each in staff} == {("internal", 2)}
        page = client.get("/")
        assert "30% of all" in page.text
        assert "group: employee" in page.text
        metrics = client.get("/metrics").text
        assert 'rows_total{model="toy",outcome="answered",stage="internal",version="2"} 60.0' in metrics
    assert set(due) == {("pilot", 2), ("broad", 1)}


def test_where_the_training_rows_are_not_the_answers_are_the_same(clean: Stage) -> None:
    with serving(clean) as client:
        due = predicted(client).json()["scores"]
    rows = clean.toy.home / "snapshots"
    rows.rename(rows.with_name("elsewhere"))
    try:
        with serving(clean) as client:
            assert predicted(client).json()["scores"] == due
            assert "x1 is no number" in predicted(client, inputs={**ROW, "x1": "1"}).json()["error"]["got"]
    finally:
        rows.with_name("elsewhere").rename(rows)


def test_what_people_are_shown_is_text_and_loads_nothing(clean: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = Step(name="broad", alias="champion", audience={"<script>": ("x",)})
    early = Step(name="early", alias="champion", audience={"<script>alert(1)</script>": ("<img src=x>",)})
    monkeypatch.setattr(heed, "route_of", lambda desk, state: Route((early, odd), {"champion": 1}))
    with serving(clean) as client:
        page = client.get("/")
        assert page.status_code == 200
        assert "<script" not in page.text
        assert "&lt;script&gt;alert(1)&lt;/script&gt;: &lt;img src=x&gt;" in page.text
        assert "script-src 'none'" in page.text
        assert not re.search(r"https?://", page.text)
        assert client.get("/models/%3Cb%3E/predict").status_code == 405
        assert client.post("/models/%3Cb%3E/predict", json=ask()).status_code == 404
        assert client.get("/docs").status_code == 404


def test_a_new_process_serves_what_is_live(clean: Stage) -> None:
    new_process()
    with serving(clean) as client:
        assert predicted(client).json()["version"] == 1
        assert client.get("/readyz").json() == {"ready": True, "troubles": []}


def test_without_the_pipelines_key_nobody_is_served_and_none_is_made(
    clean: Stage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HEADGATE_STORE", str(clean.toy.home / "store"))
    router = Router(tmp_path, limits=QUICK)
    router.start()
    try:
        (reply,) = router.answer("toy", [Ask(subject="x", inputs=ROW)], time.perf_counter())
        assert reply.refusal is not None
        assert "pipeline key" in str(reply.refusal.error)
        assert not Home(tmp_path).pipeline_key.exists()
    finally:
        router.close()


def test_so_many_series_are_counted_apart_and_no_more() -> None:
    gauges = Gauges()
    for version in range(MOST_SERIES + 50):
        gauges.row("toy", "broad", version, "answered")
    lines = [line for line in gauges.page().decode().splitlines() if line.startswith("headgate_router_rows_total")]
    assert len(lines) == MOST_SERIES + 1
    assert 'headgate_router_rows_total{model="other",outcome="answered",stage="other",version="other"} 50.0' in lines


def test_answers_do_not_wait_for_the_network_to_fill_a_packet(clean: Stage) -> None:
    with at("127.0.0.1", 0) as listening:
        assert listening.proto == socket.IPPROTO_TCP, "else asyncio leaves Nagle's algorithm on"
    with at("::1", 0) as listening:
        assert url_of(listening).startswith("http://[::1]:")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_tells_its_address_answers_and_ends_cleanly(clean: Stage, number: signal.Signals) -> None:
    code = "from flows.cli import main; main()"
    command = [sys.executable, "-c", code, "--home", str(clean.toy.home), "serve", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        assert said["models"] == ["toy"]
        assert said["router"].startswith("http://127.0.0.1:")
        answer = httpx.post(f"{said['router']}/models/toy/predict", json=ask(), timeout=60)
        assert answer.json()["version"] == 1
        process.send_signal(number)
        _, complaints = process.communicate(timeout=30)
        assert (process.returncode, complaints) == (0, b"")
    assert len(told(clean, "requests")) == 1


@pytest.mark.parametrize(
    ("given", "token", "got"),
    [
        (["--models", "nobody"], None, "'nobody'"),
        (["--host", "203.0.113.1"], None, "address 203.0.113.1"),
        ([], "short", "5 characters"),
        ([], "", "0 characters"),
    ],
)
def test_what_cannot_be_served_is_the_callers_mistake(
    clean: Stage, monkeypatch: pytest.MonkeyPatch, given: list[str], token: str | None, got: str
) -> None:
    if token is not None:
        monkeypatch.setenv("HEADGATE_ROUTER_TOKEN", token)
    said = CliRunner().invoke(cli, ["--home", str(clean.toy.home), "serve", *given])
    assert said.exit_code == 2
    assert got in said.stderr
