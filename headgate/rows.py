"""What the data gate decides about the rows of two tables, given their columns as arrays.

A column arrives as `codes` (int64, shape (rows,): equal codes for equal contents in both tables, 0 where missing) and,
if it is a number, also as `values` (float64, NaN where missing). No reason quotes the content of a row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from headgate.finding import Finding, Table
from headgate.verdict import Verdict

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Mask = NDArray[np.bool_]

SHOWN = 10
"""How many names a reason lists before it only counts the rest."""


def rank_auc(scores: Floats, labels: Mask) -> float:
    """Area under the ROC curve as the Mann-Whitney statistic, ties counted half; NaN if a class has no rows.

    Source: Hanley and McNeil, Radiology 143 (1982), with midranks for ties. `scores` and `labels` have shape (rows,);
    scores hold no NaN.
    """
    positives = int(labels.sum())
    negatives = len(labels) - positives
    if positives == 0 or negatives == 0:
        return float("nan")
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    midranks = np.cumsum(counts) - (counts - 1) / 2
    wins = float(midranks[inverse][labels].sum()) - positives * (positives + 1) / 2
    return wins / (positives * negatives)


def folded_auc(values: Floats, labels: Mask) -> float:
    """How well a number alone ranks the label, in either direction: max(AUC, 1 - AUC).

    Missing values may carry the leak, so they are ranked below all others and above all others; the better one counts.
    """
    fills = (-np.inf, np.inf) if np.isnan(values).any() else (0.0,)
    areas = [rank_auc(np.where(np.isnan(values), fill, values), labels) for fill in fills]
    return max(max(a, 1 - a) for a in areas)


def halves(rows: int) -> Mask:
    """A fixed split in two halves that follows no pattern of the rows: one bit of SplitMix64 of the row's position.

    Source of the mixing function: Steele, Lea and Flood, OOPSLA 2014.
    """
    z = np.arange(1, rows + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((z ^ (z >> np.uint64(31))) & np.uint64(1)).astype(np.bool_)


def encoded_auc(codes: Codes, labels: Mask, fit: Mask) -> float:
    """How well categories alone rank the label: their mean label on the `fit` rows, judged on the other rows.

    A category unseen in `fit` gets the overall mean, so a column of identifiers scores 0.5 instead of 1.
    """
    size = int(codes.max(initial=0)) + 1
    seen = np.bincount(codes[fit], minlength=size)
    positive = np.bincount(codes[fit & labels], minlength=size)
    overall = labels[fit].mean() if fit.any() else 0.0
    means = np.where(seen > 0, positive / np.maximum(seen, 1), overall)
    return rank_auc(means[codes[~fit]], labels[~fit])


def column_auc(codes: Codes, values: Floats | None, labels: Mask, fit: Mask) -> float:
    """How well one column alone ranks the label: as categories and, if it is a number, also by its order."""
    as_categories = encoded_auc(codes, labels, fit)
    return as_categories if values is None else max(as_categories, folded_auc(values, labels))


def row_keys(columns: Sequence[Codes]) -> Codes:
    """One number per row, equal exactly for rows that are equal in all columns (no hash, hence no collision)."""
    key = np.zeros(len(columns[0]), dtype=np.int64)
    span = 1
    for codes in columns:
        width = int(codes.max(initial=0)) + 1
        if span > np.iinfo(np.int64).max // width:
            distinct, key = np.unique(key, return_inverse=True)
            span = len(distinct)
        key, span = key * width + codes, span * width
    return key


def repeated(keys: Codes) -> int:
    """How many rows have a key that another row has too."""
    _, counts = np.unique(keys, return_counts=True)
    return int(counts[counts > 1].sum())


def enough_rows(rows: int, minimum: int, table: Table) -> Finding:
    """FAIL if a table is smaller than the policy's minimum."""
    verdict = Verdict.FAIL if rows < minimum else Verdict.PASS
    return Finding(
        check="rows",
        table=table,
        verdict=verdict,
        reason=f"{rows:,} rows; at least {minimum:,} are demanded",
        rows=rows,
    )


def unique_ids(codes: Codes, column: str, table: Table) -> Finding:
    """FAIL if a row has no id or shares it with another row."""
    missing, twice = int((codes == 0).sum()), repeated(codes[codes != 0])
    verdict = Verdict.FAIL if missing or twice else Verdict.PASS
    reason = f"{twice:,} of {len(codes):,} rows share their id with another row, {missing:,} have none; 0 may"
    return Finding(check="unique_ids", table=table, verdict=verdict, reason=reason, column=column, rows=missing + twice)


def shared_ids(training: Codes, evaluation: Codes, column: str) -> Finding:
    """FAIL if any row of the evaluation table has an id of the training table."""
    shared = int((np.isin(evaluation, training) & (evaluation != 0)).sum())
    verdict = Verdict.FAIL if shared else Verdict.PASS
    reason = f"{_part(shared, len(evaluation))} evaluation rows have an id that is also in the training table; 0 may"
    return Finding(check="shared_ids", table="both", verdict=verdict, reason=reason, column=column, rows=shared)


