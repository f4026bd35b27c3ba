"""Table: the synthetic rows that every side measures, the same for the same seed, as one Parquet file.

A row has five attributes and the number of a site, a label, and the scores of a candidate and of a champion. Scores are
continuous and roughly calibrated; groups differ in size, in base rate and in how well they are ranked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ATTRIBUTES: Mapping[str, tuple[float, ...]] = {
    "sex": (0.52, 0.48),
    "race": (0.58, 0.16, 0.12, 0.08, 0.04, 0.02),
    "age_band": (0.15, 0.25, 0.25, 0.2, 0.15),
    "disability": (0.88, 0.12),
    "region": (0.4, 0.3, 0.2, 0.1),
}
"""The share of each group of each attribute."""

SLICES: tuple[tuple[str, ...], ...] = (
    *((name,) for name in ATTRIBUTES),
    ("sex", "race"),
    ("race", "age_band"),
    ("sex", "age_band"),
    ("sex", "disability"),
    ("race", "disability"),
)
"""With all rows, 88 groups, the smallest of about 0.2% of the rows."""

SITES = 40
"""Groups of the attribute `site`, of equal size: what the peers that know one column of groups are given."""

THRESHOLD = 0.5
SEED = 20


def rows(n: int, seed: int = SEED) -> pa.Table:
    """So many rows; the attributes are dictionary-encoded text."""
    random = np.random.default_rng(seed)
    codes = {name: random.choice(len(p), n, p=p).astype(np.int32) for name, p in ATTRIBUTES.items()}
    codes["site"] = random.integers(0, SITES, n, dtype=np.int32)
    latent = random.normal(-0.4, 1.2, n) + 0.15 * codes["race"] - 0.8 * codes["disability"] + 0.1 * codes["age_band"]
    label = random.random(n) < _logistic(latent)
    scores = {who: _logistic(latent + random.normal(0, s, n)) for who, s in (("candidate", 0.5), ("champion", 0.6))}
    return pa.table({**{k: _text(k, c) for k, c in codes.items()}, "label": label.astype(np.int8), **scores})


def _logistic(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def _text(name: str, codes: Any) -> Any:
    return pa.DictionaryArray.from_arrays(
        pa.array(codes), pa.array([f"{name}-{i:02d}" for i in range(codes.max() + 1)])
    )


def write(path: Path, n: int, times: int = 1) -> None:
    """Write n rows as row groups of n, so many times over."""
    table = rows(n)
    with pq.ParquetWriter(path, table.schema) as file:
        for _ in range(times):
            file.write_table(table, row_group_size=n)


def read(path: Path, limit: int | None = None) -> pa.Table:
    """The rows of a file, the attributes dictionary-encoded, every column in one piece."""
    table = pq.read_table(path, read_dictionary=[*ATTRIBUTES, "site"])
    return (table if limit is None else table.slice(0, limit)).combine_chunks().unify_dictionaries()


def encoded(table: pa.Table, name: str) -> tuple[list[str], Any]:
    """A column's distinct values and the place of each row's."""
    column = table[name]
    whole = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()  # which copies even a single one
    return whole.dictionary.to_pylist(), whole.indices.to_numpy()


def texts(table: pa.Table, names: Sequence[str]) -> dict[str, Any]:
    """Columns as plain Arrow text, one value per row."""
    return {name: table[name].combine_chunks().cast(pa.string()) for name in names}


def key(metric: str, label: str = "all", who: str = "candidate") -> str:
    """How every side names a figure, so that shared ones can be compared; labels as in `headgate.slices`."""
    return f"{metric} | {label} | {who}"
