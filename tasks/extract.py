"""Extract: the demo's training tables, as four teams on four days would have delivered them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from headgate.errors import BadInput

if TYPE_CHECKING:
    import pandas as pd

SEED = 7

_ONE_STAGE = """[[rollout.stage]]
name = "broad"
alias = "champion"
"""
_STAGES = """[[rollout.stage]]
name = "internal"
alias = "internal"
audience = { office = ["training"] }
min_requests = 300

[[rollout.stage]]
name = "broad"
alias = "champion"
"""
_TELLS = """severity = "warning"
playbook = "drifted"
"""
_RETREATS = """severity = "incident"
response = "retreat"
playbook = "drifted"
"""

_DIFFICULTIES = ["hearing_difficulty", "vision_difficulty", "cognitive_difficulty"]
_HOUSEHOLD = ["relationship_code"]
_GROUP = "black"


def extract(model: Path, bundled: Path, policy: bytes, signers: str) -> dict[str, Path]:
    """Make a model's folder from the one that Headgate brings along, with four training extracts.

    Args:
        model: the folder to make. bundled: the folder to make it from. policy, signers: what to write into it.

    Returns:
        The extracts: `first` (2015, few columns), `better` (2015 and 2016, with the kinds of disability), `harmed` (all
        years and columns, and the labels of one group shuffled among its members, as a wrong join does) and `dirty`.
    """
    import pandas as pd

    shutil.copytree(bundled, model)
    (model / "policy.toml").write_bytes(policy)
    (model / "allowed_signers").write_text(signers)
    people = pd.read_parquet(model / "data" / "acs_ma_2015_2017.parquet")
    tables = {"first": _first(people), "better": _better(people), "harmed": _harmed(people)}
    for name, table in tables.items():
        table.to_parquet(model / "data" / f"{name}.parquet", index=False)
    _dirty(people).to_csv(model / "data" / "dirty.csv", index=False)
    return {name: model / "data" / f"{name}.parquet" for name in tables} | {"dirty": model / "data" / "dirty.csv"}


def callers(model: Path, columns: tuple[str, ...], rows: int, *, in_months: bool = False) -> list[dict[str, object]]:
    """Rows of the evaluation year as a router is asked about them, drawn with a seed.

    Args:
        columns: those that the model reads. in_months: give ages in months, as a form does that nobody told otherwise.
    """
    import pandas as pd

    people = pd.read_parquet(model / "data" / "acs_ma_2018.parquet").sample(rows, random_state=SEED)
    table = people.assign(age=people["age"].astype(int) * (12 if in_months else 1))[list(columns)]
    found: list[dict[str, object]] = table.astype(object).to_dict("records")
    return found


def staged(policy: Path) -> None:
    """Give a policy two stages, and let the check of what the model is asked take a version back by itself."""
    text = policy.read_text()
    for old, new in ((_ONE_STAGE, _STAGES), (_TELLS, _RETREATS)):
        if old not in text:
            raise BadInput(f"policy {policy}", got="another one", expected=f"one with {old!r}", next_step="take ours")
        text = text.replace(old, new, 1)
    policy.write_text(text)


def flip(path: Path) -> None:
    """Change one bit in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(data)


def _first(people: pd.DataFrame) -> pd.DataFrame:
    return people[people["survey_year"] == people["survey_year"].min()].drop(columns=_DIFFICULTIES + _HOUSEHOLD)


def _better(people: pd.DataFrame) -> pd.DataFrame:
    return people[people["survey_year"] < people["survey_year"].max()].drop(columns=_HOUSEHOLD)


def _harmed(people: pd.DataFrame) -> pd.DataFrame:
    import numpy as np

    table = people.copy()
    rows = np.flatnonzero(table["race"] == _GROUP)
    labels = table["employed"].to_numpy().copy()
    labels[rows] = np.random.default_rng(SEED).permutation(labels[rows])
    return table.assign(employed=labels)


def _dirty(people: pd.DataFrame) -> pd.DataFrame:
    # An age typed as -1 for "refused", a category that the extract's form does not have, and a page delivered twice.
    import pandas as pd

    table = people.assign(sex=people["sex"].astype(str), age=people["age"].astype(int))
    table.loc[table.index[:40], "age"] = -1
    table.loc[table.index[100:112], "sex"] = "unknown"
    return pd.concat([table, table.iloc[200:260]], ignore_index=True)
