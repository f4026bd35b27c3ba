"""Train: fit the candidate with scikit-learn, on rows that passed."""

from __future__ import annotations

import inspect
import time
from typing import TYPE_CHECKING, Any

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from headgate.errors import BadInput, HeadgateError
from headgate.markdown import table
from headgate.policy import Policy, Train
from headgate.records import Snapshot, Trained
from tasks.inventory import inventory
from tasks.load import frame_of, load_skops
from tasks.predict import features_of, named, predictions, taught
from tasks.record import Case, Desk

if TYPE_CHECKING:
    import pandas as pd


_TRIED = 5


@task(name="train", cache_policy=NO_CACHE)
def train(case: Case) -> None:
    """Fit the candidate that the policy describes, and keep its bytes as evidence."""
    desk = Desk(case.home, case.model)
    release = desk.release(case.release)
    policy = desk.policy(release)
    frame = frame_of(desk.home, release.step(Snapshot).training)
    features = features_of(frame, policy.data)
    begun = time.perf_counter()
    model = fit(policy, frame[list(features)], taught(frame, policy))
    seconds = round(time.perf_counter() - begun, 3)
    data, spelling = _bytes_of(model, policy.train)
    kept = {"estimator": desk.evidence.put(data), "environment": desk.evidence.put(inventory())}
    record = Trained(**kept, format=spelling, features=features, seconds=seconds)
    desk.write(case.release, record)
    create_markdown_artifact(key=case.artifact("train"), markdown=_shown(policy, record, len(frame)))


def fit(policy: Policy, frame: pd.DataFrame, labels: pd.Series) -> Any:
    """A fitted model: with `predict_proba` where the task has classes, else with `predict`.

    Raises:
        BadInput: the estimator or the entrypoint cannot be found, does not take the parameters or the rows, or does not
            give what the task needs.
    """
    how = policy.train
    name = str(how.entrypoint or how.estimator)
    maker = _maker(how, name)
    try:
        model = _called(maker, how, frame, labels) if how.entrypoint else _fitted(maker, how, frame, labels)
        _try_out(model, frame.head(_TRIED), name, policy)
    except HeadgateError:
        raise
    except Exception as error:
        raise _unusable(name, f"{type(error).__name__}: {error}") from error
    return model


def _try_out(model: Any, rows: pd.DataFrame, name: str, policy: Policy) -> None:
    try:
        predictions(model, rows, policy)
    except BadInput as error:
        raise _unusable(name, f"a model that gives {error.got}; expected {error.expected}") from error


def _maker(how: Train, name: str) -> Any:
    try:
        return named(name, ":" if how.entrypoint else ".")
    except BadInput as error:
        raise _unusable(name, error.got) from error


def _called(entrypoint: Any, how: Train, frame: pd.DataFrame, labels: pd.Series) -> Any:
    return entrypoint(frame, labels, dict(how.params), how.seed)


def _fitted(kind: Any, how: Train, frame: pd.DataFrame, labels: pd.Series) -> Any:
    from sklearn.pipeline import make_pipeline

    params: dict[str, Any] = dict(how.params)
    if "random_state" in inspect.signature(kind).parameters:
        params.setdefault("random_state", how.seed)
    return make_pipeline(_encoding(frame), kind(**params)).fit(frame, labels)


def _encoding(frame: pd.DataFrame) -> Any:
    # One-hot for what is not a number, so that every estimator can read it; an unseen category becomes all zeros.
    from sklearn.compose import make_column_transformer
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = [str(c) for c in frame.select_dtypes("number").columns]
    others = [str(c) for c in frame.columns if c not in numbers]
    one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    return make_column_transformer((one_hot, others), (StandardScaler(), numbers))


def _bytes_of(model: Any, how: Train) -> tuple[bytes, Any]:
    import skops.io

    try:
        data = skops.io.dumps(model)
        load_skops(data, how.trusted_types)  # what nobody could open later is refused now
        return data, "skops"
    except Exception as error:
        if how.unsafe_pickle:
            return _pickled(model), "cloudpickle"
        if isinstance(error, BadInput):
            raise
        raise _unusable(type(model).__name__, f"a model that skops cannot store: {error}") from error


def _pickled(model: Any) -> bytes:
    import cloudpickle

    data: bytes = cloudpickle.dumps(model)
    return data


def _unusable(what: str, got: str) -> BadInput:
    return BadInput(
        f"estimator {what}",
        got=got,
        expected="an importable estimator that skops can store, with predict_proba where the task has classes",
        next_step="correct [train] in the policy, or the rows",
    )


def _shown(policy: Policy, record: Trained, rows: int) -> str:
    facts = [
        ("estimator", policy.train.estimator or policy.train.entrypoint),
        ("parameters", dict(policy.train.params)),
        ("rows", f"{rows:,}"),
        ("features", ", ".join(record.features)),
        ("seconds", record.seconds),
        ("stored as", f"{record.format}, {record.estimator}"),
    ]
    return table(("what", "value"), facts)
