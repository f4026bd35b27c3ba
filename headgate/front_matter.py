"""Front matter: the head of a card that Hugging Face's tools read, in YAML.

https://huggingface.co/docs/hub/model-cards. A result is grouped there by its dataset, so that a group of people stands
in the dataset's `config`: otherwise the figure of one group would look like that of all.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from headgate.judgement import Judged, Judgement
from headgate.metrics import RESOURCES, Task
from headgate.policy import Policy
from headgate.records import Snapshot, Table
from headgate.release import Release

_TASKS: Mapping[Task, str] = {
    "binary": "tabular-classification",
    "multiclass": "tabular-classification",
    "regression": "tabular-regression",
    "scored": "other",
}


def front_matter(policy: Policy, release: Release, judged: Judged) -> str:
    """The YAML between two rulers, ending with a line break."""
    told = {
        "license": policy.model.licence or "unknown",
        "library_name": "sklearn",
        "tags": ["headgate", f"tier-{policy.model.tier}", f"verdict-{judged.verdict.name.lower()}"],
        "pipeline_tag": _TASKS[policy.model.task],
        "metrics": list(dict.fromkeys(j.metric for j in _measured(judged))) or ["none"],
        "model-index": [{"name": policy.model.name, "results": _results(policy, release, judged)}],
    }
    return f"---\n{''.join(_lines(told, ''))}---\n"


def _measured(judged: Judged) -> list[Judgement]:
    """What is a figure of the candidate itself: neither a difference to something nor a share of failed scenarios."""
    kept = (j for j in judged.judgements if j.value is not None and j.form in ("limit", "ceiling"))
    return sorted(kept, key=lambda j: (j.slice, j.metric in RESOURCES))


def _results(policy: Policy, release: Release, judged: Judged) -> list[Any]:
    rows, task = release.step(Snapshot).evaluation, _TASKS[policy.model.task]
    found = [
        {"task": {"type": task}, "dataset": _dataset(rows, slice_), "metrics": [_metric(j) for j in each]}
        for slice_, each in groupby(_measured(judged), key=lambda j: j.slice)
    ]
    return found or [{"task": {"type": task}, "dataset": _dataset(rows, "all"), "metrics": []}]


def _dataset(rows: Table, slice_: str) -> dict[str, str]:
    return {"name": rows.file, "type": rows.file, "config": slice_, "split": "evaluation", "revision": rows.digest}


def _metric(j: Judgement) -> dict[str, Any]:
    bounds = {"lower": j.lower, "upper": j.upper, "alpha": j.alpha, "n": j.n, "evidence": j.evidence}
    return {"type": j.metric, "name": f"{j.metric} in {j.slice}", "value": j.value, "args": bounds}


def _lines(value: Any, indent: str) -> Iterator[str]:
    """Block style for lists and tables; each scalar is JSON, which is YAML too, but for how rare signs are escaped."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _entry(f"{indent}{key}:", part, indent + "  ")
    else:
        for part in value:
            yield from _item(part, indent)


def _entry(head: str, part: Any, indent: str) -> Iterator[str]:
    if isinstance(part, (Mapping, Sequence)) and not isinstance(part, str) and part:
        yield f"{head}\n"
        yield from _lines(part, indent)
    else:
        yield f"{head} {_scalar(part)}\n"


def _item(part: Any, indent: str) -> Iterator[str]:
    if not isinstance(part, Mapping):
        yield f"{indent}- {_scalar(part)}\n"
        return
    first, *rest = _lines(part, indent + "  ")
    yield f"{indent}- {first[len(indent) + 2 :]}"
    yield from rest


def _scalar(part: Any) -> str:
    spelled = json.dumps(part, ensure_ascii=False, allow_nan=False)
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in spelled)
