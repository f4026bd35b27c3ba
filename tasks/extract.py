"""Extract: the demo's training tables, as four teams on four days would have delivered them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

SEED = 7

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
