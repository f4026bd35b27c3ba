"""Foresee: what the gates of a policy can decide with the rows at hand, before a candidate is there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from headgate.challenge import Challenges
from headgate.errors import BadInput
from headgate.ground import Basis, unscored
from headgate.policy import Policy
from headgate.power import foresee as plan
from headgate.prospect import Prospects
from headgate.records import Evaluated
from headgate.release import Release
from headgate.scheme import Scheme
from headgate.serving import ServingProfile
from headgate.slices import ALL, Column, as_tuple
from headgate.tally import Tally
from tasks.load import read_table
from tasks.predict import labels_of, slice_columns
from tasks.record import Desk

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Foresight:
    """What the gates can decide, and what that rests on.

    Attributes:
        rows: planned evaluation rows. origin: where the sizes of the groups come from, in words.
        release: the evaluated release whose tally says what to expect; None if there is none.
    """

    prospects: Prospects
    rows: int
    origin: str
    release: str | None


def foresee(home: Path, folder: Path, policy: Policy, rows: int | None = None) -> Foresight:
    """Plan the gates of a policy.

    Args:
        rows: evaluation rows to plan for, composed as those at hand; by default as many as there are. Where the
            evaluation table does not exist yet, as many as the policy demands, of unknown groups.

    Raises:
        BadInput: the evaluation table cannot be read, or lacks a column that the policy names.
    """
    sample, origin = _sample(folder, policy)
    planned = rows or sample.slices[ALL].rows
    basis = Basis(sample, factor=planned / max(sample.slices[ALL].rows, 1))
    desk, release = _last(home, policy)
    known = basis if desk is None or release is None else _with(basis, desk, release)
    return Foresight(plan(policy, known), planned, origin, release.id if release else None)


def _sample(folder: Path, policy: Policy) -> tuple[Tally, str]:
    path = folder / policy.data.evaluate
    if not path.exists():
        return _imagined(policy), f"{policy.data.evaluate} does not exist yet: as many rows as the policy demands"
    frame = read_table(path)
    _demand_columns(path, policy, list(map(str, frame.columns)))
    return _unscored(policy, labels_of(frame, policy), slice_columns(frame, policy.data)), policy.data.evaluate


def _imagined(policy: Policy) -> Tally:
    """As many rows as the policy demands, evenly of every class; nothing is known of groups."""
    n, classes = policy.data.min_rows, len(policy.data.classes or ("0", "1"))
    low, high = policy.data.range or (0.0, 0.0)
    labels = np.linspace(low, high, n) if policy.data.range else np.arange(n) % classes
    return _unscored(policy.model_copy(update={"data": policy.data.model_copy(update={"slices": ()})}), labels, {})


def _unscored(policy: Policy, labels: ArrayLike, columns: dict[str, Column]) -> Tally:
    return unscored(Scheme.of(policy, 2), labels, columns)


def _demand_columns(path: Path, policy: Policy, found: list[str]) -> None:
    data = policy.data
    named = {name for piece in data.slices for name in as_tuple(piece)}
    wanted = {data.bands[name].column if name in data.bands else name for name in named}
    if policy.model.task != "scored":
        wanted.add(data.label)
    if wanted - set(found):
        raise BadInput(
            f"table {path}",
            got=f"no column {sorted(wanted - set(found))}",
            expected="the label and every slice column of the policy",
            next_step="correct the table, or [data] in the policy",
        )


def _last(home: Path, policy: Policy) -> tuple[Desk | None, Release | None]:
    """The newest release of this home that was evaluated."""
    if not (home / "store" / "ledger" / policy.model.name).is_dir():
        return None, None
    desk = Desk(home, policy.model.name)
    evaluated = [release for release in desk.state().releases.values() if release.find(Evaluated) is not None]
    return desk, evaluated[-1] if evaluated else None


def _with(basis: Basis, desk: Desk, release: Release) -> Basis:
    """The basis with what that release measured."""
    record, evidence = release.step(Evaluated), desk.evidence
    last = Tally.from_bytes(evidence.get(record.tally))
    return replace(
        basis,
        last=last if _alike(last.scheme, basis.sample.scheme) else None,
        serving=ServingProfile.from_bytes(evidence.get(record.serving)) if record.serving else None,
        challenges=Challenges.from_bytes(evidence.get(record.challenges)) if record.challenges else None,
        name=release.id,
    )


def _alike(a: Scheme, b: Scheme) -> bool:
    """Whether two tallies mean the same by their metrics."""
    return replace(a, models=1, slices=()) == replace(b, models=1, slices=())
