"""Deciding what each column is, from the training rows alone, and telling it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from .columns import PARTS, Category, Encoder, Moment, Number, Scale, lenient
from .parsing import finite, is_simple, moment_form, moments, number_style, numbers, shown, stray, text

NAMED_AS_KEY = re.compile(r"(?i)^(unnamed: \d+|column_1|index|idx|id|#|row|rowid|uuid|.*[_\W](id|idx|index|uuid))$")
CAMEL_KEY = re.compile(r".*[a-z](Id|ID)$")
DISTINCT = 0.9  # more different texts than this share of the rows are names, no categories
SHOWN = 8


@dataclass
class Told:
    """What was done to columns, gathered by what it was, so that a wide table needs few lines."""

    lines: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, what: str, column: str, detail: str = "") -> None:
        self.lines[what].append(f"{column} ({detail})" if detail else column)

    def notes(self) -> list[str]:
        more = {what: f", … and {len(found) - SHOWN} more" * (len(found) > SHOWN) for what, found in self.lines.items()}
        return [f"{what}: {', '.join(found[:SHOWN])}{more[what]}" for what, found in self.lines.items()]


def fit(
    frame: pl.DataFrame, train: pl.DataFrame, names: Sequence[str], categories: int
) -> tuple[list[Encoder], list[str]]:
    """An encoder for each column that is worth one, fitted on the rows `train` of `frame`, and notes."""
    told = Told()
    encoders = []
    for name in names:
        encoder = _fit_column(train[name], categories, told)
        if encoder is not None:
            encoders.append(lenient(encoder, frame[name]))
    return encoders, told.notes()


def _fit_column(column: pl.Series, categories: int, told: Told) -> Encoder | None:
    if not is_simple(column):
        told.add("dropped, neither numbers nor text", column.name, str(column.dtype))
        return None
    if text(column).null_count() == len(column):
        told.add("dropped, no value at all", column.name)
        return None
    style = number_style(column)
    if style is not None:
        return _fit_number(column, style, told)
    form = moment_form(column)
    return _fit_category(column, categories, told) if form is None else _fit_moment(column, form, told)


def _fit_number(column: pl.Series, style: str, told: Told) -> Number | None:
    parsed = numbers(column, style)
    values = finite(parsed)
    if _is_key(column.name, values):
        told.add("dropped, a different whole number in every row (a key)", column.name)
        return None
    marked, scale = bool(np.isnan(values).any()), Scale.fit(values)
    if scale is None and (not marked or np.isnan(values).all()):
        told.add("dropped, the same value in every row", column.name)
        return None
    if style in ("comma", "thousands"):
        told.add("numbers with commas", column.name, _example(column, parsed, values))
    _tell_strays(column, parsed, "no numbers", told)
    if marked:
        told.add("missing values filled with the median, and marked", column.name, str(int(np.isnan(values).sum())))
    return Number(column.name, style, scale, marked, lenient=False)


def _example(column: pl.Series, parsed: pl.Series, values: np.ndarray) -> str:
    first = int(np.flatnonzero(~np.isnan(values))[0])
    with_comma = parsed.is_not_null() & column.str.contains(",", literal=True)
    first = with_comma.arg_max() if with_comma.any() else first  # type: ignore[assignment]
    return f"{shown(column[first])} is {parsed[first]:g}"


def _is_key(name: str, values: np.ndarray) -> bool:
    """Whole numbers, all different, under a name for keys: it numbers the rows, and would teach their order."""
    named = NAMED_AS_KEY.match(name) or CAMEL_KEY.match(name)
    return bool(
        named and not np.isnan(values).any() and (values % 1 == 0).all() and len(np.unique(values)) == len(values)
    )


def _fit_moment(column: pl.Series, form: str, told: Told) -> Moment | None:
    parsed = moments(column, form)
    fitted = {part: Scale.fit(take(parsed)) for part, take in PARTS.items()}
    scales = {part: scale for part, scale in fitted.items() if scale is not None}
    missing = parsed.null_count()
    if not scales and not missing:
        told.add("dropped, the same value in every row", column.name)
        return None
    told.add("read as dates", column.name, form)
    _tell_strays(column, parsed, "no dates", told)
    if missing:
        told.add("missing values filled with the median, and marked", column.name, str(missing))
    return Moment(column.name, form, scales, bool(missing), lenient=False)


def _fit_category(column: pl.Series, categories: int, told: Told) -> Category | None:
    words = text(column)
    given = words.drop_nulls()
    counts = given.value_counts(name="count").sort(["count", given.name], descending=[True, False])
    missing = len(given) < len(words)
    if len(counts) > DISTINCT * len(given) and len(given) > 1:
        told.add(
            "dropped, nearly every text different (a name or a key)", column.name, f"{len(counts)} in {len(given)} rows"
        )
        return None
    if len(counts) == 1 and not missing:
        told.add("dropped, the same value in every row", column.name)
        return None
    if len(counts) > categories:
        told.add("the most frequent texts, all else as '(other)'", column.name, f"{categories} of {len(counts)}")
    return Category(column.name, tuple(counts[given.name].head(categories)), len(counts) > categories, missing)


def _tell_strays(column: pl.Series, parsed: pl.Series, what: str, told: Told) -> None:
    strays = stray(column, parsed)
    if len(strays):
        more = f" and {len(strays) - 1} more" if len(strays) > 1 else ""
        told.add(f"{what}, taken as missing", column.name, f"'{shown(strays[0])}'{more}")
