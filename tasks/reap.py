"""Reap: of Prefect's runs, those whose process is gone are crashed, and those that wait for nothing more are closed.

Every run says on itself which process runs it. Prefect keeps a run whose process was killed as RUNNING for ever, and
its own remedy also "crashes" runs that wait for people: so only RUNNING runs are reaped, and only of this machine.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from prefect import State, get_client
from prefect.runtime import flow_run
from prefect.states import Completed, Crashed, Failed

from headgate.errors import HeadgateError
from headgate.release import Stage
from tasks.record import Case, Desk

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun, StateType

PROCESS, HOME, RELEASE = "headgate.process", "headgate.home", "headgate.release"
"""Labels of a run: who runs it, where its records are, and which release it is about."""

GRACE = timedelta(seconds=30)
"""So long a run may be RUNNING before its process has said that it runs it."""

_PAGE = 200
_MARK = re.compile(r"(?P<host>\S+) (?P<pid>[0-9]{1,9}) (?P<began>[0-9.]+)")
_TOLERANCE = 2.0  # seconds: the start of a process is counted from a boot time that a clock may correct


def sign_on(home: str | Path) -> None:
    """Write on the present run which process runs it, for `reap`; nothing outside of a run."""
    _label({PROCESS: mark(os.getpid()), HOME: str(Path(home).resolve())})


def sign_case(case: Case) -> None:
    """Write on the present run which release it is about, and call it so; nothing outside of a run."""
    _label({RELEASE: case.release}, name=case.release)


def ending(stage: Stage, release: str) -> State[None]:
    """How a run ends that left its release in this stage.

    The message is the release's name, for whoever started the run. Red is for what needs a person: the run did its
    work, but a release that was stopped must not look like one that went through.
    """
    ended = Completed if stage in ("waiting", "rolling", "promoted") else Failed
    return ended(name="Refused" if stage == "approved" else stage.capitalize(), message=release)


def reap(grace: timedelta = GRACE) -> tuple[str, ...]:
    """Crash the RUNNING runs whose process on this machine is gone, and return their names.

    Runs that wait, are scheduled or run elsewhere are never touched.

    Args:
        grace: see `GRACE`.
    """
    late = datetime.now(UTC) - grace
    with get_client(sync_client=True) as client:
        running = [run for run in _runs(client, "RUNNING") if run.state and run.state.timestamp <= late]
        dead = [run for run in running if is_gone(str(run.labels.get(PROCESS, "")))]
        for run in dead:
            client.set_flow_run_state(run.id, Crashed(message=_advice(run)))
    return tuple(run.name for run in dead)


def settle(home: Path) -> tuple[str, ...]:
    """Close the runs that wait for people about a release that has gone on elsewhere, and return their names.

    A run whose release cannot be read is left alone, and keeps no other from being closed.
    """
    with get_client(sync_client=True) as client:
        ours = [run for run in _runs(client, "PAUSED") if run.labels.get(HOME) == str(home) and RELEASE in run.labels]
        told = [(run, stage) for run in ours if (stage := _stage(home, run)) is not None]
        over = [(run, stage) for run, stage in told if stage != "waiting"]
        for run, stage in over:
            client.set_flow_run_state(run.id, ending(stage, str(run.labels[RELEASE])))
    return tuple(run.name for run, _ in over)


def mark(pid: int) -> str:
    """What tells a process from all others: the machine, its number there, and when it began.

    Raises:
        psutil.NoSuchProcess: there is no such process.
    """
    return f"{socket.gethostname()} {pid} {psutil.Process(pid).create_time():.2f}"


def is_gone(marked: str) -> bool:
    """Whether a process of this machine, as `mark` names it, has ended; its number may belong to another one by now."""
    said = _MARK.fullmatch(marked)
    if said is None or said["host"] != socket.gethostname():
        return False
    try:
        found = psutil.Process(int(said["pid"]))
        ended = bool(found.status() == psutil.STATUS_ZOMBIE)
        return ended or abs(found.create_time() - float(said["began"])) > _TOLERANCE
    except psutil.NoSuchProcess:
        return True


def _label(labels: Mapping[str, str], name: str | None = None) -> None:
    from uuid import UUID

    if not flow_run.id:
        return
    with get_client(sync_client=True) as client:
        client.update_flow_run_labels(UUID(flow_run.id), dict(labels))
        if name is not None:
            client.update_flow_run(UUID(flow_run.id), name=name)


def _runs(client: SyncPrefectClient, kind: str) -> Iterator[FlowRun]:
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType

    wanted: list[StateType] = [_state_type(kind)]
    those = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=wanted)))
    # All of them are read before one is changed: a page would shift under a change.
    for page in count():
        found = client.read_flow_runs(flow_run_filter=those, limit=_PAGE, offset=page * _PAGE)
        yield from found
        if len(found) < _PAGE:
            return


def _state_type(kind: str) -> StateType:
    from prefect.client.schemas.objects import StateType

    return StateType(kind)


def _stage(home: Path, run: FlowRun) -> Stage | None:
    name = str(run.labels[RELEASE])
    try:
        return Desk(home, name.rpartition("-")[0]).release(name).stage
    except HeadgateError:  # the audit says what is wrong with its ledger
        return None


def _advice(run: FlowRun) -> str:
    host, pid = str(run.labels[PROCESS]).split(" ")[:2]
    name = str(run.labels.get(RELEASE, ""))
    on = f"Go on with `headgate release {name.rpartition('-')[0]} --resume {name}`, or retry" if name else "Retry"
    return f"Its process {pid} on {host} is gone. {on} this run: what was recorded stays, and is not done again."
