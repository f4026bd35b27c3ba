"""Ours: what Headgate does with the rows. Everything that the benchmarks call of the engine is in this file."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from benchmarks.table import ATTRIBUTES, SLICES, THRESHOLD, encoded, key, texts
from benchmarks.work import RATES, Figures, Work
from headgate import bounds
from headgate.batch import Batch
from headgate.estimate import Survey, Who, survey
from headgate.scheme import Detail, Scheme
from headgate.slices import Column, column, groups_of
from headgate.tally import Tally, count

ALPHA = 0.05
OTHERS = ("roc_auc", "log_loss", "brier_score", "expected_calibration_error")
BOTH: tuple[Who, ...] = ("candidate", "champion", "difference")
ROWS_AT_ONCE = 2**18
THREADS = 2

Measured = list[tuple[str, Who, Survey, Any]]
"""Metric, model, the figures of every slice, and their bounds."""


def rates(batch: Batch, slices: Sequence[tuple[str, ...]] = SLICES) -> Measured:
    """The rates of each slice with their intervals, of each model that scored the rows and of their difference."""
    return _measured(count(_scheme(slices, len(batch.predictions), "decisions"), batch, threads=THREADS), RATES)


def everything(batch: Batch) -> tuple[Measured, dict[str, Any]]:
    """The same with AUC, log loss, Brier score and calibration error, and the candidate's gaps over all pairs."""
    tally = count(_scheme(SLICES, 2), batch, threads=THREADS)
    found = _measured(tally, (*RATES, *OTHERS))
    candidates = [(metric, of, sides) for metric, who, of, sides in found if who == "candidate"]
    pairs = functools.cache(lambda labels: _pairs(tally, labels))
    return found, {metric: _gaps(pairs(of.labels), of, sides) for metric, of, sides in candidates}


def stream(path: Path) -> Measured:
    """The same as `everything` but the gaps, from a Parquet file of any size, one batch in memory at a time."""
    return _measured(count(_scheme(SLICES, 2), _batches(path)), (*RATES, *OTHERS))


def _scheme(slices: Sequence[tuple[str, ...]], models: int, detail: Detail = "scores") -> Scheme:
    return Scheme("binary", models, tuple(slices), threshold=THRESHOLD, detail=detail)


def _measured(tally: Tally, metrics: Sequence[str]) -> Measured:
    asked = [(metric, who) for metric in metrics for who in BOTH[: tally.scheme.contrasts]]
    surveys = [(metric, who, survey(tally, metric, who)) for metric, who in asked]
    return [(metric, who, found, found.figures.bounds(ALPHA)) for metric, who, found in surveys]


def _pairs(tally: Tally, labels: Sequence[str]) -> Any:
    """The places of every pair of groups of every slice."""
    place = {label: i for i, label in enumerate(labels)}
    pairs = [p for columns in tally.scheme.slices for p in combinations(groups_of(columns, place), 2)]
    return np.array([[place[label] for label in pair] for pair in pairs]).T


def _gaps(pairs: Any, of: Survey, sides: Any) -> Any:
    """Bounds of the difference of every pair."""
    first, second = pairs
    value, (low, high) = of.figures.value, sides
    a, b = ((value[i], (low[i], high[i])) for i in (first, second))
    return pairs, bounds.independent_difference(*a, *b)


def from_codes(table: Any, names: Sequence[str], models: int = 2) -> Batch:
    """A batch of dictionary-encoded attributes."""
    return _batch(table, {name: column(name, *encoded(table, name)) for name in names}, models)


def from_texts(table: Any, given: dict[str, Any]) -> Batch:
    """A batch of attributes given as plain Arrow text, which is encoded first."""
    coded = {name: values.dictionary_encode() for name, values in given.items()}
    columns = {n: column(n, c.dictionary.to_pylist(), c.indices.to_numpy()) for n, c in coded.items()}
    return _batch(table, columns, 2)


def _batch(table: Any, columns: dict[str, Column], models: int) -> Batch:
    scores = [table[who].to_numpy() for who in ("candidate", "champion")[:models]]
    return Batch(table["label"].to_numpy(), scores, columns)


def _batches(path: Path) -> Iterator[Batch]:
    import pyarrow as pa

    file = pq.ParquetFile(path, read_dictionary=[*ATTRIBUTES], pre_buffer=False)
    columns = [*ATTRIBUTES, "label", "candidate", "champion"]
    for rows in file.iter_batches(ROWS_AT_ONCE, columns=columns):
        yield from_codes(pa.Table.from_batches([rows]), [*ATTRIBUTES])


def start_rates(strings: bool) -> Any:
    """Rates with intervals, paired, over all slices."""

    def begin(table: Any) -> Work:
        given = _texts(table, strings)
        return Work(lambda: rates(_given(table, given)), _figures)

    return begin


def start_everything(strings: bool) -> Any:
    """Everything, paired, over all slices."""

    def begin(table: Any) -> Work:
        given = _texts(table, strings)
        return Work(lambda: everything(_given(table, given)), lambda found: _figures(found[0]))

    return begin


def start_sites(table: Any) -> Work:
    """Rates of the candidate with intervals, by site."""
    return Work(lambda: rates(from_codes(table, ["site"], 1), [("site",)]), _figures)


def _texts(table: Any, strings: bool) -> dict[str, Any]:
    return texts(table, [*ATTRIBUTES]) if strings else {}


def _given(table: Any, given: dict[str, Any]) -> Batch:
    return from_texts(table, given) if given else from_codes(table, [*ATTRIBUTES])


def _figures(found: Measured) -> Figures:
    parts = [(metric, label, who, of, i) for metric, who, of, _ in found for i, label in enumerate(of.labels)]
    return {key(metric, label, who): float(of.figures.value[i]) for metric, label, who, of, i in parts}
