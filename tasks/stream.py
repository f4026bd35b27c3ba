"""Stream: the rows of a snapshot in batches, of which one at a time is held, each of the types of the whole table.

Batches lie on a fixed grid of row numbers, whoever reads which of them: the last bits of a matrix product depend on how
many rows it is given.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from headgate.home import Home
from headgate.records import Table
from tasks.load import read_table, verified_once

if TYPE_CHECKING:
    import pandas as pd

BATCH = 2**16
"""Rows held at once. A partition begins at a multiple of it."""

Types = Mapping[str, Any]
"""By column, the type that pandas gives it."""

_PAGES = 2**20
"""Bytes of a column that are read from the disk at once; without it, a column's whole row group is."""


def types_of(path: Path) -> Types:
    """The types that a Parquet file's columns have when it is read at once; of a CSV file none, because it is.

    Some depend on every row: numbers with gaps are floats in pandas, truths with gaps are objects, and a category knows
    all its values.
    """
    if path.suffix == ".csv":
        return {}
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, pre_buffer=False) as file:
        schema = file.schema_arrow
        dense = schema.empty_table().to_pandas().dtypes
        gaps = pa.table([pa.nulls(1, field.type) for field in schema], schema=schema).to_pandas().dtypes
        gappy = [name for name in dense.index if dense[name] != gaps[name] and _has_gaps(file, name)]
        coded = {field.name: _category(file, field.name) for field in schema if pa.types.is_dictionary(field.type)}
    return {**dense, **gaps[gappy], **coded}


def types_in(home: Home, table: Table) -> Types:
    """The types of a snapshot's columns, also where it is a CSV file, which is read for that.

    Raises:
        Tampered: the snapshot's bytes are not those that were pinned.
    """
    path = verified_once(home, table)
    return types_of(path) or dict(read_table(path).dtypes)


def rows_of(path: Path, table: Table) -> int:
    """How many rows a Parquet file says that it has; of a CSV file, what was found when it was pinned."""
    if path.suffix == ".csv":
        return table.rows
    import pyarrow.parquet as pq

    return int(pq.read_metadata(path).num_rows)


def batches_of(path: Path, types: Types, columns: Sequence[str], first: int, last: int) -> Iterator[pd.DataFrame]:
    """The rows from `first`, a multiple of `BATCH`, to before `last`, as frames of `BATCH` rows, the last one of fewer.

    Of a table without rows, one empty frame. A CSV file is held whole, because its types are known only when all was
    read, and whatever `last` is all its rows come.

    Args:
        types: what `types_of` says of the file.
        columns: those to read of a Parquet file; none for all.
    """
    if path.suffix == ".csv" or first >= last:
        frame = read_table(path)
        yield from (frame.iloc[at : at + BATCH] for at in range(first, max(len(frame), 1), BATCH))
        return
    import pyarrow as pa

    for pieces in _on_the_grid(_pieces(path, columns, first, last)):
        frame = pa.Table.from_batches(pieces).to_pandas()
        yield frame.astype({name: types[name] for name in frame.columns if frame[name].dtype != types[name]})


def _pieces(path: Path, columns: Sequence[str], first: int, last: int) -> Iterator[Any]:
    """The rows as Arrow has them, in pieces of any size. Only row groups that hold some of them are read."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, pre_buffer=False, buffer_size=_PAGES) as file:
        ends = np.cumsum([file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)])
        groups = np.arange(len(ends))[np.searchsorted(ends, first, side="right") : np.searchsorted(ends, last) + 1]
        at = int(ends[groups[0] - 1]) if groups[0] else 0
        for piece in file.iter_batches(BATCH, row_groups=groups.tolist(), columns=list(columns) or None):
            start, at = at, at + len(piece)
            if at > first and start < last:
                yield piece.slice(max(first - start, 0), min(last, at) - max(first, start))


def _on_the_grid(pieces: Iterable[Any]) -> Iterator[list[Any]]:
    """The same rows, `BATCH` of them at a time."""
    held: list[Any] = []
    room = BATCH
    for piece in pieces:
        rest = piece
        while len(rest) >= room:
            yield [*held, rest.slice(0, room)]
            held, rest, room = [], rest.slice(room), BATCH
        held, room = [*held, rest], room - len(rest)
    if room < BATCH:
        yield held


def _has_gaps(file: Any, name: str) -> bool:
    """Whether a value is missing anywhere; where the file does not say, all are looked at."""
    leaves = [file.metadata.schema.column(i).path for i in range(file.metadata.num_columns)]
    place = leaves.index(name)  # structures have several leaves
    known = [file.metadata.row_group(i).column(place).statistics for i in range(file.num_row_groups)]
    if all(each is not None and each.has_null_count for each in known):
        return any(each.null_count for each in known)
    return any(piece.column(name).null_count for piece in file.iter_batches(BATCH, columns=[name]))


def _category(file: Any, name: str) -> Any:
    """The category that knows every value of the file, in the order in which they appear."""
    import pyarrow as pa

    kind = file.schema_arrow.field(name).type
    seen = [piece.column(name).slice(0, 0) for piece in file.iter_batches(BATCH, columns=[name])]
    return pa.table({name: pa.chunked_array(seen, kind)}).to_pandas()[name].dtype
