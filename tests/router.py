"""A router over real HTTP on the stage, what it wrote down, and how to wait for it."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from stage import Stage

from headgate.home import Home
from headgate.telemetry import KINDS, read
from tasks.dispatch import Limits, Router
from tasks.listen import at, server_of, url_of
from tasks.respond import respond

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
