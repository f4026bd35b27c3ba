"""Expect: one table against a Great Expectations suite, and close the holes through which bad data passes there.

Great Expectations 1.24 succeeds on an empty suite, on no rows, on columns without a single value, on infinities, on
demands that cannot fail, and drops expectations it does not know. Here each of those is refused, an ERROR or a FAIL.
"""

from __future__ import annotations

import importlib
import json
import logging
import math
import os
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from headgate.errors import BadInput
from headgate.finding import Finding, Table
from headgate.verdict import Verdict

if TYPE_CHECKING:
    import pandas as pd

Entry = Mapping[str, Any]
SUITE_KEYS = {"name", "id", "expectations", "meta", "notes"}
INDEX = "headgate_index"
LONGEST_TERM = 80
COUNTS_ONLY = {"result_format": "BASIC", "partial_unexpected_count": 0}

NULLS_DECLARED = {
    "expect_column_values_to_not_be_null",
    "expect_column_values_to_be_null",
    "expect_column_proportion_of_non_null_values_to_be_between",
}
"""Expectations that say how much of a column may be missing; all others skip missing values silently."""

STATISTICS = {
    "expect_table_row_count_to_be_between",
    "expect_table_row_count_to_equal",
    "expect_column_mean_to_be_between",
    "expect_column_stdev_to_be_between",
    "expect_column_proportion_of_unique_values_to_be_between",
    "expect_column_proportion_of_non_null_values_to_be_between",
    "expect_column_unique_value_count_to_be_between",
}
"""Expectations whose observed value is a statistic of many rows; that of the others may be some row's own value."""


def load_great_expectations() -> None:
    """Import Great Expectations now: it takes as long as everything else together."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"  # read at the import
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        importlib.import_module("great_expectations")
    # Where a root handler is set up, as by Prefect, it tells of each temporary folder; one module sets its own level.
    for name in ("great_expectations", "great_expectations.data_context.types.base"):
        logging.getLogger(name).setLevel(logging.WARNING)


def check_suite(frame: pd.DataFrame, suite: Mapping[str, Any], table: Table) -> tuple[Finding, ...]:
    """One finding per expectation of a suite, and those of our own about what the suite cannot see.

    Args:
        frame: the table; it is only read.
        suite: a suite in Great Expectations' own JSON format.
        table: which table it is, for the findings.

    Raises:
        BadInput: the suite is malformed, or has expectations that are unknown, misspelt or cannot fail (all at once).
    """
    load_great_expectations()
    entries = _entries(suite, table)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own deprecations, which would break the import where warnings are errors
        built = _built(entries, table)
        if unusable := _unusable(frame, entries):
            return (Finding(check="suite", table=table, verdict=Verdict.ERROR, reason=unusable),)
        results, raised = _evaluated(frame, built)
    return (
        _complete(entries, results, raised, table),
        *_values_present(frame, entries, table),
        *(_judged(frame, entry, results[i], table) for i, entry in enumerate(entries) if i in results),
    )


def _entries(suite: Mapping[str, Any], table: Table) -> list[Entry]:
    entries = suite.get("expectations") if isinstance(suite, Mapping) else None
    if isinstance(entries, list) and all(isinstance(e, Mapping) for e in entries) and set(suite) <= SUITE_KEYS:
        return entries
    raise BadInput(
        f"{table} suite",
        got=f"keys {sorted(suite)}" if isinstance(suite, Mapping) else type(suite).__name__,
        expected=f"an object with a list 'expectations' of objects and no keys but {sorted(SUITE_KEYS)}",
        next_step="write the suite in Great Expectations' JSON format",
    )


def _unusable(frame: pd.DataFrame, entries: Sequence[Entry]) -> str | None:
    """Why this table and suite cannot give a verdict at all."""
    critical = sum(e.get("severity", "critical") == "critical" for e in entries)
    if not critical:
        return f"{critical} of {len(entries)} expectations are critical: the suite demands nothing that could halt"
    if len(frame) == 0:
        return f"0 rows: none of {len(entries)} expectations has anything to be evaluated on"
    twice = sorted({str(c) for c in frame.columns[frame.columns.duplicated()]})
    return f"{len(twice)} columns appear more than once: {', '.join(twice)}" if twice else None


def _built(entries: Sequence[Entry], table: Table) -> list[Any]:
    """The expectations as Great Expectations' own objects, each carrying its place in the suite."""
    built: list[Any] = []
    defects: list[str] = []
    for i, entry in enumerate(entries):
        try:
            built.append(_expectation(entry, i))
        except Exception as error:  # whatever it raises, the entry is wrong and the reader wants all of them
            defects.append(f"[{i}] {entry.get('type')}: {' '.join(str(error).split())}")
    if not defects:
        return built
    raise BadInput(
        f"{table} suite",
        got=f"{len(defects)} bad expectations of {len(entries)}: {'; '.join(defects)}",
        expected="known expectations, spelt right, that can fail",
        next_step="correct the entries at these indices of 'expectations'",
    )


