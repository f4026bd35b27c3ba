"""Gather: what was asked of a version, what it answered and what became of it, counted hour by hour.

No row leaves this file: profiles and tallies do.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import reduce
from itertools import groupby
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from headgate.batch import Batch
from headgate.cells import of_numbers, of_texts
from headgate.entry import moment, spelled
from headgate.errors import HeadgateError, Unavailable
from headgate.flags import NOBODY
from headgate.mandate import Mandate
from headgate.members import Seen
from headgate.policy import Policy
from headgate.profile import SCORE, Distribution, Profile, Reference, merge, profile
from headgate.records import Registered, Snapshot, Table
from headgate.release import Release
from headgate.scheme import Scheme
from headgate.stewardship import Check
from headgate.tally import count
from headgate.telemetry import Line, Outcome, Served
from tasks import overhear
from tasks.column import kind_of
from tasks.load import frame_of, opened
from tasks.predict import custom_scores, labels_of, predictions, slice_columns
from tasks.record import Desk
from tasks.steady import steady
from tasks.stream import types_in

if TYPE_CHECKING:
    import pandas as pd

L = TypeVar("L", bound=Line)
Label = bool | int | float | str


def reference_of(desk: Desk, known: Mandate, release: Release) -> Reference:
    """What requests are compared with: the columns that checks name, and what the version says about the same rows.

    A column that no request carries, or that holds times, is left out: its check cannot be made, and says so.

    Raises:
        Tampered: the snapshot or the model is not what was pinned.
        Unavailable, BadInput: as `tasks.load.opened`.
    """
    rows = release.step(Snapshot).evaluation
    frame = frame_of(desk.home, rows)
    wanted = {column for check in known.checks if check.watches == "inputs" for column in check.of}
    carried = [c for c in known.monitoring.features if c in wanted and kind_of(frame[c]) != "time"]
    scores = _scores(desk, known, release, frame) if any(c.watches == "scores" for c in known.checks) else {}
    return Reference(
        version=known.version,
        evaluation=rows.digest,
        rows=len(frame),
        inputs={c: _spread(_plain(frame[c]), kind_of(frame[c]) == "number") for c in carried},
        scores={name: _spread(said.tolist(), number=True) for name, said in scores.items()},
    )


def _scores(desk: Desk, known: Mandate, release: Release, frame: pd.DataFrame) -> dict[str, Any]:
    model = opened(desk, release.step(Registered), known.policy)
    with steady():
        said = predictions(model, frame[list(known.monitoring.features)], known.policy)
    if said.ndim == 1:
        return {SCORE: said}
    return {f"{SCORE} of {name}": said[:, place] for place, name in enumerate(known.policy.data.classes or ())}


def _spread(values: Sequence[object], number: bool) -> Distribution:
    cells = of_numbers(values) if number else of_texts(values)
    return Distribution(cells=cells, counts=cells.counts(values))


def _plain(column: pd.Series) -> list[object]:
    found: list[object] = column.astype(object).where(column.notna(), None).tolist()
    return found


@dataclass(frozen=True)
class Window:
    """Which requests of which version: those after `since` and up to `until`; outcomes are those known by `now`.

    Attributes:
        stages: of the rollout, that are the version's: what nobody answered there is the version's too, once it is
            in use, which it is since `used`.
    """

    version: int
    stages: frozenset[str]
    since: datetime
    until: datetime
    now: datetime
    used: datetime


def window_of(known: Mandate, aliases: Collection[str], check: Check, *, used: str, now: str) -> Window:
    """The window of a check at a time. `headgate.mandate.Mandate.delay` says when it ends.

    Args:
        aliases: those that point to the version. What nobody serves is asked of the last one. used: since when they do.
    """
    names = {stage.name for stage in known.policy.rollout.stage if stage.alias in aliases}
    names |= {NOBODY} if known.policy.alias in aliases else set()
    until = moment(now) - timedelta(days=known.delay(check))
    since = until - timedelta(hours=check.window_hours)
    return Window(known.version, frozenset(names), since, until, moment(now), moment(used))


def seen(desk: Desk, known: Mandate, reference: Reference, check: Check, window: Window) -> Seen:
    """What there is for one check; what could not be read or counted is its `lack`, and no exception."""
    try:
        if check.watches == "performance":
            return _performance(desk, known, reference, check, window)
        return Seen(_summed(_hour(reference, window, hour) for hour in _hours(desk, window)))
    except HeadgateError as error:
        return Seen(lack=f"{error.subject}: {error.got}")
    except Exception as error:  # whatever a custom score or a stray value causes was no measurement
        return Seen(lack=type(error).__name__)


@dataclass(frozen=True)
class Hour:
    """The requests of one hour of a window, each id once, how many came twice, and how many lines are no such line."""

    lines: list[Served]
    torn: int
    repeated: int


def _hour(reference: Reference, window: Window, hour: Hour, labelled: int | None = None) -> Profile:
    since, until = spelled(window.since), spelled(window.until)
    return profile(reference, since, until, hour.lines, torn=hour.torn, repeated=hour.repeated, labelled=labelled)


def _summed(parts: Iterator[Profile]) -> Profile:
    return reduce(merge, parts)


def _hours(desk: Desk, window: Window) -> Iterator[Hour]:
    known: set[str] = set()
    for lines, torn in _lines(desk, Served, window.since, window.until):
        ours = [line for line in lines if _is_ours(line, window)]
        fresh = {line.id: line for line in reversed(ours) if line.id not in known}
        known |= fresh.keys()
        yield Hour([*fresh.values()][::-1], torn, len(ours) - len(fresh))


def _is_ours(line: Served, window: Window) -> bool:
    unanswered = line.version == 0 and line.stage in window.stages and moment(line.time) >= window.used
    return line.version == window.version or unanswered


def _lines(desk: Desk, kind: type[L], since: datetime, until: datetime) -> Iterator[tuple[list[L], int]]:
    """The lines of each hour, and how many of it could not be read.

    Raises:
        Unavailable: there is no telemetry of the model at all, or a file cannot be read.
    """
    place = desk.home.telemetry / desk.model
    if not place.is_dir():
        raise Unavailable(
            f"telemetry of {desk.model}", got="none", expected="a folder", next_step="see that the router writes it"
        )
    yield [], 0  # an hour of which there is no file is one in which nothing was asked
    last = f"{until.astimezone(UTC):%Y-%m-%dT%H}"
    paths = overhear.files(desk.home, desk.model, kind, spelled(since))
    for hour, of_it in groupby(paths, lambda path: path.parent.name):
        if hour <= last:
            found = [one for path in of_it for one in overhear.lines(path, kind)]
            yield [one for one in found if one is not None and since < moment(one.time) <= until], found.count(None)


def _performance(desk: Desk, known: Mandate, reference: Reference, check: Check, window: Window) -> Seen:
    policy = _narrowed(known.policy, check)
    labels = _labels(desk, window)
    types, parts = types_in(desk.home, _evaluation(desk, known)), []

    def batches() -> Iterator[Batch]:
        for hour in _hours(desk, window):
            told = [line for line in hour.lines if line.failure is None and line.id in labels]
            parts.append(_hour(reference, window, hour, labelled=len(told)))
            if told:
                yield _batch(policy, told, [labels[line.id] for line in told], types)

    given = batches()
    first = next(given, None)
    if first is None:
        return Seen(_summed(iter(parts)))
    tally = count(Scheme.of(policy, 1), (batch for some in ((first,), given) for batch in some))
    return Seen(_summed(iter(parts)), tally)


def _labels(desk: Desk, window: Window) -> dict[str, Label]:
    """The newest outcome of each request."""
    found = [line for lines, _ in _lines(desk, Outcome, window.since, window.now) for line in lines]
    return {line.id: line.label for line in sorted(found, key=lambda line: moment(line.time))}


def _narrowed(policy: Policy, check: Check) -> Policy:
    """The policy with only those slices and metrics of one's own that a check asks for."""
    data = policy.data.model_copy(update={"slices": check.slices or ()})
    return policy.model_copy(
        update={"data": data, "metric": tuple(own for own in policy.metric if own.name in check.of)}
    )


