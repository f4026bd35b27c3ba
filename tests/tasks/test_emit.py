"""Lineage is kept first and sent afterwards, and whoever collects it can neither delay nor decide anything."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from model_folder import REQUESTER, Toy

from headgate.errors import Unavailable
from headgate.lineage import events, render
from tasks import post
from tasks.emit import LOG, emit
from tasks.post import Collector, send
from tasks.record import Case, Desk
from tasks.request import request
from tasks.snapshot import snapshot

SECRET = "s3cr3t-key"  # noqa: S105 - no real one
PROMPT = 0.25
"""Seconds that starting a process may take on a busy machine; waiting for any answer takes longer."""


@dataclass
class Got:
    """What a collector was sent, and how it answers."""

    url: str = ""
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    location: str = ""


@pytest.fixture
def collector() -> Iterator[Got]:
    got = Got()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            code = got.answers.pop(0) if got.answers else 201
            got.paths.append(self.path)
            got.headers.append(dict(self.headers))
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if code < 300:
                got.bodies.append(body)
            self.send_response(code)
            if got.location:
                self.send_header("Location", got.location)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    got.url = f"http://127.0.0.1:{server.server_port}"
    yield got
    server.shutdown()
    server.server_close()


@pytest.fixture
def black_hole() -> Iterator[str]:
    """A port that takes connections and never says anything."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture
def dead() -> str:
    """The address of a port on which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture(autouse=True)
def _unnamed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("URL", "ENDPOINT", "API_KEY", "DISABLED"):
        monkeypatch.delenv(f"OPENLINEAGE_{name}", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def case(toy: Toy, pages: object) -> Case:
    """A release that was asked for and has its snapshots."""
    opened = request.fn(str(toy.home), str(toy.folder), REQUESTER)
    snapshot.fn(opened)
    return opened


def desk(case: Case) -> Desk:
    return Desk(case.home, case.model)


def kept(case: Case) -> dict[str, bytes]:
    """The evidence files of a model's lineage, by the range of slots that names them."""
    here = desk(case)
    place = f"lineage/{case.model}/"
    names = here.store.names(place)
    return {n.removeprefix(place): here.evidence.get((here.store.get(n) or b"").decode()) for n in names}


def soon(holds: Callable[[], object], seconds: float = 10) -> None:
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, "it did not come"
        time.sleep(0.02)


def log(case: Case) -> str:
    path = Path(case.home) / "servers" / LOG
    return path.read_text() if path.exists() else ""


def test_events_are_kept_as_evidence_and_nothing_is_sent_where_no_collector_is_named(case: Case) -> None:
    digest = emit(case)
    assert digest is not None
    ledger = desk(case).ledger()
    assert kept(case) == {f"000000000-{ledger.size:09}.ndjson": desk(case).evidence.get(digest)}
    assert kept(case).popitem()[1] == render(events(ledger, desk(case).evidence.get))
    assert ledger.size == desk(case).ledger().size, "no entry of the ledger is made of it"
    assert log(case) == ""


def test_only_what_is_new_is_told_again(case: Case, toy: Toy) -> None:
    emit(case)
    assert emit(case) is None
    snapshot_only = kept(case)
    other = request.fn(str(toy.home), str(toy.folder), REQUESTER)
    assert emit(other) is not None
    assert list(kept(case)) == [*snapshot_only, "000000002-000000003.ndjson"]
    assert b"".join(kept(case).values()) == render(events(desk(case).ledger(), desk(case).evidence.get))


def test_a_range_that_no_ledger_has_hides_nothing(case: Case) -> None:
    desk(case).store.put(f"lineage/{case.model}/000000000-999999999.ndjson", b"sha256:none")
    assert emit(case) is not None


