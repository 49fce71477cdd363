"""Rows that are already in memory, as the frame that reading a file would give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from stepkit.errors import WrongData

from .parsing import plain
from .reading import Layout


def frame_of(raw: Any, layout: Layout) -> pl.DataFrame:
    """One row or many: a polars or pandas DataFrame, a dict of columns or of values, a list of dicts, or
    bare values [N, columns] in the order of the table trained on (with or without the target).

    Raises:
        WrongData: anything else, rows of unequal length.
    """
    if isinstance(raw, pl.LazyFrame):
        raw = raw.collect()
    if isinstance(raw, pl.DataFrame):
        return plain(raw)
    if isinstance(raw, Mapping) and raw:
        return _frame({str(name): _values(value) for name, value in raw.items()})
    if hasattr(raw, "columns") and hasattr(raw, "to_dict"):  # pandas, without importing it
        return _frame({str(name): raw[name].tolist() for name in raw.columns})
    rows = _values(raw) if raw is not None and not isinstance(raw, Mapping) else []
    if not rows:
        raise WrongData("no rows were given; give a dict, a list of dicts or a data frame")
    if all(isinstance(row, Mapping) for row in rows):
        names = dict.fromkeys(name for row in rows for name in row)
        return _frame({str(name): [row.get(name) for row in rows] for name in names})
    return _nameless(rows, layout)


def _nameless(rows: list[Any], layout: Layout) -> pl.DataFrame:
    if not _is_many(rows[0]):
        rows = [rows]  # a single row of values
    if not all(_is_many(row) for row in rows) or len({len(row) for row in rows}) > 1:
        raise WrongData("these rows cannot be read; give a dict, a list of dicts or a data frame")
    names = layout.names(len(rows[0]))
    if names is None:
        raise WrongData(f"rows of {len(rows[0])} values, but the table has {len(layout.columns)} columns; give dicts")
    return _frame({name: [row[i] for row in rows] for i, name in enumerate(names)})


def _is_many(value: Any) -> bool:
    return isinstance(value, Sequence | np.ndarray | pl.Series) and not isinstance(value, str | bytes)


def _values(value: Any) -> list[Any]:
    """A column's values; a single one is a column of one row."""
    if hasattr(value, "tolist") and not isinstance(value, pl.Series):  # numpy, torch, pandas
        value = value.tolist()
    if isinstance(value, pl.Series):
        return value.to_list()
    return list(value) if _is_many(value) else [value]


def _frame(columns: Mapping[str, list[Any]]) -> pl.DataFrame:
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} ({length})" for name, length in list(lengths.items())[:8])
        raise WrongData(f"columns of unequal length: {told}; give as many values in each")
    return plain(pl.DataFrame([_series(name, values) for name, values in columns.items()]))


def _series(name: str, values: list[Any]) -> pl.Series:
    try:
        return pl.Series(name, values, strict=True)
    except (pl.exceptions.PolarsError, TypeError, ValueError, OverflowError):  # values of several types
        return pl.Series(name, [None if value is None else str(value) for value in values], dtype=pl.String)
