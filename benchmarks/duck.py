"""Duck: DuckDB's counts of slice x label x both decisions, in the fastest of several spellings.

Points only: what DuckDB gives are the counts of which rates are made. Two threads, an in-memory table. The attributes
are ENUM or VARCHAR; the decisions are made by the query from the scores, or stand in the table beforehand.
"""

# ruff: noqa: S608 - the SQL is made of the constants of this folder
from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.table import ATTRIBUTES, SLICES, THRESHOLD, encoded, key
from benchmarks.work import Figures, Work, rates

THREADS = 2
_NAMES = ", ".join(ATTRIBUTES)
_MADE = f"label, candidate >= {THRESHOLD} AS mine, champion >= {THRESHOLD} AS theirs"
_CELL = (
    f"(label::UTINYINT * 4 + (candidate >= {THRESHOLD})::UTINYINT * 2 + (champion >= {THRESHOLD})::UTINYINT)::UTINYINT"
)


def _sets(*more: str) -> str:
    return "GROUPING SETS (" + ", ".join(f"({', '.join((*columns, *more))})" for columns in ((), *SLICES)) + ")"


def _finest(rows: str, how: str, *more: str) -> str:
    kept = ", ".join(more)
    return (
        f"WITH finest AS {how} ({rows}) SELECT {_NAMES}, {kept}, sum(n)::BIGINT AS n FROM finest GROUP BY "
        f"{_sets(*more)}"
    )


def spellings(stored: bool) -> dict[str, str]:
    """SQL by name; all give the same counts."""
    decisions, cell = ("label, mine, theirs", "cell") if stored else (_MADE, f"{_CELL} AS cell")
    plain = f"SELECT {_NAMES}, {decisions}, count(*) AS n FROM rows GROUP BY ALL"
    one = f"SELECT {_NAMES}, {cell}, count(*) AS n FROM rows GROUP BY ALL"
    direct = f"SELECT {_NAMES}, {decisions}, count(*) AS n FROM rows GROUP BY {_sets('label', 'mine', 'theirs')}"
    cube = f"SELECT {_NAMES}, {decisions}, count(*) AS n FROM rows GROUP BY label, mine, theirs, CUBE ({_NAMES})"
    return {
        "GROUPING SETS": direct,
        "CUBE": cube,
        "GROUP BY all attributes, then GROUPING SETS": _finest(plain, "MATERIALIZED", "label", "mine", "theirs"),
        "the same, inlined": _finest(plain, "NOT MATERIALIZED", "label", "mine", "theirs"),
        "GROUP BY with label and decisions as one number, then GROUPING SETS": _finest(one, "MATERIALIZED", "cell"),
    }


def start(kind: str, stored: bool) -> Callable[[Any], Work]:
    """The fastest spelling over a table whose attributes are of the kind ENUM or VARCHAR."""

    def begin(table: Any) -> Work:
        import duckdb

        database = duckdb.connect(config={"threads": THREADS})
        _load(database, table, kind, stored)
        runs = {name: _query(database, sql) for name, sql in spellings(stored).items()}
        times = {name: _median(run) for name, run in runs.items()}
        best = min(times, key=lambda name: times[name])
        told = ", ".join(f"{name}: {1000 * seconds:.0f} ms" for name, seconds in times.items())
        return Work(runs[best], _figures, f"fastest: {best} ({told})")

    return begin


def _query(database: Any, sql: str) -> Callable[[], Any]:
    return lambda: database.execute(sql).fetchnumpy()


def _median(run: Callable[[], Any]) -> float:
    times = []
    for _ in range(3):
        begun = time.perf_counter()
        run()
        times.append(time.perf_counter() - begun)
    return statistics.median(times)


def _load(database: Any, table: Any, kind: str, stored: bool) -> None:
    kinds = dict.fromkeys(ATTRIBUTES, "VARCHAR")
    for name in ATTRIBUTES if kind == "ENUM" else ():
        kinds[name] = f"{name}_kind"
        values = ", ".join(f"'{value}'" for value in encoded(table, name)[0])
        database.execute(f"CREATE TYPE {kinds[name]} AS ENUM ({values})")
    attributes = ", ".join(f"{name}::VARCHAR::{kinds[name]} AS {name}" for name in ATTRIBUTES)
    made = f"{_MADE}, {_CELL} AS cell" if stored else "label, candidate, champion"
    database.register("given", table)
    database.execute(f"CREATE TABLE rows AS SELECT {attributes}, {made} FROM given")
    database.unregister("given")


def _figures(found: Mapping[str, Any]) -> Figures:
    """Rates of both models in the slices that were asked for; a CUBE holds more."""
    cells: dict[str, list[float]] = {}
    for row in zip(*(_plain(found, name) for name in (*ATTRIBUTES, "n")), _cells(found), strict=True):
        values = dict(zip(ATTRIBUTES, row, strict=False))
        label = " & ".join(f"{name}={value}" for name, value in _ordered(values)) or "all"
        cells.setdefault(label, [0.0] * 8)[row[-1]] += row[-2]
    made = {(label, who): _rates(each, who) for label, each in cells.items() for who in (0, 1)}
    who = ("candidate", "champion")
    return {key(m, label, who[w]): value for (label, w), found in made.items() for m, value in found.items()}


def _ordered(values: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The columns of a group in the order that its slice names them."""
    present = {name for name, value in values.items() if value is not None}
    order = next((columns for columns in SLICES if set(columns) == present), tuple(sorted(present)))
    return [(name, values[name]) for name in order]


def _plain(found: Mapping[str, Any], name: str) -> list[Any]:
    column = found[name]
    masked: list[Any] = column.tolist() if hasattr(column, "mask") else list(column)
    return [None if value is None or value != value else value for value in masked]  # noqa: PLR0124


def _cells(found: Mapping[str, Any]) -> list[int]:
    if "cell" in found:
        return [int(cell) for cell in found["cell"].tolist()]
    parts = (found[name].tolist() for name in ("label", "mine", "theirs"))
    return [4 * int(label) + 2 * int(mine) + int(theirs) for label, mine, theirs in zip(*parts, strict=True)]


def _rates(cells: list[float], who: int) -> dict[str, float]:
    """Cells are numbered 4 label + 2 candidate's decision + champion's decision."""
    step = 2 - who
    of = [[sum(cells[4 * y + step * d + (3 - step) * other] for other in (0, 1)) for d in (0, 1)] for y in (0, 1)]
    return rates(of[0][0], of[0][1], of[1][0], of[1][1])
