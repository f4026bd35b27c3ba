"""Alter: the columns of a table as numbers and codes, and back with other values. Reads and writes with pandas.

A column keeps its type where that can hold the new values, because a model may look at the type; else it gets the next
wider one, as a file with such values would have it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from headgate.alteration import Floats, Ints, Mask
from headgate.rows import row_keys
from headgate.scenario_file import Kind
from headgate.scenarios import Scalar, Where, Within

if TYPE_CHECKING:
    import pandas as pd


def kind_of(column: pd.Series) -> Kind:
    """What a column holds, whatever the width, the nullability or the categorical encoding."""
    from pandas.api import types

    dtype = _plain(column)
    if types.is_bool_dtype(dtype):
        return "truth"
    if types.is_numeric_dtype(dtype):
        return "number"
    return "time" if types.is_datetime64_any_dtype(dtype) else "text"


def is_whole(column: pd.Series) -> bool:
    """Whether a column of numbers holds whole numbers only, by its type."""
    from pandas.api import types

    return bool(types.is_integer_dtype(_plain(column)))


def _plain(column: pd.Series) -> Any:
    return column.cat.categories.dtype if column.dtype == "category" else column.dtype


def numbers(column: pd.Series) -> Floats:
    """A column of numbers as float64, NaN where missing."""
    plain = column.astype(_plain(column)) if column.dtype == "category" and not column.isna().any() else column
    return np.asarray(plain.astype("Float64").to_numpy("float64", np.nan), dtype=np.float64)


def joint_codes(frame: pd.DataFrame) -> tuple[Ints, Ints]:
    """Codes from 0, equal for rows that are equal in all columns, and the first row of each code."""
    import pandas as pd

    columns = [pd.factorize(frame[c], use_na_sentinel=False)[0].astype(np.int64) for c in frame.columns]
    _, places, codes = np.unique(row_keys(columns), return_index=True, return_inverse=True)
    return codes.astype(np.int64), places.astype(np.int64)


def meets(frame: pd.DataFrame, where: Where) -> Mask:
    """Which rows meet every condition."""
    met = np.ones(len(frame), dtype=np.bool_)
    for column, rule in where.items():
        met &= _meets(frame[column], rule)
    return met


def _meets(column: pd.Series, rule: Scalar | tuple[Scalar, ...] | Within) -> Mask:
    if not isinstance(rule, Within):
        return holds(column, rule if isinstance(rule, tuple) else (rule,))
    present: Mask = column.notna().to_numpy(dtype=np.bool_)
    for bound, side in ((rule.min, 1), (rule.max, -1)):
        if bound is not None:
            present = present & (side * (numbers(column) - bound) >= 0)
    return present


def holds(column: pd.Series, values: Sequence[Scalar]) -> Mask:
    """Which rows have one of the values; a missing value is none."""
    found: Mask = column.isin(list(values)).to_numpy(dtype=np.bool_) & column.notna().to_numpy(dtype=np.bool_)
    return found


def table_of(frame: pd.DataFrame, rows: Sequence[Mapping[str, Scalar | None]]) -> pd.DataFrame:
    """Written rows, None where a value is missing, as a table with the columns and types of `frame`."""
    import pandas as pd

    made = {c: put(frame[c], np.array([row[c] for row in rows], dtype=object)) for c in frame.columns}
    return pd.DataFrame(made, columns=frame.columns)


def put(column: pd.Series, values: Any) -> pd.Series:
    """New values, shape (n,), NaN or None where missing, in the type of a column or the next wider one."""
    import pandas as pd
    from pandas.api import types

    if column.dtype == "category":
        return pd.Series(pd.Categorical(values, dtype=_with(column.dtype, values)))
    if types.is_bool_dtype(column.dtype) or not types.is_numeric_dtype(column.dtype):
        return pd.Series(values).astype(column.dtype)
    floats = np.asarray(values, dtype=np.float64)
    return _integers(floats, column.dtype) if is_whole(column) else pd.Series(floats).astype(column.dtype)


def _with(dtype: Any, values: Any) -> Any:
    """The categories and those of the values that are none of them."""
    import pandas as pd

    new = [v for v in pd.unique(pd.Series(values).dropna()) if v not in dtype.categories]
    return pd.CategoricalDtype([*dtype.categories, *new], ordered=dtype.ordered) if new else dtype


def _integers(values: Floats, dtype: Any) -> pd.Series:
    import pandas as pd

    made, known = pd.Series(values), values[~np.isnan(values)]
    nullable = isinstance(dtype, pd.api.extensions.ExtensionDtype)
    if (len(known) < len(values) and not nullable) or (known != np.rint(known)).any():
        return made
    limits = np.iinfo(getattr(dtype, "numpy_dtype", dtype))
    fits = ((known >= limits.min) & (known <= limits.max)).all()
    return (
        made.astype("Int64" if nullable else "int64").astype(dtype)
        if fits
        else made.astype("Int64" if nullable else "int64")
    )