def _expectation(entry: Entry, index: int) -> Any:
    from great_expectations.expectations import expectation as kinds
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    given = {key: value for key, value in entry.items() if key != "id"}  # an id ties it to another, stored suite
    meta = {**(entry.get("meta") or {}), INDEX: index}
    expectation = ExpectationConfiguration(**{**given, "meta": meta}).to_domain_obj()
    by_row = (kinds.ColumnMapExpectation, kinds.ColumnPairMapExpectation, kinds.MulticolumnMapExpectation)
    if complaint := _vacuous(entry["type"], entry["kwargs"], by_row=isinstance(expectation, by_row)):
        raise ValueError(complaint)
    return expectation


def _vacuous(kind: str, kwargs: Entry, *, by_row: bool) -> str | None:
    """Why an expectation could not fail, or not be reproduced from the suite alone."""
    bounds = [kwargs.get("min_value"), kwargs.get("max_value")]
    ranges = (kwargs.get("quantile_ranges") or {}).get("value_ranges", [])
    empty = [k for k, v in kwargs.items() if k.endswith(("_set", "_list", "regex")) and not v]
    complaints = {
        "mostly=0 lets every value be wrong": kwargs.get("mostly", 1) <= 0,
        "neither min_value nor max_value": kind.endswith("_to_be_between") and not ranges and bounds == [None, None],
        "a bound is not finite": any(isinstance(b, float) and not math.isfinite(b) for b in bounds),
        "a quantile has no bounds": [None, None] in map(list, ranges),
        f"empty {', '.join(empty)}": bool(empty),
        "row_condition on a statistic hides how many rows it selects": bool(kwargs.get("row_condition")) and not by_row,
        "result_format and catch_exceptions are not the suite's": bool(
            {"result_format", "catch_exceptions"} & {*kwargs}
        ),
        "$PARAMETER has no value here": "$PARAMETER" in repr(kwargs),
    }
    return "; ".join(text for text, holds in complaints.items() if holds) or None


def _evaluated(frame: pd.DataFrame, built: Sequence[Any]) -> tuple[dict[int, Entry], str]:
    """Each expectation's result by its place in the suite, or none and the name of what was raised."""
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_pandas("tables").add_dataframe_asset("table")
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})
    try:
        outcome = batch.validate(gx.ExpectationSuite(name="suite", expectations=built), result_format=COUNTS_ONLY)
    except Exception as error:  # an outside tool's failure is an ERROR of the data gate, never a pass
        return {}, f" after {type(error).__name__}"
    results: list[Any] = [result.to_json_dict() for result in outcome.results]
    return {r["expectation_config"]["meta"][INDEX]: r for r in results}, ""


def _complete(entries: Sequence[Entry], results: Mapping[int, Entry], raised: str, table: Table) -> Finding:
    missing = [f"[{i}] {e['type']}" for i, e in enumerate(entries) if i not in results]
    verdict = Verdict.ERROR if missing else Verdict.PASS
    names = f"; without a result: {', '.join(missing)}" if missing else ""
    reason = f"{len(entries) - len(missing)} of {len(entries)} expectations were evaluated{raised}{names}"
    return Finding(check="suite", table=table, verdict=verdict, reason=reason)


def _touched(kwargs: Entry) -> list[str]:
    single = [kwargs[k] for k in ("column", "column_A", "column_B") if k in kwargs]
    return [*single, *kwargs.get("column_list", ())]


