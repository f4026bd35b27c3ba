"""Run: the release flow in this process, against the local Prefect server, which is started if need be."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headgate.home import Home
from tasks import serve, warm

if TYPE_CHECKING:
    from prefect import State

    from tasks.record import Case

_SETTINGS = {
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "ERROR",  # the run's page keeps the rest
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    # OpenMP's threads spin while they wait: on a busy machine that makes boosting many times slower.
    "OMP_WAIT_POLICY": "PASSIVE",
}


def prepare(home: Path) -> None:
    """Start the local Prefect server in the background, and point this process to it.

    Prefect reads its settings when it is imported, so this comes first. A server that the user has named is used as it
    is.
    """
    named = os.environ.get("PREFECT_API_URL")
    if named is None:
        os.environ.setdefault("PREFECT_HOME", str(Home(home).prefect))
    point_to(named or f"{serve.start(Home(home), 'prefect').url}/api")


def point_to(api: str) -> None:
    """Point this process, and those that it starts, to a Prefect server's API."""
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    os.environ["PREFECT_API_URL"] = api


def run_release(home: Path, folder: Path, requester: str, **given: str | None) -> str:
    """Run the release flow and return the release's name. `prepare` comes first.

    Args:
        given: `training`, `evaluation` or `resume` of `flows.release.release`.

    Raises:
        HeadgateError: what the flow raised. What was recorded until then stays, and the release can be resumed.
    """
    if given.get("resume") is None:
        warm.warm_up()
    from flows.release import release

    return str(_run(home, release, folder=str(folder), requester=requester, **given).message)


def run_promotion(case: Case, version: int, stage: str = "") -> tuple[str, ...]:
    """Run the promote flow, and return everything that forbids the promotion. `prepare` comes first.

    Args:
        stage: to reach; by default the next one.

    Raises:
        HeadgateError: what the flow raised.
    """
    from flows.promote import promote

    ended = _run(case.home, promote, version=version, stage=stage, folder=str(case.folder))
    return () if ended.is_completed() else tuple(str(ended.message).split("; "))


def _run(home: Path, flow: Any, **given: object) -> State[Any]:
    """How a flow ended that was run here; raises what it raised."""
    _await_server(Home(home))
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    # The heartbeat's thread is joined for a second at every flow's end, and can be turned off only here.
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        ended: State[Any] = flow(home=str(home), return_state=True, **given)
    if ended.name in ("Failed", "Crashed"):
        ended.result()
    return ended


def _await_server(home: Home) -> None:
    own = serve.running(home, "prefect")
    if own is not None and os.environ["PREFECT_API_URL"].startswith(own.url):
        serve.wait_for(home, own)
