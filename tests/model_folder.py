"""A small model folder with everything a release needs: rows, policy, suites, signers and their keys.

The rows are synthetic and seeded. The label of group `a` (70% of the rows) hangs on `x1`, that of group `b` on `x2`,
and the other column is noise to each. A linear model without interactions has one weight per column, so that rows
which say nothing about `b` cost exactly `b` its ranking, while everybody else gains.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import ready

from tasks.approve import new_throwaway_key

PEOPLE = {"risk": "ana@toy.example", "product": "ben@toy.example"}
REQUESTER = "dana@toy.example"

POLICY = """
[model]
name = "{name}"
task = "binary"
owner = "toy-owner"
tier = "low"
purpose = "Ranks synthetic rows, so that a release can be tried in seconds."
not_for = ["anything real"]

[data]
train = "data/training.parquet"
evaluate = "data/evaluation.parquet"
label = "label"
id = "id"
slices = ["group"]
min_rows = 1000
min_slice_rows = 100

[train]
estimator = "sklearn.linear_model.LogisticRegression"
params = {{ C = 1.0 }}
seed = 7

[[gate]]
metric = "roc_auc"
min = 0.65
owner = "toy-owner"

[[gate]]
name = "ranking-by-group"
metric = "roc_auc"
against = "champion"
max_decrease = 0.12
slices = ["group"]
without_champion = "omit"
owner = "fairness-board"
playbook = "group_harmed"

[[gate]]
name = "selection-gap"
metric = "selection_rate"
gap_across = ["group"]
max = 0.30
owner = "fairness-board"

[[gate]]
metric = "latency_p99_ms"
max = 2000.0
owner = "platform-team"

[[gate]]
metric = "peak_memory_mib"
max = 1536.0
owner = "platform-team"

[serving]
requests = 300
warmup = 5
timeout_seconds = 120.0

[approval]
roles = {{ risk = 1, product = 1 }}
expires_hours = 72.0

[[rollout.stage]]
name = "broad"
alias = "champion"

[renewal]
certify_days = 90
review_by = 2099-01-01

[playbook]
data_refused = ["Correct the extract at its source.", "Release again."]
gate_failed = ["Read the arithmetic.", "Correct the cause."]
gate_undecided = ["Collect more rows."]
gate_error = ["Find out why it could not be measured."]
rejected = ["Talk to the person who declined."]
group_harmed = ["Keep the champion.", "Check the labels of that group."]
"""


@dataclass(frozen=True)
class Toy:
    """A model that can be released.

    Attributes:
        name: the model's name, and its folder's.
        folder: `expectations/<name>`: policy.toml, training.json, evaluation.json, allowed_signers, data/.
        home: where the records will be; nothing is there yet but MLflow's empty database.
        keys: the private SSH key of each role's one person (`PEOPLE`).
        training, evaluation: the tables that the policy names.
    """

    name: str
    folder: Path
    home: Path
    keys: dict[str, Path]
    training: Path
    evaluation: Path


def build(root: Path, name: str = "toy") -> Toy:
    """Write the folder of a new model below `root`. Its first release passes every gate, with few errors to spare.

    Two models can share one `root`, and so one home. `harmed`, `better` and `dirty` give other training tables.
    """
    folder = root / "expectations" / name
    toy = Toy(
        name=name,
        folder=folder,
        home=root / "home",
        keys={role: root / "keys" / f"{name}-{role}" for role in PEOPLE},
        training=folder / "data" / "training.parquet",
        evaluation=folder / "data" / "evaluation.parquet",
    )
    toy.training.parent.mkdir(parents=True)
    ready.database(toy.home, "mlflow")
    signers = "".join(f"{new_throwaway_key(toy.keys[role], person, role)}\n" for role, person in PEOPLE.items())
    (folder / "allowed_signers").write_text(signers)
    (folder / "policy.toml").write_text(POLICY.format(name=name))
    for table in ("training", "evaluation"):
        (folder / f"{table}.json").write_text(json.dumps(suite(f"{name}-{table}"), indent=2))
    blurred(rows(1_500, seed=1), a=0.7, b=0.45).to_parquet(toy.training)
    rows(1_200, seed=2, first=100_000).to_parquet(toy.evaluation)
    return toy


def better(toy: Toy) -> Path:
    """A training table with more signal for everybody: no gate objects, and the log loss falls."""
    return _written(toy, "better", blurred(rows(1_500, seed=3, first=10_000), a=0.3, b=0.0))


def harmed(toy: Toy) -> Path:
    """A training table with group `b`'s labels shuffled: better overall than the first release, worse for `b`."""
    frame = rows(1_500, seed=4, first=20_000)
    hit = (frame["group"] == "b").to_numpy()
    frame.loc[hit, "label"] = np.random.default_rng(5).permutation(frame.loc[hit, "label"])
    return _written(toy, "harmed", frame)


def dirty(toy: Toy) -> Path:
    """A training table that the data gate must refuse: 30 ids are repeated, 40 labels are 9, 50 values are absent."""
    frame = rows(1_500, seed=6, first=30_000)
    frame.loc[:29, "id"] = frame.loc[30:59, "id"].to_numpy()
    frame.loc[100:139, "label"] = 9
    frame.loc[200:249, "x1"] = np.nan
    return _written(toy, "dirty", frame)


def rows(n: int, seed: int, first: int = 0) -> pd.DataFrame:
    """Clean rows: id (integers from `first`), x1, x2 (standard normal), group (`a` or `b`), label (0 or 1)."""
    chance = np.random.default_rng(seed)
    x1, x2 = chance.normal(size=n), chance.normal(size=n)
    group = np.where(chance.random(n) < 0.7, "a", "b")
    odds = 3 * np.where(group == "a", x1, x2)
    label = (chance.random(n) < 1 / (1 + np.exp(-odds))).astype(int)
    return pd.DataFrame({"id": np.arange(first, first + n), "x1": x1, "x2": x2, "group": group, "label": label})


def blurred(frame: pd.DataFrame, a: float, b: float) -> pd.DataFrame:
    """The rows, where a share `a` of group `a` and a share `b` of group `b` lost what their column says."""
    chance = np.random.default_rng(0)
    is_a = (frame["group"] == "a").to_numpy()
    lost_a = is_a & (chance.random(len(frame)) < a)
    lost_b = ~is_a & (chance.random(len(frame)) < b)
    noise = chance.normal(size=len(frame))
    return frame.assign(x1=np.where(lost_a, noise, frame["x1"]), x2=np.where(lost_b, noise, frame["x2"]))


def suite(name: str) -> dict[str, Any]:
    """A Great Expectations suite that every table of `rows` meets."""
    demands = (
        ("expect_table_row_count_to_be_between", {"min_value": 1000, "max_value": 5000}),
        ("expect_column_values_to_be_unique", {"column": "id"}),
        ("expect_column_values_to_not_be_null", {"column": "x1"}),
        ("expect_column_values_to_be_in_set", {"column": "label", "value_set": [0, 1]}),
        ("expect_column_values_to_be_in_set", {"column": "group", "value_set": ["a", "b"]}),
    )
    expectations = [{"type": kind, "kwargs": kwargs, "severity": "critical"} for kind, kwargs in demands]
    return {"name": name, "expectations": expectations}


def _written(toy: Toy, name: str, frame: pd.DataFrame) -> Path:
    path = toy.folder / "data" / f"{name}.parquet"
    frame.to_parquet(path)
    return path
