"""Processes that kill themselves with SIGKILL before their n-th write, and leave behind what a crash leaves."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterable
from multiprocessing.connection import Connection
from random import Random
from typing import Any

import pytest

NEVER = sys.maxsize
SEED = 20261125
_REGISTRY = (
    *("create_experiment", "create_run", "log_batch", "log_inputs", "log_text", "log_artifacts", "set_tag"),
    *("set_terminated", "create_registered_model", "create_model_version", "update_registered_model"),
    *("update_model_version", "set_model_version_tag", "set_registered_model_alias", "delete_registered_model_alias"),
)
# Forked from a process that has imported what takes long, and that no test has changed.
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["mlflow", "tasks.promote", "tasks.rollback", "tasks.guard", "stage"])


def die_before(moment: int) -> Callable[[], int]:
    """Kill this process, and all that it has started, before its `moment`-th write; how many there have been.

    A write is a link in the store, which makes an entry or evidence appear, or a call of MLflow that changes something.
    Each call is also a moment when it returns: between it and the next link lies its record.
    """
    import mlflow

    written = itertools.count()
    reached = [0]

    def tick() -> None:
        reached[0] = next(written)
        if reached[0] == moment:
            os.killpg(0, signal.SIGKILL)

    sys.addaudithook(lambda event, _: tick() if event == "os.link" else None)
    for name in _REGISTRY:
        setattr(mlflow.MlflowClient, name, _between(tick, getattr(mlflow.MlflowClient, name)))
    return lambda: reached[0] + 1


def _between(tick: Callable[[], None], call: Callable[..., Any]) -> Callable[..., Any]:
    def ticking(*args: Any, **kwargs: Any) -> Any:
        tick()
        result = call(*args, **kwargs)
        tick()
        return result

    return ticking


def killed(moment: int, act: Callable[..., object], *given: object) -> int | None:
    """Do something in a process that dies at a moment; None if it did, or else how many moments it lived through."""
    told, tell = _FORKS.Pipe(duplex=False)
    process = _FORKS.Process(target=_doomed, args=(tell, moment, act, given))
    # MLflow has written the address of an earlier test's home into this process: the server must begin without it.
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        process.start()
    tell.close()
    process.join(timeout=120)
    assert process.exitcode in (0, -signal.SIGKILL), f"{act.__name__} ended with {process.exitcode}"
    return int(told.recv()) if process.exitcode == 0 else None


def moments(count: int, sample: int) -> Iterable[int]:
    """Some moments of so many, always the same."""
    return sorted(Random(SEED).sample(range(count), min(sample, count)))  # noqa: S311


def _doomed(tell: Connection, moment: int, act: Callable[..., object], given: tuple[object, ...]) -> None:
    from stage import recorded

    os.setsid()
    recorded(pytest.MonkeyPatch())
    count = die_before(moment)
    act(*given)
    tell.send(count())


def main() -> None:
    """Run the command line, in a process group of its own: `python -m deadly MOMENT release MODEL ...`."""
    import atexit

    from flows.cli import main as headgate

    count = die_before(int(sys.argv.pop(1)))
    atexit.register(lambda: print(f"{count()} moments", file=sys.stderr))  # noqa: T201
    headgate()


if __name__ == "__main__":
    main()