def test_a_collector_gets_every_event_in_order_with_the_key(
    case: Case, collector: Got, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENLINEAGE_URL", collector.url + "/")
    monkeypatch.setenv("OPENLINEAGE_API_KEY", SECRET)
    digest = emit(case)
    expected = desk(case).evidence.get(str(digest)).splitlines()
    soon(lambda: "took 3 of 3 events." in log(case))
    assert collector.bodies == expected
    assert set(collector.paths) == {"/api/v1/lineage"}
    assert {h["Authorization"] for h in collector.headers} == {f"Bearer {SECRET}"}
    assert {h["Content-Type"] for h in collector.headers} == {"application/json"}
    assert SECRET not in log(case)
    assert [json.loads(body)["eventType"] for body in collector.bodies] == ["START", "START", "COMPLETE"]


@pytest.mark.parametrize("kind", ["dead", "black_hole"])
def test_a_collector_that_does_not_answer_delays_nothing_and_decides_nothing(
    case: Case, kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = request.getfixturevalue(kind)
    monkeypatch.setenv("OPENLINEAGE_URL", url.replace("http://", f"http://user:{SECRET}@"))
    monkeypatch.setenv("OPENLINEAGE_ENDPOINT", f"in?token={SECRET}")
    started, begun = [], time.monotonic

    def timed(rendered: bytes, where: Path) -> bool:
        at = begun()
        done = post.start(rendered, where)
        started.append(begun() - at)
        return done

    monkeypatch.setattr("tasks.emit.start", timed)
    digest = emit(case)
    assert started[0] < PROMPT
    assert kept(case).popitem()[1] == desk(case).evidence.get(str(digest))
    if kind == "dead":
        soon(lambda: "took 0 of 3 events; then" in log(case))
        assert url.removeprefix("http://") in log(case)
        assert SECRET not in log(case)


def test_a_black_hole_ends_by_itself(black_hole: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(post, "_PATIENCE", 0.1)
    assert send([b"{}", b"{}"], Collector(black_hole, None), tries=2) == (0, "TimeoutError")
    monkeypatch.setattr(post, "_LONGEST", 0.0)
    assert send([b"{}"], Collector(black_hole, None)) == (0, "no time left")


def test_a_busy_collector_is_asked_again_and_one_that_refuses_is_not(collector: Got) -> None:
    collector.answers += [503, 201, 422, 201]
    assert send([b"1", b"2", b"3"], Collector(collector.url, None)) == (1, "HTTP 422")
    assert collector.bodies == [b"1"]
    assert len(collector.paths) == 3
    assert "Authorization" not in collector.headers[0]


def test_the_key_does_not_follow_a_redirect(collector: Got) -> None:
    collector.answers, collector.location = [307, 302], collector.url + "/elsewhere"
    for code in (307, 302):
        assert send([b"{}"], Collector(collector.url + "/first", SECRET)) == (0, f"HTTP {code}")
    assert collector.paths == ["/first"] * 2


@pytest.mark.parametrize(
    ("variables", "url"),
    [
        ({}, None),
        ({"URL": " "}, None),
        ({"URL": "http://h", "DISABLED": "true"}, None),
        ({"URL": "http://h", "DISABLED": "false"}, "http://h/api/v1/lineage"),
        ({"URL": "http://h/base/", "ENDPOINT": "/v2/in"}, "http://h/base/v2/in"),
    ],
)
def test_the_collector_is_named_as_openlineage_does(variables: dict[str, str], url: str | None) -> None:
    found = Collector.named({f"OPENLINEAGE_{name}": value for name, value in variables.items()})
    assert (found and found.url) == url


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://h/x", "http://[", "http://h:port", f"http://h/\n{SECRET}"]
)
def test_what_is_no_address_is_not_asked_and_not_quoted(url: str) -> None:
    taken, why = send([b"{}"], Collector(url, SECRET), tries=1)
    assert taken == 0
    assert why
    assert SECRET not in why + Collector(url, SECRET).shown
    assert "passwd" not in why + Collector(url, SECRET).shown


def test_where_no_process_can_be_started_the_events_are_kept_all_the_same(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object) -> bool:
        raise OSError("no processes left")

    monkeypatch.setattr("tasks.emit.start", none)
    assert emit(case) is not None
    assert len(kept(case)) == 1


def test_a_store_that_fails_is_no_silence(case: Case) -> None:
    (Path(case.home) / "store").rename(Path(case.home) / "gone")
    with pytest.raises(Unavailable):
        emit(case)
