"""Serve: the local servers, started once in the background and kept for the next command."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import psutil
from pydantic import BaseModel, ConfigDict

from headgate.deployment import POOL
from headgate.errors import Unavailable
from headgate.home import Home
from tasks.connect import tracking_uri

_PREFERRED = {"prefect": 4200, "mlflow": 5000, "worker": 4280}
_HEALTH = {"prefect": "/api/health", "mlflow": "/health", "worker": "/health"}
_PROGRAM = {"prefect": "prefect.server.api.server:create_app", "mlflow": "mlflow", "worker": "worker"}
NAMES = tuple(_PREFERRED)
"""What can be started."""

_PATIENCE = 90.0
_started: list[subprocess.Popen[bytes]] = []  # Python warns of a process that nobody holds and that has not ended


class Server(BaseModel):
    """A server that was started in the background."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    pid: int
    port: int

    @property
    def url(self) -> str:
        """Its address on this machine."""
        return f"http://127.0.0.1:{self.port}"


def start(home: Home, name: str) -> Server:
    """The running server called `name`, one of `NAMES`, started if need be; it may not answer yet.

    Raises:
        Unavailable: a worker has no server to ask for work.
    """
    home.servers.mkdir(parents=True, exist_ok=True)
    with _locked(home.servers / f"{name}.lock"):
        return running(home, name) or _spawn(home, name)


def wait_for(home: Home, server: Server, patience: float = _PATIENCE) -> str:
    """The server's address, once it answers.

    Raises:
        Unavailable: it ended, or does not answer within `patience` seconds.
    """
    end = time.monotonic() + patience
    while time.monotonic() < end and _alive(server):
        if _answers(server):
            return server.url
        time.sleep(0.1)
    raise Unavailable(
        f"{server.name} server at {server.url}",
        got="no answer" if _alive(server) else "a process that ended",
        expected=f"an answer within {patience:.0f} s",
        next_step=f"read {_log(home, server.name)}, then `headgate down` and try again",
    )


def stop(home: Home, *names: str) -> list[Server]:
    """End these servers of this home, by default all, and return those that were running."""
    found = [server for name in names or NAMES if (server := running(home, name)) is not None]
    for server in found:
        _signal(server, signal.SIGTERM)
    for server in found:
        _await_end(server)
    for name in names or NAMES:
        _note(home, name).unlink(missing_ok=True)
    return found


def _await_end(server: Server) -> None:
    for _ in range(100):
        if not _alive(server):
            return
        time.sleep(0.1)
    _signal(server, signal.SIGKILL)


def _signal(server: Server, number: int) -> None:
    with suppress(ProcessLookupError):  # it may end by itself meanwhile
        os.killpg(server.pid, number)


def running(home: Home, name: str) -> Server | None:
    """The server called `name` of this home, if its process lives."""
    note = _note(home, name)
    try:
        server = Server.model_validate_json(note.read_text())
    except (FileNotFoundError, ValueError):
        return None  # no note, or half of one: whoever wrote it was killed
    return server if _alive(server) else None


def _spawn(home: Home, name: str) -> Server:
    port, claim = _free_port(_PREFERRED[name])
    command, extra = {"prefect": _prefect, "mlflow": _mlflow, "worker": _worker}[name](home, port)
    with claim, _log(home, name).open("ab") as log:
        process = subprocess.Popen(  # noqa: S603
            command,
            env={**os.environ, **extra},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=home.servers,
            pass_fds=(claim.fileno(),),
        )
    _started.append(process)
    server = Server(name=name, pid=process.pid, port=port)
    _note(home, name).write_text(json.dumps(server.model_dump()))
    return server


def _prefect(home: Home, port: int) -> tuple[list[str], dict[str, str]]:
    # What `prefect server start` runs in the end; started directly it saves one more import of Prefect.
    home.prefect.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "uvicorn", "--factory", "prefect.server.api.server:create_app"]
    settings = {
        "PREFECT_HOME": str(home.prefect),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_API_URL": "",
        "PREFECT_UI_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        "DO_NOT_TRACK": "1",
    }
    return [*command, "--host", "127.0.0.1", "--port", str(port), "--log-level", "warning"], settings


def _mlflow(home: Home, port: int) -> tuple[list[str], dict[str, str]]:
    home.mlflow.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    stores = ["--backend-store-uri", tracking_uri(home), "--default-artifact-root", str(home.mlflow / "artifacts")]
    return [*command, *stores], {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # seven more processes, for what is not used here
    }


def _worker(home: Home, port: int) -> tuple[list[str], dict[str, str]]:
    prefect = running(home, "prefect")
    if prefect is None:
        raise Unavailable("worker", got="no Prefect server", expected="one of this home", next_step="`headgate up`")
    # The port stands in its name, so that its command line tells it from other workers.
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL, "--type", "process"]
    settings = {
        "PREFECT_HOME": str(home.prefect),
        "PREFECT_API_URL": f"{prefect.url}/api",
        "PREFECT_WORKER_WEBSERVER_HOST": "127.0.0.1",
        "PREFECT_WORKER_WEBSERVER_PORT": str(port),
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        "DO_NOT_TRACK": "1",
    }
    return [*command, "--with-healthcheck", "--name", f"{POOL} {port}"], settings


def _alive(server: Server) -> bool:
    # A process id may have been given to another program since: its command line tells.
    try:
        if os.waitpid(server.pid, os.WNOHANG)[0] == server.pid:
            return False
    except ChildProcessError:
        pass
    return {str(server.port), _PROGRAM[server.name]} <= set(_command(server.pid))


def _command(pid: int) -> list[str]:
    # Linux shows an empty one for a moment after a program has begun, and where one ended and was not reaped.
    for _ in range(10):
        try:
            found = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").split()
        except OSError:
            return _ps(pid).split()
        if found:
            return found
        time.sleep(0.01)
    return []


def _ps(pid: int) -> str:
    if Path("/proc/self").exists():
        return ""
    found = subprocess.run(["ps", "-p", str(pid), "-o", "command="], capture_output=True, text=True, check=False)  # noqa: S603, S607
    return found.stdout


def _answers(server: Server) -> bool:
    # Whatever else took the port meanwhile may answer as well as ours would.
    try:
        if not _listens(server):
            return False
        with urllib.request.urlopen(server.url + _HEALTH[server.name], timeout=2) as response:  # noqa: S310
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError, psutil.Error):
        return False


def _listens(server: Server) -> bool:
    """Whether the port is held by this server's process, or by one that it has started."""
    top = psutil.Process(server.pid)
    family = (top, *top.children(recursive=True))
    return any(
        found.laddr.port == server.port
        for process in family
        for found in process.net_connections("inet")
        if found.status == psutil.CONN_LISTEN
    )


def _free_port(preferred: int) -> tuple[int, IO[str]]:
    for port in (preferred, 0):
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            found = int(probe.getsockname()[1])
            return found, _claim(found)
    raise Unavailable("port", got="none free", expected="a free port", next_step="close some programs")


def _claim(port: int) -> IO[str]:
    """A lock that the server inherits and keeps: until it listens, another home would find its port free."""
    name = Path(tempfile.gettempdir(), f"headgate-{os.getuid()}-{port}.lock")
    file = os.fdopen(os.open(name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600), "w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise
    return file


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _note(home: Home, name: str) -> Path:
    return home.servers / f"{name}.json"


def _log(home: Home, name: str) -> Path:
    return home.servers / f"{name}.log"
