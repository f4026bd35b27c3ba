"""Examine the rows of the training and the evaluation table together: what Great Expectations cannot check.

Reads the columns with pandas; `headgate.rows` decides.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from headgate import rows
from headgate.finding import Finding, Table
from headgate.metrics import Task
from headgate.part import Slice
from headgate.policy import Data
from headgate.verdict import Verdict
from tasks.column import kind_of, label_finding, marks_of, values_of

if TYPE_CHECKING:
    import pandas as pd

Pair = tuple[rows.Codes, rows.Codes]


def examine(training: pd.DataFrame, evaluation: pd.DataFrame, data: Data, task: Task = "binary") -> tuple[Finding, ...]:
    """Everything wrong with two tables that shows only in their rows.

    Sizes, ids, labels, rows that both tables hold, columns that give the label away, constant features, group sizes.
    If columns are absent, repeated or of different kinds, nothing else can be trusted and nothing else is examined.

    Args:
        training: the rows a candidate learns from; its columns decide what the features are.
        evaluation: the rows the gates are decided on.
        data: the policy's part about data.
        task: what the labels must be; of a scored task they may be anything.
    """
    found = (
        rows.enough_rows(len(training), data.min_rows, "training"),
        rows.enough_rows(len(evaluation), data.min_rows, "evaluation"),
        *_names(training, evaluation, data),
    )
    if any(f.check == "columns" and f.verdict is not Verdict.PASS for f in found):
        return found
    found += tuple(_same_kinds(training, evaluation, data))
    if any(f.check == "columns" and f.verdict is not Verdict.PASS for f in found) or training.empty or evaluation.empty:
        return found
    return (*found, *_contents(training, evaluation, data, task))


def _contents(training: pd.DataFrame, evaluation: pd.DataFrame, data: Data, task: Task) -> Iterator[Finding]:
    pairs = {c: _codes(training[c], evaluation[c]) for c in (data.id, data.label, *_features(training, data))}
    yield rows.unique_ids(pairs[data.id][0], data.id, "training")
    yield rows.unique_ids(pairs[data.id][1], data.id, "evaluation")
    yield rows.shared_ids(*pairs.pop(data.id), data.id)
    yield _shared_content(list(pairs.values()), data.max_copied_rows)
    del pairs[data.label]
    if task != "scored":
        yield label_finding(evaluation[data.label], data, task, "evaluation")
        labelled = label_finding(training[data.label], data, task, "training")
        yield labelled
        if labelled.verdict in (Verdict.PASS, Verdict.INCONCLUSIVE):
            areas = _areas(training, {c: codes for c, (codes, _) in pairs.items()}, data, task)
            yield from rows.leaks(areas, data.max_single_column_auc)
    yield rows.constants({c: len(np.unique(codes)) for c, (codes, _) in pairs.items()})
    for each in data.slices:
        yield from _groups(evaluation, _parts(each), data)


def _shared_content(pairs: list[Pair], limit: float) -> Finding:
    keys = rows.row_keys([np.concatenate(pair) for pair in pairs])
    count = len(pairs[0][0])
    return rows.shared_content(keys[:count], keys[count:], limit)


def _areas(training: pd.DataFrame, features: dict[str, rows.Codes], data: Data, task: Task) -> dict[str, float]:
    """How well each column alone ranks the label: 1 before 0, each class before the rest, above the median or not."""
    labels, fit = marks_of(training[data.label], data, task), rows.halves(len(training))
    return {
        c: max(rows.column_auc(codes, values_of(training[c]), one, fit) for one in labels)
        for c, codes in features.items()
    }


def _groups(evaluation: pd.DataFrame, parts: tuple[str, ...], data: Data) -> Iterator[Finding]:
    name = " by ".join(parts)
    groups = [_group(evaluation, part, data) for part in parts]
    yield rows.in_a_group(name, np.logical_or.reduce([g.isna().to_numpy() for g in groups]))
    sizes = groups[0].groupby(groups, observed=True).size()
    labels = [" and ".join(map(str, key if isinstance(key, tuple) else (key,))) for key in sizes.index]
    yield rows.group_sizes(name, dict(zip(labels, map(int, sizes), strict=True)), data.min_slice_rows)


def _group(evaluation: pd.DataFrame, part: str, data: Data) -> pd.Series:
    if part not in data.bands:
        return evaluation[part]
    import pandas as pd

    band = data.bands[part]
    values = pd.Series(values_of(evaluation[band.column]), index=evaluation.index, dtype="float64")
    return pd.cut(values, [-np.inf, *band.edges, np.inf], right=False)


def _features(training: pd.DataFrame, data: Data) -> list[str]:
    """What a model may learn from: every column of the training table but id, label, time and the excluded ones."""
    apart = {data.id, data.label, data.time, *data.exclude}
    return [column for column in training.columns if column not in apart]


def _parts(each: Slice) -> tuple[str, ...]:
    return (each,) if isinstance(each, str) else each


def _names(training: pd.DataFrame, evaluation: pd.DataFrame, data: Data) -> Iterator[Finding]:
    always = [data.id, data.label] + ([data.time] if data.time else [])
    sliced = [data.bands[c].column if c in data.bands else c for each in data.slices for c in _parts(each)]
    yield from _named(training, always, "training")
    yield from _named(evaluation, [*always, *dict.fromkeys(sliced)], "evaluation")
    absent = [c for c in _features(training, data) if c not in evaluation.columns]
    yield rows.columns_in_order(absent, "of the training table are absent", Verdict.FAIL, "evaluation")
    unknown = [c for c in data.exclude if c not in training.columns and c not in evaluation.columns]
    yield rows.exclusions_known(unknown)


def _named(frame: pd.DataFrame, needed: list[str], table: Table) -> Iterator[Finding]:
    twice = sorted(set(frame.columns[frame.columns.duplicated()]))
    yield rows.columns_in_order(twice, "appear more than once", Verdict.ERROR, table)
    absent = [column for column in needed if column not in frame.columns]
    yield rows.columns_in_order(absent, "that the policy names are absent", Verdict.ERROR, table)


def _same_kinds(training: pd.DataFrame, evaluation: pd.DataFrame, data: Data) -> Iterator[Finding]:
    columns = (data.id, data.label, *_features(training, data))
    kinds = {c: (kind_of(training[c]), kind_of(evaluation[c])) for c in columns}
    other = [f"{c} (training {left}, evaluation {right})" for c, (left, right) in kinds.items() if left != right]
    yield rows.columns_in_order(other, "are of different kinds in the two tables", Verdict.FAIL, "both")
    bands = dict.fromkeys(data.bands[c].column for each in data.slices for c in _parts(each) if c in data.bands)
    other = [c for c in bands if kind_of(evaluation[c]) != "number"]
    yield rows.columns_in_order(other, "are cut into bands and are no numbers", Verdict.ERROR, "evaluation")


def _codes(training: pd.Series, evaluation: pd.Series) -> Pair:
    """Equal codes for equal contents, 0 where missing, whatever types two files gave to the same contents."""
    import pandas as pd

    codes, _ = pd.factorize(pd.concat([_plain(training), _plain(evaluation)], ignore_index=True))
    codes = codes.astype(np.int64) + 1
    return codes[: len(training)], codes[len(training) :]


def _plain(column: pd.Series) -> pd.Series:
    """In one type per kind; integers stay as they are, because large ids would not survive as floats."""
    import pandas as pd
    from pandas.api import types

    if types.is_integer_dtype(column.dtype):
        return column
    values = values_of(column)
    return column.astype(object).astype("str") if values is None else pd.Series(values)
