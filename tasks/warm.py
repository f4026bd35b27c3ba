"""Warm: processes of our own whose imports run beside other work.

Great Expectations takes as long to import as everything else together, and the serving probe must be a fresh process
anyway. Started when a release begins, both are ready when they are needed. Nothing here is heavy to import.
"""

from __future__ import annotations

import atexit
import functools
import gc
import importlib
import os
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

from headgate.finding import Finding
from headgate.home import Home
from headgate.records import Table
from tasks.connect import client
from tasks.expect import check_suite, load_great_expectations
from tasks.load import frame_of

_probes: list[subprocess.Popen[bytes]] = []


def warm_up() -> None:
    """Start the process that validates; when it is ready, the probe. Both at once would only wait for each other."""
    _validator().submit(load_great_expectations).add_done_callback(_warm_probe)


def import_ahead(home: Home) -> None:
    """Import what training and registering will need, and open MLflow, while this process waits for another.

    Raises:
        Unavailable: MLflow does not answer.
    """
    for name in ("sklearn.pipeline", "sklearn.compose", "skops.io", "mlflow.sklearn"):
        importlib.import_module(name)
    client(home)


def dismiss() -> None:
    """End the processes that wait for work."""
    while _probes:
        probe = _probes.pop()
        probe.kill()
        probe.communicate()
    if _validator.cache_info().currsize:
        _validator().shutdown(wait=False, cancel_futures=True)
        _validator.cache_clear()


def expect(
    home: Path, rows: Table, suite: Mapping[str, Any], table: Literal["training", "evaluation"]
) -> Future[tuple[Finding, ...]]:
    """The findings of a suite about a snapshot, from the process that has Great Expectations."""
    return _validator().submit(_expect, home, rows, suite, table)


def _warm_probe(loaded: Future[None]) -> None:
    if not (loaded.cancelled() or _probes):
        _probes.append(_new_probe())


def take_probe() -> subprocess.Popen[bytes]:
    """A serving probe that waits for its request: the warm one if it still lives, or a new one."""
    probe = _probes.pop() if _probes else _new_probe()
    return probe if probe.poll() is None else _new_probe()


def _expect(
    home: Path, rows: Table, suite: Mapping[str, Any], table: Literal["training", "evaluation"]
) -> tuple[Finding, ...]:
    return check_suite(frame_of(Home(home), rows), suite, table)


@functools.cache
def _validator() -> Executor:
    # Spawned, not forked: a fork would copy Prefect's threads' locks.
    # Whoever started it waits for its end, which is quicker when it does not look for cycles first.
    spawning = get_context("spawn")
    return ProcessPoolExecutor(max_workers=1, mp_context=spawning, initializer=_leave_quickly)


def _leave_quickly() -> None:
    atexit.register(gc.freeze)


def _new_probe() -> subprocess.Popen[bytes]:
    # One thread, as a server that answers many callers at once gives each: and one row is not worth a second.
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tasks.probe"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=one_thread)  # noqa: S603
