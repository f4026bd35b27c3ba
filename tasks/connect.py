"""Connect: where MLflow is, and how long to wait for it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from headgate.address import bare, origin_of
from headgate.errors import HeadgateError, Unavailable
from headgate.home import Home

if TYPE_CHECKING:
    from mlflow import MlflowClient

# By default MLflow waits 4 to 20 minutes for a server that is gone. Set before its import; a user's own value wins.
_PATIENCE = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "DO_NOT_TRACK": "true",
}

CHECKPOINT = "headgate.checkpoint"
"""The tag of a version that holds the ledger's signed checkpoint, as it was when the version was published last."""

# By its words: the codes are those of any bad argument, and of any page that a wrong address does not have.
_NO_ALIAS = re.compile(r"Registered model alias \S+ not found|Registered Model with name=\S+ not found")

# Read once: MLflow writes the address that it is given into the same variable, and the next home would inherit it.
_NAMED = os.environ.get("MLFLOW_TRACKING_URI")


def tracking_uri(home: Home) -> str:
    """The address of MLflow: `MLFLOW_TRACKING_URI` as it was at the start, else a SQLite file below the home."""
    return _NAMED or f"sqlite:///{home.mlflow / 'mlflow.db'}"


def client(home: Home) -> MlflowClient:
    """A client of the registry, also set as the process's default.

    Raises:
        Unavailable: MLflow does not answer.
    """
    for name, value in _PATIENCE.items():
        os.environ.setdefault(name, value)
    uri = tracking_uri(home)
    if uri.startswith("sqlite"):
        home.mlflow.mkdir(parents=True, exist_ok=True)
    import mlflow

    mlflow.set_tracking_uri(uri)
    with asking(uri):
        return mlflow.MlflowClient(uri)


def declared(home: Home) -> frozenset[str]:
    """The origins of the servers that were named to this process: MLflow's, and Prefect's."""
    named = (bare(url) for url in (tracking_uri(home), os.environ.get("PREFECT_API_URL", "")))
    return frozenset(origin for url in named if url is not None and (origin := origin_of(url)) is not None)


@contextmanager
def asking(subject: str) -> Iterator[None]:
    """While MLflow is asked: whatever it raises becomes `Unavailable`."""
    try:
        yield
    except HeadgateError:
        raise
    except Exception as error:
        raise unavailable(subject, error) from error


def alias_version(registry: MlflowClient, model: str, alias: str) -> int | None:
    """The version that an alias points to, or None if there is no such alias or model.

    Raises:
        Unavailable: MLflow answers with anything else, so that silence is never taken for "no alias".
    """
    from mlflow.exceptions import MlflowException

    with asking(f"alias '{alias}' of {model}"):
        try:
            return int(registry.get_model_version_by_alias(model, alias).version)
        except MlflowException as error:
            if _NO_ALIAS.search(str(error)):
                return None
            raise


def checkpoints(registry: MlflowClient, model: str, origin: str) -> dict[str, bytes]:
    """The checkpoints of a ledger that the newest hundred versions of a model show, by where they stand.

    Raises:
        Unavailable: MLflow does not answer.
    """
    with asking(f"versions of {model}"):
        newest = registry.search_model_versions(f"name='{model}'", 100, ["version_number DESC"])
    told = {f"{CHECKPOINT} of version {v.version} in MLflow": v.tags.get(CHECKPOINT, "") for v in newest}
    # Another home's ledger of a model of this name may be shown in the same registry.
    return {place: note.encode() for place, note in told.items() if note.startswith(f"{origin}\n")}


def unavailable(subject: str, error: Exception) -> HeadgateError:
    """The error for an MLflow that fails."""
    return Unavailable(
        f"MLflow, {subject}",
        got=f"{type(error).__name__}: {error}",
        expected="an answer",
        next_step="check that the server runs (`headgate up`, or MLFLOW_TRACKING_URI), then repeat the command",
    )
