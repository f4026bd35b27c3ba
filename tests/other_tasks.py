"""The toy model as a multiclass, regression or scored task: other labels, another estimator, other gates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from model_folder import Toy, build

_GATES = {
    "multiclass": """
[[gate]]
metric = "accuracy"
min = 0.5
[[gate]]
metric = "macro_roc_auc"
min = 0.6
[[gate]]
name = "high-found"
metric = "true_positive_rate"
class = "high"
min = 0.4
slices = "each"
[[gate]]
name = "no-worse"
metric = "log_loss"
against = "champion"
max_relative_increase = 0.10
without_champion = "omit"
""",
    "regression": """
[[gate]]
metric = "mean_absolute_error"
max = 1.5
slices = "each"
[[gate]]
metric = "r2"
min = 0.3
[[gate]]
metric = "r2"
suspicious_above = 0.99
[[gate]]
metric = "absolute_error_p90"
max = 3.0
[[gate]]
metric = "bias"
min = -0.3
max = 0.3
[[gate]]
metric = "too_low"
max = 0.65
[[gate]]
name = "no-worse"
metric = "root_mean_squared_error"
against = "champion"
max_increase = 0.2
without_champion = "omit"
""",
    "scored": """
[[gate]]
metric = "mean_score"
min = 0.5
slices = "each"
[[gate]]
metric = "throughput_rows_per_s"
min = 10.0
""",
}

_PARTS = {
    "multiclass": "",
    "regression": """
[[metric]]
name = "too_low"
function = "other_tasks:too_low"
range = [0.0, 1.0]
better = "lower"
""",
    "scored": '[score]\nfunction = "other_tasks:closeness"\nrange = [0.0, 1.0]\nbetter = "higher"\n',
}

_ESTIMATORS = {
    "multiclass": "sklearn.linear_model.LogisticRegression",
    "regression": "sklearn.linear_model.Ridge",
    "scored": "sklearn.linear_model.Ridge",
}

_DATA = {"multiclass": 'classes = ["low", "middle", "high"]\n', "regression": "range = [-30.0, 30.0]\n", "scored": ""}


def too_low(rows: pd.DataFrame, predicted: Any) -> Any:
    """A metric of one's own: whether a prediction is below the outcome."""
    return (predicted < rows["label"].to_numpy()).astype(float)


def closeness(rows: pd.DataFrame, predicted: Any) -> Any:
    """A score per row: 1 for a prediction that is right, falling to 0."""
    return np.exp(-np.abs(predicted - rows["label"].to_numpy()) / 3)


def retasked(root: Path, task: str) -> Toy:
    """A toy model of another task; its first release passes every gate."""
    toy = build(root, name=task)
    policy = (toy.folder / "policy.toml").read_text()
    gates, tail = policy.index("[[gate]]"), policy.index("[serving]")
    head = policy[:gates].replace('task = "binary"', f'task = "{task}"').replace("label =", f"{_DATA[task]}label =")
    head = head.replace("sklearn.linear_model.LogisticRegression", _ESTIMATORS[task]).replace("C = 1.0", "")
    (toy.folder / "policy.toml").write_text(head + _PARTS[task] + _GATES[task] + policy[tail:])
    for number, path in enumerate((toy.training, toy.evaluation)):
        relabelled(pd.read_parquet(path), task, seed=number).to_parquet(path)
    for table in ("training", "evaluation"):
        _resuited(toy.folder / f"{table}.json", task)
    return toy


def relabelled(frame: pd.DataFrame, task: str, seed: int) -> pd.DataFrame:
    """The rows with an outcome that hangs on x1 and x2: a number, or the third of it that it falls into."""
    noise = np.random.default_rng(seed).normal(size=len(frame))
    outcome = 2 * frame["x1"] + frame["x2"] + noise
    if task == "multiclass":
        outcome = pd.cut(outcome, [-np.inf, -1.0, 1.0, np.inf], labels=["low", "middle", "high"]).astype(str)
    return frame.assign(label=outcome)


def _resuited(path: Path, task: str) -> None:
    suite = json.loads(path.read_text())
    (labels,) = (e for e in suite["expectations"] if e["kwargs"].get("column") == "label")
    if task == "multiclass":
        labels["kwargs"]["value_set"] = ["low", "middle", "high"]
    else:
        labels["type"] = "expect_column_values_to_be_between"
        labels["kwargs"] = {"column": "label", "min_value": -30, "max_value": 30}
    path.write_text(json.dumps(suite))
