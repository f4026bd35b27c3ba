"""Databases as the first start of a server leaves them: made once, since their migrations outlast most tests."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

_MADE_BY = {
    "mlflow": "import mlflow, sys; mlflow.MlflowClient(f'sqlite:///{sys.argv[1]}/mlflow.db').search_experiments()",
    "prefect": "import sys; from prefect.cli import app; sys.argv[1:] = ['server', 'database', 'upgrade', '-y']; app()",
}


def database(home: Path, name: str) -> None:
    """Put the empty database of `mlflow` or `prefect` into a home, unless it has one."""
    folder = home / name
    if folder.exists():
        return
    folder.mkdir(parents=True)
    shutil.copyfile(_template(name), folder / f"{name}.db")


def _template(name: str) -> Path:
    place = Path(tempfile.gettempdir(), f"headgate-tests-{os.getuid()}", f"{name}-{version(name)}")
    place.parent.mkdir(mode=0o700, exist_ok=True)
    with place.with_name(f"{place.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "done").exists():
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            _make(name, place)
            (place / "done").touch()
    return place / f"{name}.db"


def _make(name: str, place: Path) -> None:
    settings = {"PREFECT_HOME": str(place), "DO_NOT_TRACK": "true", "MLFLOW_LOGGING_LEVEL": "WARNING"}
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "MLFLOW_"))}
    command = [sys.executable, "-c", _MADE_BY[name], str(place)]
    subprocess.run(command, env={**kept, **settings}, cwd=place, check=True, capture_output=True)
