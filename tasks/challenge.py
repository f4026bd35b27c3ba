"""Challenge: ask a fitted model about the rows of its scenarios, altered and attacked, and count what it does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from headgate import alteration
from headgate.alteration import Chance, Floats, Ints, Mask
from headgate.challenge import SHOWN, Challenges, Result, Search
from headgate.errors import BadInput
from headgate.scenario_file import misfits, refused
from headgate.scenarios import MAX_ALTERNATIVES, MAX_ROWS, Attack, Case, Counterfactual, Monotone, Scenarios
from tasks.alter import holds, kind_of, meets, put, table_of
from tasks.answer import Answers, Model, Predict
from tasks.attack import attacked
from tasks.disturb import disturbed

if TYPE_CHECKING:
    import pandas as pd

Progress = Callable[[str, int, int], None]
"""(name of the scenario that is done, how many are done, of how many)."""

QUARTILES = (0.0, 0.25, 0.5, 0.75, 1.0)


def challenge(
    predict: Predict,
    frame: pd.DataFrame,
    labels: ArrayLike,
    ids: ArrayLike,
    scenarios: Scenarios,
    seed: int,
    threshold: float | None,
    progress: Progress | None = None,
) -> Challenges:
    """What a model does with its scenarios; the same for the same seed and rows.

    Args:
        predict: called with rows of `frame`'s columns; gives the score of label 1, or a number, of each.
        frame: the evaluation rows; its columns are those that a model may learn from, whether this one reads them or
            not.
        labels: shape (rows,); of a binary task 0 and 1.
        ids: shape (rows,), whole numbers without repetition: each row's position in the evaluation snapshot, by which
            failed rows are named.
        threshold: a score of at least this is the decision 1, and every score lies in [0, 1]; None for a model that
            makes no decisions.

    Raises:
        BadInput: the rows, labels and ids do not belong together, or the scenarios cannot be asked of these columns.
    """
    table = _Table(Model(predict, threshold), frame, *_arrays(frame, labels, ids), seed)
    _demand_fit(scenarios, frame, decides=threshold is not None)
    total = len(scenarios.case) + sum(1 for _ in scenarios.sampled())
    results: list[Result] = []
    for result in _results(table, scenarios):
        results.append(result)
        if progress is not None:
            progress(result.name, len(results), total)
    return Challenges(
        scenarios=scenarios.digest, seed=seed, threshold=threshold, rows=len(frame), results=tuple(results)
    )


@dataclass(frozen=True, eq=False)
class _Table:
    """The model and the rows that it is asked about."""

    model: Model
    frame: pd.DataFrame
    labels: Any
    ids: Ints
    seed: int


@dataclass(frozen=True, eq=False)
class _Outcome:
    """What came of some rows; each mask has the shape (rows,)."""

    failed: Mask
    erred: Mask
    same: Mask
    refused: Mask
    raised: tuple[str, ...] = ()
    unable: int = 0
    search: Search | None = None


def _results(table: _Table, scenarios: Scenarios) -> Iterator[Result]:
    yield from _cases(table, scenarios)
    yield from (_sampled(table, item) for _, item in scenarios.sampled())


def _cases(table: _Table, scenarios: Scenarios) -> Iterator[Result]:
    if not scenarios.case:
        return
    said = table.model.ask(table_of(table.frame, [scenarios.inputs(case) for case in scenarios.case]), each=True)
    scores = {case.name: float(score) for case, score in zip(scenarios.case, said.scores, strict=True)}
    for case in scenarios.case:
        yield _case(case, scores, table.model.threshold, said.raised)


def _case(case: Case, scores: dict[str, float], threshold: float | None, raised: Sequence[str]) -> Result:
    score, other = scores[case.name], scores.get(case.expect.less_than or case.name, np.nan)
    error = bool(np.isnan(score) or np.isnan(other))
    against = f", that of '{case.expect.less_than}' is {other:.4g}" if case.expect.less_than else ""
    return Result(
        name=case.name,
        kind="case",
        why=case.why,
        asked_by=case.asked_by,
        trials=int(not error),
        failures=int(not error and not _as_expected(case, score, other, threshold)),
        errors=int(error),
        allowed=0.0,
        found=_trouble(raised, 0) or "no score" if error else f"its score is {score:.4g}{against}",
    )


def _as_expected(case: Case, score: float, other: float, threshold: float | None) -> bool:
    expect = case.expect
    if expect.decision is not None:
        return threshold is not None and (score >= threshold) == bool(expect.decision)
    if expect.less_than is not None:
        return score < other
    return (expect.min is None or score >= expect.min) and (expect.max is None or score <= expect.max)


def _sampled(table: _Table, item: Any) -> Result:
    chance = alteration.chance_of(table.seed, item.name)
    places = _places(table, item, chance)
    base = table.frame.iloc[places].reset_index(drop=True)
    before = table.model.ask(base)
    if isinstance(item, Attack):
        came = _attack(table, item, base, before, chance)
    elif isinstance(item, Counterfactual):
        came = _flip(table, item, base, before)
    else:
        came = _disturb(table, item, places, before, chance)
    return _counted(item, came, table.ids[places])


def _disturb(table: _Table, item: Any, places: Ints, before: Answers, chance: Chance) -> _Outcome:
    now = disturbed(item, table.frame, places, chance)
    asked = np.flatnonzero(~now.unable & ~now.same)
    may_refuse = getattr(item, "may_refuse", False)
    said = table.model.ask(now.frame.iloc[asked], each=may_refuse)
    after, refused_ = np.full(len(places), np.nan), np.zeros(len(places), dtype=np.bool_)
    after[asked], refused_[asked] = said.scores, said.refused & may_refuse
    return _Outcome(
        failed=_broken(item, before.scores, after, table.model.threshold),
        erred=np.isnan(before.scores) | now.unable | (np.isnan(after) & ~now.same & ~refused_),
        same=now.same,
        refused=refused_,
        raised=tuple(sorted({*before.raised, *said.raised})),
        unable=int(now.unable.sum()),
    )


def _broken(item: Any, before: Floats, after: Floats, threshold: float | None) -> Mask:
    if isinstance(item, Monotone):
        return alteration.wrong_way(before, after, item.direction, item.tolerance)
    return alteration.changed(before, after, threshold, item.tolerance)


def _flip(table: _Table, item: Counterfactual, base: pd.DataFrame, before: Answers) -> _Outcome:
    present = base[item.column].notna().to_numpy(dtype=np.bool_)
    failed, erred, able = (np.zeros(len(base), dtype=np.bool_) for _ in range(3))
    raised = set(before.raised)
    for value in item.values or _values(table.frame[item.column]):
        other = np.flatnonzero(present & ~holds(base[item.column], (value,)))
        rows = base.iloc[other].reset_index(drop=True)
        rows[item.column] = put(base[item.column], np.full(len(other), value, dtype=object))
        said = table.model.ask(rows)
        failed[other] |= alteration.changed(before.scores[other], said.scores, table.model.threshold, item.tolerance)
        erred[other] |= np.isnan(said.scores)
        able[other] = True
        raised.update(said.raised)
    nothing = np.zeros(len(base), dtype=np.bool_)
    erred |= ~able | np.isnan(before.scores)
    return _Outcome(failed, erred, nothing, nothing, tuple(sorted(raised)), int((~able).sum()))


def _values(column: pd.Series) -> list[Any]:
    return sorted(column.dropna().astype(object).unique().tolist(), key=str)


def _attack(table: _Table, item: Attack, base: pd.DataFrame, before: Answers, chance: Chance) -> _Outcome:
    came = attacked(table.model, item, base, before, chance)
    turned, erred = np.zeros(len(base), dtype=np.bool_), np.ones(len(base), dtype=np.bool_)
    turned[came.places], erred[came.places] = np.isfinite(came.found.sizes), came.found.erred
    sizes = came.found.sizes[np.isfinite(came.found.sizes) & ~came.found.erred]
    spread = np.quantile(sizes, QUARTILES, method="inverted_cdf").round(9) if sizes.size else np.empty(0)
    nothing = np.zeros(len(base), dtype=np.bool_)
    took = Search(queries=int(came.found.queries.sum()), exact=came.found.exact, smallest=tuple(map(float, spread)))
    raised = tuple(sorted({*before.raised, *came.raised}))
    return _Outcome(turned, erred, nothing, nothing, raised, int(came.unable.sum()), took)


def _places(table: _Table, item: Any, chance: Chance) -> Ints:
    eligible = meets(table.frame, item.where)
    if isinstance(item, Attack) and (item.decision is not None or item.right):
        # Who is attacked depends on the decision: rows without an answer stay, and are errors.
        asked = alteration.drawn(eligible, MAX_ROWS, chance)
        scores = table.model.ask(table.frame.iloc[asked]).scores
        decided = scores >= (table.model.threshold or 0.0)
        fine = (item.decision is None) | (decided == bool(item.decision))
        fine &= (not item.right) | (decided == (table.labels[asked] == 1))
        eligible = np.zeros(len(table.frame), dtype=np.bool_)
        eligible[asked[fine | np.isnan(scores)]] = True
    return alteration.drawn(eligible, item.rows, chance)


def _counted(item: Any, came: _Outcome, ids: Ints) -> Result:
    erred = came.erred
    unaltered = came.same & ~erred
    tried = ~erred & ~unaltered
    failed = came.failed & tried
    return Result(
        name=item.name,
        kind=getattr(item, "kind", "attack"),
        why=item.why,
        asked_by=item.asked_by,
        trials=int(tried.sum()),
        failures=int(failed.sum()),
        errors=int(erred.sum()),
        allowed=item.max_share,
        examples=_first(ids[failed]),
        unaltered=int(unaltered.sum()),
        refused=int((came.refused & tried).sum()),
        stuck=_first(ids[erred]),
        found=_trouble(came.raised, came.unable),
        search=came.search,
    )


def _first(ids: Ints) -> tuple[int, ...]:
    return tuple(np.sort(ids)[:SHOWN].tolist())


def _trouble(raised: Sequence[str], unable: int) -> str:
    said = [f"raised {', '.join(raised)}"] if raised else []
    return "; ".join(said + ([f"{unable:,} rows could not be altered"] if unable else []))


def _arrays(frame: pd.DataFrame, labels: ArrayLike, ids: ArrayLike) -> tuple[Any, Ints]:
    named, positions = np.asarray(labels), np.asarray(ids)
    if named.shape != (len(frame),) or positions.shape != (len(frame),):
        raise _bad(f"{len(frame):,} rows, labels {named.shape} and ids {positions.shape}", "one of each per row")
    if positions.dtype.kind not in "iu" or (positions < 0).any() or len(np.unique(positions)) < len(positions):
        raise _bad(f"ids of the type {positions.dtype}, or repeated or negative ones", "positions in the snapshot")
    return named, positions.astype(np.int64)


def _demand_fit(scenarios: Scenarios, frame: pd.DataFrame, *, decides: bool) -> None:
    if not frame.columns.is_unique:
        raise _bad("columns that appear more than once", "distinct columns")
    kinds = {str(c): kind_of(frame[c]) for c in frame.columns}
    found = list(misfits(scenarios, kinds, decides=decides)) or list(_too_many(scenarios, frame))
    if found:
        raise refused("and this model's features", found)


def _too_many(scenarios: Scenarios, frame: pd.DataFrame) -> Iterator[str]:
    for where, item in scenarios.sampled():
        if isinstance(item, Counterfactual) and item.values is None:
            count = int(frame[item.column].nunique())
            if count > MAX_ALTERNATIVES:
                yield f"{where}: '{item.column}' has {count:,} values; give at most {MAX_ALTERNATIVES} as values"


def _bad(got: str, expected: str) -> BadInput:
    return BadInput("the rows to be challenged", got=got, expected=expected, next_step="read the snapshot again")
