"""Calibrate: try the gates of a policy on a real table with a real model, and keep what they did as evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from headgate.batch import Batch
from headgate.calibration import Calibration
from headgate.contest import Contest, Progress
from headgate.entry import Digest
from headgate.errors import BadInput
from headgate.faults import World
from headgate.policy import Policy
from headgate.records import Evaluated, Registered, Trained
from headgate.rehearsal import rehearse
from headgate.release import Release
from headgate.serving import ServingProfile
from headgate.state import State
from tasks.keep import keep
from tasks.load import check_table, file_digest, opened, read_table
from tasks.predict import custom_scores, features_of, labels_of, predictions, slice_columns, taught
from tasks.read import read_policy
from tasks.record import Desk
from tasks.train import fit

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class _Made:
    """A model and what is known about it."""

    told: str
    version: int | None
    model: Any
    features: Sequence[str]
    serving: ServingProfile | None


def calibrate(
    home: Path,
    folder: Path,
    *,
    runs: int,
    seed: int,
    evaluation: Path | None = None,
    progress: Progress | None = None,
) -> Calibration:
    """Try the gates of the policy in `folder`, and keep the result. Nothing is recorded in the ledger or in MLflow.

    The model is the champion; where none is live, the candidate of the newest release that was evaluated; where there
    is none either, one that is fitted to the training table now, whose serving is not measured.

    Args:
        runs: resamples per world. seed: of all random numbers.
        evaluation: a table to use instead of the policy's.

    Raises:
        BadInput: the policy, the table or the model is not usable.
        Tampered: the model's files are not what was registered.
    """
    policy = read_policy(folder)
    desk = Desk.create(home, policy.model.name)
    digest, frame = _rows(evaluation or folder / policy.data.evaluate)
    made = _made(desk, folder, policy)
    world = World(_batch(frame, made, policy), made.serving)
    found = rehearse(Contest(policy, runs, seed, progress), world)
    calibration = Calibration(
        policy=policy.digest,
        evaluation=digest,
        made=made.told,
        version=made.version,
        rows=len(frame),
        runs=runs,
        seed=seed,
        alpha=policy.confidence.alpha,
        trials=found.trials,
        silences=found.silences,
        notes=found.notes,
    )
    keep(desk, calibration)
    return calibration


def _rows(path: Path) -> tuple[Digest, pd.DataFrame]:
    check_table(path)
    before, frame, after = file_digest(path), read_table(path), file_digest(path)
    if before != after:
        raise BadInput(
            f"table {path}",
            got="bytes that change while they are read",
            expected="a table that nobody writes",
            next_step="calibrate again when it is complete",
        )
    return before, frame


def _batch(frame: pd.DataFrame, made: _Made, policy: Policy) -> Batch:
    missing = sorted({*made.features, policy.data.label} - set(map(str, frame.columns)))
    if missing:
        raise BadInput(
            "the evaluation table",
            got=f"no column {', '.join(missing)}",
            expected=f"the columns that {made.told} reads, and the label",
            next_step="give the table that belongs to the model, or release a model for this one",
        )
    said = predictions(made.model, frame[list(made.features)], policy)
    labels = np.asarray(labels_of(frame, policy), dtype=np.float64)
    return Batch(labels, [said], slice_columns(frame, policy.data), custom_scores(frame, [said], policy))


def _made(desk: Desk, folder: Path, policy: Policy) -> _Made:
    state = desk.state()
    live = state.aliases.get(policy.alias)
    release = None if live is None else state.maker(live)
    if release is not None:
        return _released(desk, release, "the champion")
    newest = _newest(state)
    return _fresh(folder, policy) if newest is None else _released(desk, newest, "the newest evaluated candidate")


def _newest(state: State) -> Release | None:
    return next((r for r in reversed(list(state.releases.values())) if r.find(Evaluated) is not None), None)


def _released(desk: Desk, release: Release, role: str) -> _Made:
    registered, served = release.step(Registered), release.step(Evaluated).serving
    return _Made(
        told=f"{role}, version {registered.version} of {release.id}",
        version=registered.version,
        model=opened(desk, registered, desk.policy(release)),
        features=release.step(Trained).features,
        serving=None if served is None else ServingProfile.from_bytes(desk.evidence.get(served)),
    )


def _fresh(folder: Path, policy: Policy) -> _Made:
    frame = read_table(folder / policy.data.train)
    features = features_of(frame, policy.data)
    model = fit(policy, frame[list(features)], taught(frame, policy))
    return _Made("a model fitted for this", None, model, features, None)
