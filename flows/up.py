"""Up and down: the local platform as one command."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flows.guard import as_json, guarded
from headgate.home import Home
from tasks.read import Site

if TYPE_CHECKING:
    from headgate.deployment import Deployment

PATIENCE = 60.0
"""Seconds that runs are given to end before the worker is stopped."""


@click.command()
@click.option("--detach", is_flag=True, help="Return when everything runs, and leave it in the background.")
@as_json
@click.pass_obj
@guarded
def up(site: Site, detach: bool, as_json: bool) -> int:
    """Run the local platform: Prefect with a worker, MLflow, and the deployments of all models.

    It starts what does not run yet, on this machine only, and prints the addresses. Each model is released when its
    policy's [schedule] says; the guard looks after all of them every minute. Ctrl-C ends all of it: runs are given a
    minute to end first. With --detach, or --json, it stays in the background until `headgate down`.
    """
    from flows.show import show_servers

    home = Home(site.home)
    show_servers(_started(home, _wanted(site, str(site.home))), as_json=as_json)
    return 0 if detach or as_json else _stay(home)


@click.command()
@as_json
@click.pass_obj
@guarded
def down(site: Site, as_json: bool) -> None:
    """Stop the local platform, the worker first: runs are given a minute to end."""
    from flows.show import show_servers

    show_servers(dict.fromkeys(_ended(Home(site.home)), "stopped"), as_json=as_json)


@click.command()
@click.pass_obj
@guarded
def deployments(site: Site) -> None:
    """Print the deployments of all models as prefect.yaml, for `prefect deploy --all` on a standing server.

    Paths in it are relative to the folder that holds expectations/, which must be the present one.
    """
    from tasks.deploy import as_yaml

    click.echo(as_yaml(_wanted(site, ".headgate", relative=True)), nl=False)


def _wanted(site: Site, home: str, *, relative: bool = False) -> tuple[Deployment, ...]:
    from headgate.deployment import deployments as listed
    from tasks.read import read_policy

    folders = {folder: read_policy(folder) for folder in site.folders()}
    return listed({str(_from_here(f) if relative else f): policy for f, policy in folders.items()}, home)


def _from_here(folder: Path) -> Path:
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder


def _started(home: Home, wanted: tuple[Deployment, ...]) -> dict[str, str]:
    from flows.run import point_to
    from tasks import serve

    servers = [serve.start(home, name) for name in ("prefect", "mlflow")]
    point_to(f"{serve.wait_for(home, servers[0])}/api")
    from tasks.deploy import deploy
    from tasks.reap import reap

    deploy(wanted, str(home.root))
    reap()
    servers.append(serve.start(home, "worker"))
    return {server.name: serve.wait_for(home, server) for server in servers}


def _stay(home: Home) -> int:
    from tasks import serve

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    code = 0
    try:
        click.echo("Ctrl-C ends it.", err=True)
        while left := [name for name in serve.NAMES if serve.running(home, name) is not None]:
            if len(left) < len(serve.NAMES):
                click.echo(f"only {', '.join(left)} still run; see the logs in {home.servers}", err=True)
                code = 3
                break
            time.sleep(1)
    except KeyboardInterrupt:
        pass
    for name in _ended(home):
        click.echo(f"{name} stopped", err=True)
    return code


def _ended(home: Home) -> list[str]:
    from flows.run import point_to
    from tasks import serve

    prefect = serve.running(home, "prefect")
    if prefect is None or serve.running(home, "worker") is None:
        return [server.name for server in serve.stop(home)]
    point_to(f"{prefect.url}/api")
    _drained(lambda text: click.echo(text, err=True))
    ended = serve.stop(home, "worker")
    _reaped()
    return [server.name for server in (*ended, *serve.stop(home))]


def _drained(say: Callable[[str], None]) -> None:
    from tasks.deploy import drain

    try:
        drain(PATIENCE, say)
    except KeyboardInterrupt:
        say("not waited for")
    except Exception as error:  # whatever the server answers, the worker is stopped
        say(f"runs could not be waited for: {type(error).__name__}")


def _reaped() -> None:
    from tasks.reap import reap

    with suppress(Exception):  # the next `headgate up` reaps again
        reap(timedelta(0))
