"""What a column's values mean: text, numbers and dates from whatever a file or a row in memory holds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
from numpy.typing import NDArray

MISSING = ["", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NAN", "NaT", "null", "NULL", "Null", "?"]
NO_NUMBER = [*MISSING, "None", "none", "NONE", "-", "--", ".", "missing"]  # where a number is expected
LARGEST = float(np.finfo(np.float32).max)  # beyond it a value is as good as infinite
TRUE, FALSE = ["true", "yes", "t", "y", "1", "1.0"], ["false", "no", "f", "n", "0", "0.0"]
MOST = 0.95  # of a column's values must read as numbers (or dates) to make it a column of such
DATES = ["%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%d-%m-%Y", "%d %b %Y", "%d %B %Y", "%b %d, %Y"]
DATES += ["%B %d, %Y", "%d-%b-%Y", "%d.%m.%y", "%m/%d/%y", "%d/%m/%y"]
TIMES = ["", " %H:%M", " %H:%M:%S", " %H:%M:%S%.f", "T%H:%M", "T%H:%M:%S%.f", " %I:%M %p", " %I:%M:%S %p"]
OFFSETS = ["%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f%#z"]  # read as UTC
FORMATS = [date + time for time in TIMES for date in DATES] + OFFSETS
ISO = ["%Y-%m-%d", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f"]


def shown(value: str) -> str:
    """A value as a message shows it: in one line, not too long."""
    line = " ".join(value.split())
    return line if len(line) <= 40 else f"{line[:39]}…"


def plain(frame: pl.DataFrame) -> pl.DataFrame:
    """Every column as text, numbers, truth values or Datetime in µs (UTC); one that is none of these stays as it is.

    Blanks around names are cut, as they are of a file's header.
    """
    names = [name.strip() for name in frame.columns]
    if len(set(names)) == len(names):
        frame = frame.rename(dict(zip(frame.columns, names, strict=True)))
    return frame.select(_simple(column) for column in frame.get_columns())


def is_simple(column: pl.Series) -> bool:
    """Whether `plain` could make something of it: not so for lists, structs and bytes."""
    return column.dtype in (pl.String, pl.Boolean, pl.Datetime) or column.dtype.is_numeric()


def _simple(column: pl.Series) -> pl.Series:
    kind = column.dtype
    if kind in (pl.Categorical, pl.Enum, pl.Null):
        return column.cast(pl.String)
    if kind == pl.Decimal:
        return column.cast(pl.Float64)
    if kind == pl.Duration:
        return column.dt.total_microseconds().cast(pl.Float64) / 1e6
    if kind == pl.Time:
        return column.cast(pl.Int64).cast(pl.Float64) / 1e9  # seconds since midnight
    if kind == pl.Datetime and kind.time_zone is not None:  # type: ignore[attr-defined]
        column = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return column.cast(pl.Datetime("us")) if kind in (pl.Date, pl.Datetime) else column


def text(column: pl.Series) -> pl.Series:
    """The values as text without blanks around them, null where missing; 3.0 is '3', a truth value 'true'."""
    if column.dtype.is_float():
        whole = column.is_finite() & (column == column.round(0)) & (column.abs() < 2**53)
        numbers = column.cast(pl.String)
        column = column.zip_with(whole.fill_null(False), column.fill_nan(None))
        column = column.cast(pl.Int64, strict=False).cast(pl.String).zip_with(whole.fill_null(False), numbers)
    words = column.cast(pl.String).str.strip_chars().str.replace(r"^(-?(?:0|[1-9]\d*))\.0+$", "$1")
    return words.set(words.is_in(MISSING), None)


def numbers(column: pl.Series, style: str) -> pl.Series:
    """The values as Float64, null where they are none; infinite ones stay."""
    if column.dtype == pl.String:
        return STYLES[style](column.str.strip_chars())
    if column.dtype.is_numeric() or column.dtype == pl.Boolean:
        return column.cast(pl.Float64).fill_nan(None)
    return pl.Series(column.name, [None] * len(column), dtype=pl.Float64)


def finite(values: pl.Series) -> NDArray[np.float64]:
    """float64 [n], NaN where a number is missing or beyond float32."""
    array: NDArray[np.float64] = values.to_numpy().astype(np.float64, copy=True)
    array[~(np.abs(array) <= LARGEST)] = np.nan
    return array


def stray(column: pl.Series, parsed: pl.Series) -> pl.Series:
    """The values that are there, yet did not parse."""
    words = text(column)
    return words.filter(words.is_not_null() & ~words.is_in(NO_NUMBER) & parsed.is_null())


def number_style(column: pl.Series) -> str | None:
    """How most of the values are written as numbers, or None when they are none."""
    if column.dtype == pl.Boolean:
        return "boolean"
    if column.dtype != pl.String:
        return "plain" if column.dtype.is_numeric() else None
    words = text(column)
    words = words.filter(words.is_not_null() & ~words.is_in(NO_NUMBER))
    if not len(words):
        return None
    read = {style: len(words) - numbers(words, style).null_count() for style in STYLES}
    best = max(read, key=lambda style: read[style])
    return best if read[best] >= MOST * len(words) else None


def moments(column: pl.Series, form: str | None) -> pl.Series:
    """The values as points in time (Datetime in µs, UTC where a zone is given), null where they are none."""
    if column.dtype == pl.Datetime:
        return column
    if column.dtype != pl.String:
        return pl.Series(column.name, [None] * len(column), dtype=pl.Datetime("us"))
    words = text(column)
    # A row in memory may hold a date in ISO form whatever the file's form was.
    return pl.select(
        pl.coalesce(*(_moment(words, each) for each in dict.fromkeys([*([form] if form else []), *ISO])))
    ).to_series()


def moment_form(column: pl.Series) -> str | None:
    """The form in which most of the values are dates, or None when they are none; '' for dates that need no reading."""
    if column.dtype != pl.String:
        return "" if column.dtype == pl.Datetime else None
    words = text(column).drop_nulls()
    probe = words.unique(maintain_order=True).head(200)
    if not len(probe):
        return None
    read = {form: len(probe) - _moment(probe, form).null_count() for form in FORMATS}
    best = max(read, key=lambda form: read[form])
    if read[best] < MOST * len(probe):
        return None
    tied = [form for form in FORMATS if read[form] == read[best]]
    whole = {form: len(words) - _moment(words, form).null_count() for form in tied}
    best = max(whole, key=lambda form: whole[form])
    return best if whole[best] >= MOST * len(words) else None


def _moment(words: pl.Series, form: str) -> pl.Series:
    zoned = form.endswith("z")
    parsed = words.str.to_datetime(form, strict=False, time_unit="us", time_zone="UTC" if zoned else None)
    parsed = parsed.dt.replace_time_zone(None) if zoned else parsed
    return parsed.set(parsed.dt.year() < 1000, None)  # '01/02/24' is no date of the year 1


def _plain(words: pl.Series) -> pl.Series:
    return words.cast(pl.Float64, strict=False).fill_nan(None)


def _boolean(words: pl.Series) -> pl.Series:
    lower = words.str.to_lowercase()
    known = {**dict.fromkeys(TRUE, 1.0), **dict.fromkeys(FALSE, 0.0)}
    return lower.replace_strict(known, default=None, return_dtype=pl.Float64)


def _bare(words: pl.Series) -> pl.Series:
    """Without the signs of currencies, the per cent sign and the blanks that part thousands."""
    return words.str.replace_all(r"[\s\u00a0\u202f$€£¥%']", "")


def _thousands(words: pl.Series) -> pl.Series:
    """1,234.56 and $1,234 and 45%."""
    bare = _bare(words)
    fits = bare.str.contains(r"^[+-]?(\d{1,3}(,\d{3})+|\d+)(\.\d*)?$")
    return _plain(bare.str.replace_all(",", "", literal=True).set(~fits.fill_null(False), None))


def _comma(words: pl.Series) -> pl.Series:
    """1.234,56 and 3,14 and 12,5 %."""
    bare = _bare(words)
    fits = bare.str.contains(r"^[+-]?(\d{1,3}(\.\d{3})+|\d+)(,\d*)?([eE][+-]?\d+)?$")
    english = bare.str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True)
    return _plain(english.set(~fits.fill_null(False), None))


STYLES: dict[str, Callable[[pl.Series], pl.Series]] = {
    "plain": _plain,
    "boolean": _boolean,
    "thousands": _thousands,
    "comma": _comma,
}