def shared_content(training: Codes, evaluation: Codes, limit: float) -> Finding:
    """FAIL if the share of evaluation rows that also stand in the training table exceeds the twin rate by over `limit`.

    Different subjects can have equal rows. The share of training rows that have a twin within the training table is
    what independent rows of the same population would show: what is above it was copied.
    """
    shared, twins = int(np.isin(evaluation, training).sum()), repeated(training)
    excess = shared / len(evaluation) - twins / len(training)
    verdict = Verdict.FAIL if excess > limit else Verdict.PASS
    reason = (
        f"{_part(shared, len(evaluation))} evaluation rows have the content of a training row, and "
        f"{_part(twins, len(training))} training rows that of another: an excess of {100 * excess:+.2f} points; "
        f"at most {100 * limit:.3g} may be"
    )
    return Finding(check="shared_content", table="both", verdict=verdict, reason=reason, rows=shared)


def leaks(areas: Mapping[str, float], limit: float) -> tuple[Finding, ...]:
    """FAIL for every column whose AUC alone is above `limit`, ERROR where it is NaN; else one PASS naming the best."""
    found = [_leak(column, area, limit) for column, area in areas.items() if not area <= limit]
    if found:
        return tuple(found)
    if not areas:
        return (
            Finding(
                check="leak", table="training", verdict=Verdict.ERROR, reason="no feature column: nothing was examined"
            ),
        )
    best = max(areas, key=lambda column: areas[column])
    reason = f"the best of {len(areas)} columns alone, {best}, ranks the label with AUC {areas[best]:.3f}; at most "
    return (Finding(check="leak", table="training", verdict=Verdict.PASS, reason=f"{reason}{limit:.3f} may be"),)


def _leak(column: str, area: float, limit: float) -> Finding:
    if np.isnan(area):
        return Finding(
            check="leak", table="training", verdict=Verdict.ERROR, reason="its AUC could not be computed", column=column
        )
    reason = f"too good to be true: this column alone ranks the label with AUC {area:.3f}; at most {limit:.3f} may be"
    return Finding(check="leak", table="training", verdict=Verdict.FAIL, reason=reason, column=column)


def constants(distinct: Mapping[str, int]) -> Finding:
    """A warning that names the features with fewer than two different contents: they cannot teach a model anything."""
    flat = [column for column, count in distinct.items() if count < 2]
    verdict = Verdict.FAIL if flat else Verdict.PASS
    names = f": {_listed(flat)}" if flat else ""
    reason = f"{len(flat)} of {len(distinct)} features hold a single value{names}"
    return Finding(check="constant", table="training", verdict=verdict, reason=reason, severity="warning")


def group_sizes(name: str, sizes: Mapping[str, int], minimum: int) -> Finding:
    """A warning, INCONCLUSIVE, if a group of a slice has fewer evaluation rows than the policy's minimum."""
    small = {group: n for group, n in sizes.items() if n < minimum}
    verdict = Verdict.ERROR if not sizes else Verdict.INCONCLUSIVE if small else Verdict.PASS
    names = f": {_listed([f'{group} {n:,}' for group, n in small.items()])}" if small else ""
    reason = f"{len(small)} of {len(sizes)} groups of {name} have fewer than {minimum:,} rows{names}"
    return Finding(
        check="group_rows",
        table="evaluation",
        verdict=verdict,
        reason=reason,
        severity="warning",
        rows=sum(small.values()),
    )


def in_a_group(name: str, missing: Mask) -> Finding:
    """FAIL if a row belongs to no group of a slice: it would escape every gate over that slice."""
    count = int(missing.sum())
    verdict = Verdict.FAIL if count else Verdict.PASS
    reason = f"{_part(count, len(missing))} rows belong to no group of {name}; 0 may"
    return Finding(check="grouped", table="evaluation", verdict=verdict, reason=reason, rows=count)


def columns_in_order(problems: Sequence[str], complaint: str, worst: Verdict, table: Table) -> Finding:
    """PASS if there are no problems with the columns, else `worst`, with the complaint and every problem."""
    verdict = worst if problems else Verdict.PASS
    names = f": {', '.join(problems)}" if problems else ""
    return Finding(check="columns", table=table, verdict=verdict, reason=f"{len(problems)} columns {complaint}{names}")


def exclusions_known(unknown: Sequence[str]) -> Finding:
    """A warning if the policy excludes a column that no table has: a misspelt exclusion excludes nothing."""
    verdict = Verdict.FAIL if unknown else Verdict.PASS
    names = f": {', '.join(unknown)}" if unknown else ""
    reason = f"{len(unknown)} columns that the policy excludes are in neither table{names}"
    return Finding(check="excluded", table="both", verdict=verdict, reason=reason, severity="warning")


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:SHOWN])
    return shown if len(names) <= SHOWN else f"{shown} and {len(names) - SHOWN} more"


def _part(count: int, total: int) -> str:
    return f"{count:,} of {total:,} ({100 * count / max(total, 1):.3g}%)"