def _evaluation(desk: Desk, known: Mandate) -> Table:
    return desk.release(known.release).step(Snapshot).evaluation


def _batch(policy: Policy, lines: Sequence[Served], labels: Sequence[Label], types: Mapping[str, Any]) -> Batch:
    import pandas as pd

    frame = pd.DataFrame([{**line.inputs} for line in lines])
    for name in frame.columns:
        frame[name] = _typed(frame[name], types.get(name))
    numbers = policy.model.task != "multiclass"
    spelled = pd.Series([_number(label) for label in labels] if numbers else list(labels), index=frame.index)
    frame[policy.data.label] = spelled if numbers else _typed(spelled, types.get(policy.data.label))
    said = [_said(policy, lines)]
    return Batch(labels_of(frame, policy), said, slice_columns(frame, policy.data), custom_scores(frame, said, policy))


def _typed(column: pd.Series, dtype: Any) -> pd.Series:
    """A column as the evaluation table has it, so that groups are spelled alike; as it came, if it does not fit."""
    nullable = {"i": "Int64", "u": "UInt64", "b": "boolean"}.get(getattr(dtype, "kind", ""), dtype)
    for kind in (dtype, nullable) if dtype is not None and dtype != "category" else ():
        try:
            return column.astype(kind)
        except (TypeError, ValueError):
            continue
    return column


def _number(label: Label) -> float:
    return float("nan") if isinstance(label, str) else float(label)


def _said(policy: Policy, lines: Sequence[Served]) -> Any:
    """The scores as predictions; NaN, and so an invalid row, where their number is not that of the task."""
    wide = len(policy.data.classes or ()) if policy.model.task == "multiclass" else 1
    none = (float("nan"),) * wide
    said = np.array([line.scores if len(line.scores) == wide else none for line in lines], dtype=np.float64)
    return said if policy.model.task == "multiclass" else said[:, 0]