def _values_present(frame: pd.DataFrame, entries: Sequence[Entry], table: Table) -> Iterator[Finding]:
    """FAIL for infinities, and for missing values in a column of which the suite does not say how many may be missing.

    Great Expectations skips missing values, and an infinity satisfies every one-sided bound. All columns that the
    suite touches are looked at, and all numeric ones.
    """
    touched = {c for e in entries for c in _touched(e["kwargs"])} | set(frame.select_dtypes("number").columns)
    looked_at = [c for c in frame.columns if c in touched]
    allowed = {
        e["kwargs"]["column"] for e in entries if e["type"] in NULLS_DECLARED and "row_condition" not in e["kwargs"]
    }
    counts = {c: (_infinite(frame[c]), 0 if c in allowed else int(frame[c].isna().sum())) for c in looked_at}
    bad = {c: n for c, n in counts.items() if any(n)}
    for column, (infinite, missing) in bad.items():
        reason = (
            f"{infinite:,} of {len(frame):,} values are infinite, {missing:,} are missing without the suite allowing it"
        )
        yield Finding(
            check="values_present",
            table=table,
            column=column,
            verdict=Verdict.FAIL,
            reason=reason,
            rows=infinite + missing,
        )
    if not bad:
        reason = f"no infinity and no undeclared missing value in {len(looked_at)} columns of {len(frame):,} rows"
        yield Finding(check="values_present", table=table, verdict=Verdict.PASS, reason=reason, rows=0)


def _infinite(column: pd.Series) -> int:
    import numpy as np
    import pandas as pd
    from pandas.api import types

    held = column.cat.categories.dtype if column.dtype == "category" else column.dtype
    if not types.is_object_dtype(held) and not types.is_float_dtype(held):
        return 0
    return int(
        np.isinf(pd.to_numeric(column.astype(object), errors="coerce").to_numpy("float64", na_value=np.nan)).sum()
    )


def _judged(frame: pd.DataFrame, entry: Entry, result: Entry, table: Table) -> Finding:
    kind, kwargs, counts = entry["type"], entry["kwargs"], result["result"]
    unexpected = counts.get("unexpected_count")
    verdict, told = _verdict(frame, entry, result)
    columns = _touched(kwargs)
    return Finding(
        check=kind,
        table=table,
        column=columns[0] if len(columns) == 1 else None,
        verdict=verdict,
        severity=entry.get("severity", "critical"),
        reason=f"{kind}({_terms(kwargs)}): {told}",
        rows=None if unexpected is None else int(unexpected),
    )


def _verdict(frame: pd.DataFrame, entry: Entry, result: Entry) -> tuple[Verdict, str]:
    """ERROR if it raised or had nothing to look at, else what it says; and the arithmetic, without any row's value."""
    exists = entry["type"] == "expect_column_to_exist"
    absent = [c for c in _touched(entry["kwargs"]) if c not in frame.columns]
    if absent:
        return (Verdict.FAIL if exists else Verdict.ERROR), f"column {', '.join(absent)} does not exist"
    if raised := _raised(result["exception_info"]):
        return Verdict.ERROR, f"it raised {raised}"
    evaluated = _evaluated_count(frame, entry, result["result"])
    if evaluated == 0 and not exists:
        return Verdict.ERROR, f"nothing was evaluated: 0 of {len(frame):,} rows have a value that it looks at"
    verdict = Verdict.PASS if result["success"] else Verdict.FAIL
    return verdict, _arithmetic(entry["type"], result["result"], evaluated, verdict)


def _evaluated_count(frame: pd.DataFrame, entry: Entry, counts: Entry) -> int:
    """How many values the expectation really looked at."""
    if "element_count" in counts:
        return int(counts["element_count"]) - int(counts.get("missing_count") or 0)
    column = entry["kwargs"].get("column")
    return len(frame) if column is None else int(frame[column].notna().sum())


def _raised(info: Entry) -> str | None:
    """The class of what was raised, None if nothing was. Messages are left out: they may quote values.

    `info` is either one record or, if a metric could not be computed, a record per metric.
    """
    records = [info] if "raised_exception" in info else list(info.values())
    raised = [r for r in records if r.get("raised_exception")]
    if not raised:
        return None
    names = re.findall(r"^[\w.]*?(\w+(?:Error|Exception))\b", raised[0].get("exception_traceback") or "", re.MULTILINE)
    return names[0] if names else "an exception"


def _arithmetic(kind: str, counts: Entry, evaluated: int, verdict: Verdict) -> str:
    if (unexpected := counts.get("unexpected_count")) is not None:
        return f"{unexpected:,} of {evaluated:,} values ({100 * unexpected / evaluated:.3g}%) are unexpected"
    observed = counts.get("observed_value")
    if kind in STATISTICS and observed is not None:
        return f"observed {observed:,.6g}"
    return "it holds" if verdict is Verdict.PASS else "it does not hold"


def _terms(kwargs: Entry) -> str:
    """The demand in short: the columns, then what is asked of them."""
    asked = {k: v for k, v in kwargs.items() if not k.startswith("column") and v is not None}
    return ", ".join([*_touched(kwargs), *(f"{k}={_short(v)}" for k, v in asked.items())])


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= LONGEST_TERM else f"{text[:LONGEST_TERM]}…"
