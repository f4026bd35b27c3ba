"""The figures of every group: each metric that the gates hold on all rows, with its rows and its bounds.

For reading: no verdict is made here, and no correction for the number of rows of this table. A group that is too small
is named as such, and never left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from headgate.estimate import Unmeasurable, measure
from headgate.markdown import table
from headgate.policy import Policy
from headgate.quality import known
from headgate.tally import Tally
from headgate.weakness import sought


def subgroups(policy: Policy, tally: Tally) -> str:
    """A section in Markdown: one row per group and metric."""
    alpha = policy.confidence.alpha
    shown = table(("group", "rows", "metric", "value", "one-sided bounds", "n"), by_group(policy, tally))
    return (
        f"## Every group\n\nBounds at {100 * (1 - alpha):.6g}% each, computed from `{tally.digest}`, not corrected for "
        f"their number. Groups under {policy.data.min_slice_rows} rows are not told.\n\n{shown}\n"
    )


def by_group(policy: Policy, tally: Tally) -> list[tuple[str, ...]]:
    """Group, rows, metric, value, bounds and n, each as it is shown: metric by metric, all rows first."""
    metrics = [metric for metric in sought(policy) if known(tally.scheme, metric)]
    return [row for metric in metrics for row in _rows(policy, tally, metric)]


def _rows(policy: Policy, tally: Tally, metric: str) -> Iterator[tuple[str, ...]]:
    for label in tally.labels:
        rows = tally.slices[label].rows
        yield (label, f"{rows:,}", metric, *_told(policy, tally, metric, label))


def _told(policy: Policy, tally: Tally, metric: str, label: str) -> tuple[str, str, str]:
    if tally.slices[label].rows < policy.data.min_slice_rows:
        return "too few rows", "", ""
    found, alpha = measure(tally, metric, label), policy.confidence.alpha
    if isinstance(found, Unmeasurable):
        return "not measurable", "", ""
    return f"{found.value:.4g}", f"{_end(found.lower(alpha))} to {_end(found.upper(alpha))}", f"{found.n:,}"


def _end(x: float) -> str:
    return f"{x:.4g}" if math.isfinite(x) else "unbounded"
