"""The demo's data; a small model of one's own; and the stage."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from model_folder import Toy, build
from staged import built, pages, stage

__all__ = ["built", "pages", "stage"]

MODEL = Path(__file__).parents[2] / "expectations" / "employment"
NAMES = ("acs_ma_2015_2017.parquet", "acs_ma_2018.parquet")


@pytest.fixture(scope="session")
def people() -> pd.DataFrame:
    """48,000 adults of Massachusetts, 12,000 a survey year; read it, copy it before a change."""
    return pd.concat([pd.read_parquet(MODEL / "data" / name) for name in NAMES], ignore_index=True)


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    """A model folder of its own, with a home that does not exist yet."""
    return build(tmp_path)
