"""Tally: what the models say about the evaluation rows, counted batch by batch, and partition by partition.

A partition is a run of whole batches, counted by one Prefect task run wherever the flow's task runner puts it; what it
hands back is the digest of its tally. Parts add up to the same bytes however the rows were cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from headgate.batch import Batch
from headgate.entry import Digest
from headgate.errors import BadInput, Tampered
from headgate.home import Home
from headgate.policy import Policy
from headgate.records import Registered, Table
from headgate.scheme import Scheme
from headgate.slices import ALL, MAX_GROUPS, as_tuple, groups_of
from headgate.tally import Tally, count, merge
from tasks.load import opened, verified_once
from tasks.predict import custom_scores, labels_of, predictions, slice_columns
from tasks.record import Desk
from tasks.steady import steady
from tasks.stream import BATCH, Types, batches_of, rows_of, types_of

if TYPE_CHECKING:
    import pandas as pd

PART = 4 * BATCH
"""Rows of a partition: some seconds of work, of which opening models and handing over is little."""


@dataclass(frozen=True)
class Made:
    """A registered model, and the columns that it reads."""

    registered: Registered
    features: tuple[str, ...]


@dataclass(frozen=True)
class Scoring:
    """What is to be counted: references and core values, which travel to any process that shares the home.

    Attributes:
        rows: the snapshot. models: the candidate, then the champion if there is one.
        types: of the columns: see `tasks.stream.types_of`.
    """

    home: Path
    policy: Policy
    rows: Table
    models: tuple[Made, ...]
    types: Types = field(default_factory=dict)


def tallied(scoring: Scoring) -> Tally:
    """The tally of all rows of the snapshot. A small table, or a CSV file, is one partition, counted here and now.

    Raises:
        Tampered: the snapshot or a model is not what was pinned, or some rows were not counted.
        BadInput: a model, a column or a custom score is not what the policy says.
    """
    path, rows = _snapshot(scoring), scoring.rows.rows
    _demand(rows_of(path, scoring.rows), rows)
    scoring = replace(scoring, types=types_of(path))
    if rows <= PART or scoring.rows.suffix == ".csv":
        return counted(scoring, 0, rows)
    parts = [tally.submit(scoring, first, min(first + PART, rows)) for first in range(0, rows, PART)]
    evidence = _desk(scoring).evidence
    return _whole(reduce(merged, (Tally.from_bytes(evidence.get(part.result())) for part in parts)), rows)


@task(name="tally", cache_policy=NO_CACHE, task_run_name="tally of the rows from {first:,} to before {last:,}")
def tally(scoring: Scoring, first: int, last: int) -> Digest:
    """Count one partition, and store its tally as evidence."""
    return _desk(scoring).evidence.put(counted(scoring, first, last).to_bytes())


def counted(scoring: Scoring, first: int, last: int) -> Tally:
    """The tally of the rows from `first`, a multiple of `BATCH`, to before `last`.

    Raises:
        Tampered, BadInput: as `tallied`.
    """
    path, scheme = _snapshot(scoring), Scheme.of(scoring.policy, len(scoring.models))
    models = [opened(_desk(scoring), made.registered, scoring.policy) for made in scoring.models]
    with steady():
        batches = batches_of(path, scoring.types, _columns(scoring), first, last)
        return _whole(count(scheme, (_batch(scoring, models, frame) for frame in batches)), last - first)


def merged(a: Tally, b: Tally) -> Tally:
    """The tally of the rows of two partitions.

    Raises:
        BadInput: together they have more groups than a slice may.
    """
    return _grouped(merge(a, b))


def _batch(scoring: Scoring, models: Sequence[Any], frame: pd.DataFrame) -> Batch:
    policy = scoring.policy
    pairs = zip(models, scoring.models, strict=True)
    said = [predictions(model, frame[list(made.features)], policy) for model, made in pairs]
    return Batch(labels_of(frame, policy), said, slice_columns(frame, policy.data), custom_scores(frame, said, policy))


def _columns(scoring: Scoring) -> tuple[str, ...]:
    """What must be read; nothing stands for all: a custom score may look at any column."""
    policy, data = scoring.policy, scoring.policy.data
    if policy.score or policy.metric:
        return ()
    slices = {name for piece in data.slices for name in as_tuple(piece)}
    sliced = {data.bands[name].column if name in data.bands else name for name in slices}
    return tuple(sorted({data.label, *sliced, *(name for made in scoring.models for name in made.features)}))


def _whole(found: Tally, rows: int) -> Tally:
    _demand(found.slices[ALL].rows, rows)
    return _grouped(found)


def _demand(got: int, rows: int) -> None:
    if got != rows:
        raise Tampered(
            "the tally of the evaluation rows",
            got=f"{got:,} rows",
            expected=f"the {rows:,} of the snapshot: not one may be lost",
            next_step="restore the snapshot from its origin or a backup, or start a new release",
        )


def _grouped(found: Tally) -> Tally:
    # A batch is refused by itself; here those that stay below the limit each, and not together.
    for columns in found.scheme.slices:
        if (groups := len(groups_of(columns, found.labels))) > MAX_GROUPS:
            raise BadInput(
                f"the slice {' & '.join(columns)!r}",
                got=f"{groups} groups",
                expected=f"at most {MAX_GROUPS} groups",
                next_step="correct [data] slices or bands in the policy",
            )
    return found


def _snapshot(scoring: Scoring) -> Path:
    return verified_once(Home(scoring.home), scoring.rows)


def _desk(scoring: Scoring) -> Desk:
    return Desk(scoring.home, scoring.policy.model.name)
