"""Runs of processes that are gone are crashed, and no others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import psutil
import pytest
from model_folder import Toy
from prefect import flow, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.settings import get_current_settings
from prefect.states import Running, Suspended

from tasks.reap import HOME, PROCESS, RELEASE, is_gone, mark, reap, settle
from tasks.record import Desk
from tasks.request import request

NO_GRACE = timedelta(0)
OPENS_AND_SLEEPS = """
import sys, time
from prefect import flow
from prefect.runtime import flow_run
from tasks.reap import sign_case, sign_on
from tasks.request import request

@flow(name="release", persist_result=False)
def release(home, folder):
    sign_on(home)
    sign_case(request(home, folder, "dana@toy.example", run=flow_run.id))
    print(flow_run.id, flush=True)
    time.sleep(600)

release(*sys.argv[1:])
"""


@flow(name="probe")
def probe() -> None:
    """A flow to hang runs on."""


@pytest.fixture
def alive() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield process
    process.kill()
    process.wait()


def running(marked: str | None, **labels: str) -> UUID:
    with get_client(sync_client=True) as client:
        made = client.create_flow_run(probe, state=Running())
        client.update_flow_run_labels(made.id, {**labels, **({} if marked is None else {PROCESS: marked})})
    return made.id


def read(run: UUID) -> FlowRun:
    with get_client(sync_client=True) as client:
        return client.read_flow_run(run)


def state(run: UUID) -> str:
    found = read(run).state
    assert found is not None
    return str(found.name)


def test_a_run_that_was_killed_is_crashed_and_says_how_to_go_on(toy: Toy) -> None:
    environment = {**os.environ, "PREFECT_API_URL": str(get_current_settings().api.url)}
    command = [sys.executable, "-c", OPENS_AND_SLEEPS, str(toy.home), str(toy.folder)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    run = UUID(process.stdout.readline().strip())
    assert reap(NO_GRACE) == (), "it lives"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert state(run) == "Running", "Prefect alone would keep it so for ever"
    assert reap(timedelta(hours=1)) == (), "a run is given some time to say who runs it"
    assert reap(NO_GRACE) == ("toy-1",)
    found = read(run).state
    assert found is not None
    assert found.name == "Crashed"
    assert f"process {process.pid} on" in str(found.message)
    assert "headgate release toy --resume toy-1" in str(found.message)
    assert Desk(toy.home, toy.name).release("toy-1").stage == "running", "what was recorded stays"
    again = request.fn(str(toy.home), str(toy.folder), "dana@toy.example", run=str(run))
    assert again.release == "toy-1", "retried, the run finds the release that it has opened"


def test_a_run_that_lives_or_waits_or_is_elsewhere_or_says_nothing_is_left_alone(
    alive: subprocess.Popen[bytes],
) -> None:
    here = mark(alive.pid)
    gone = f"{here.split(' ')[0]} 4194304 1.0"
    left = [
        running(here),
        running(None),
        running(f"elsewhere {gone.partition(' ')[2]}"),
        running("nonsense"),
        running(""),
    ]
    waits = running(gone, **{RELEASE: "toy-1", HOME: "/x"})
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(waits, Suspended(timeout_seconds=3600, pause_key="k"), force=True)
        scheduled = client.create_flow_run(probe).id
        client.update_flow_run_labels(scheduled, {PROCESS: gone})
    dead = running(gone)
    assert reap(NO_GRACE) == (read(dead).name,)
    assert [state(run) for run in left] == ["Running"] * len(left)
    assert state(waits) == "Suspended"
    assert state(scheduled) in ("Pending", "Scheduled")
    assert state(dead) == "Crashed"
    assert reap(NO_GRACE) == ()


def test_a_waiting_run_whose_release_cannot_be_read_keeps_no_other_from_being_closed(toy: Toy) -> None:
    case = request.fn(str(toy.home), str(toy.folder), "dana@toy.example")
    labels = {HOME: str(toy.home)}
    unread, over, elsewhere = (
        running(None, **{**labels, RELEASE: "toy-99"}),
        running(None, **{**labels, RELEASE: case.release}),  # which runs, and so waits for nobody
        running(None, **{HOME: "/x", RELEASE: case.release}),
    )
    with get_client(sync_client=True) as client:
        for run in (unread, over, elsewhere):
            client.set_flow_run_state(run, Suspended(timeout_seconds=3600, pause_key="k"), force=True)
    assert settle(toy.home) == (read(over).name,)
    assert [state(run) for run in (unread, elsewhere)] == ["Suspended"] * 2


def test_a_number_that_another_process_was_given_since_is_not_taken_for_the_first(
    alive: subprocess.Popen[bytes],
) -> None:
    host, pid, began = mark(alive.pid).split(" ")
    assert not is_gone(f"{host} {pid} {began}")
    assert not is_gone(f"{host} {pid} {float(began) + 0.5:.2f}"), "a clock that was set a little"
    assert is_gone(f"{host} {pid} {float(began) - 60:.2f}")


def test_a_zombie_has_ended(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    marked = mark(process.pid)
    assert process.stdin is not None
    process.stdin.close()
    for _ in range(200):
        if psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE:
            break
        time.sleep(0.05)
    assert is_gone(marked)
    process.wait()
    assert is_gone(marked)


@pytest.mark.parametrize("marked", ["", " ", "vm", "vm x 1", f"{os.uname().nodename} 12"])
def test_a_mark_that_cannot_be_read_accuses_nobody(marked: str) -> None:
    assert not is_gone(marked)
