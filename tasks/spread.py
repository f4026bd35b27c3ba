"""Spread: who counts the partitions of a table: threads of this process, or the workers of a Dask cluster.

`HEADGATE_DASK` names the address of a scheduler. Rows and models are not sent to its workers, but where they lie: every
worker must see the same HEADGATE_HOME under the same path, reach the same Prefect and MLflow servers, and have the same
packages installed.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from headgate.errors import HeadgateError, Unavailable
from headgate.home import Home

DASK = "HEADGATE_DASK"
_PATIENCE = "10 s"


def runner() -> TaskRunner[Any]:
    """The flow's task runner. It connects to nothing before a table has several partitions."""
    if not _scheduler() or find_spec("prefect_dask") is None:
        return ThreadPoolTaskRunner(max_workers=os.cpu_count())
    from prefect_dask.task_runners import DaskTaskRunner

    return DaskTaskRunner(address=_scheduler())


def reach(home: Path) -> None:
    """Make sure that the cluster that was named can count, before anything is done that it is needed for.

    Raises:
        Unavailable: prefect-dask is not installed, no scheduler answers, it has no worker, or a worker lacks the
            packages or does not see the home.
    """
    address = _scheduler()
    if not address:
        return
    if find_spec("prefect_dask") is None:
        raise _unavailable(address, "no package prefect-dask", "run `pip install 'headgate[dask]'`")
    try:
        blind = _blind(address, home)
    except Exception as error:  # whatever it is, nothing would be counted
        raise _unavailable(address, f"{type(error).__name__}: {error}", "start scheduler and workers") from error
    if blind:
        got = f"workers that do not see {home}: {', '.join(blind)}"
        raise _unavailable(address, got, "mount it where they run")


def _blind(address: str, home: Path) -> list[str]:
    """The workers that do not see the home. Raises anything where there is no cluster, no worker or no package."""
    from distributed import Client

    with Client(address, timeout=_PATIENCE, set_as_default=False) as client:  # type: ignore[no-untyped-call]
        client.get_versions(check=True)
        seen = client.run(_sees, home)
    if not seen:
        raise LookupError("no worker")
    return [worker for worker, sees in seen.items() if not sees]


def _sees(home: Path) -> bool:
    # The folder alone may be there and empty, where nothing is mounted.
    return Home(home).pipeline_key.exists()


def _scheduler() -> str | None:
    return os.environ.get(DASK) or None


def _unavailable(address: str, got: str, next_step: str) -> HeadgateError:
    return Unavailable(
        f"the Dask cluster at {address}, which {DASK} names",
        got=got,
        expected="a scheduler with workers that have the same packages and see the same HEADGATE_HOME",
        next_step=f"{next_step}, or unset {DASK}; then repeat the command",
    )
