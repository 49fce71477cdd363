"""Opening a table's file, whole or as a stream. CSV columns arrive as text: parsing.py decides what they hold."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from stepkit.errors import BadPlace, WrongData, given, nearest

from .dialect import NAMES, Dialect, dialect, misfit, rewrite
from .parsing import plain

CHUNK = 10_000  # rows
WORKBOOKS = (".xlsx", ".xls", ".ods", ".xlsm")


@dataclass(frozen=True)
class Layout:
    """What the user, or the table that was trained on, says of a file.

    Attributes:
        separator: the character between two fields; None finds it.
        header: whether the first line holds the names; None finds it.
        columns: the columns of the table that was trained on, in its order.
        target: its target, which a file to predict on may lack.
    """

    separator: str | None = None
    header: bool | None = None
    columns: tuple[str, ...] = ()
    target: str | int | None = None

    def wanted(self) -> set[str]:
        return {*self.columns, *([self.target] if isinstance(self.target, str) else [])}

    def names(self, width: int) -> list[str] | None:
        """Names for `width` columns that bear none, by the table trained on; None when the number does not fit."""
        without = [name for name in self.columns if name != self.target]
        return next((list(names) for names in (self.columns, without) if len(names) == width), None)


@dataclass(frozen=True)
class Opened:
    """A file that can be read: its rows, not yet read, and what was found out about it."""

    rows: pl.LazyFrame
    notes: list[str] = field(default_factory=list)


def read(path: str, layout: Layout) -> tuple[pl.DataFrame, list[str]]:
    """All rows of a CSV or Parquet file but those without any value, and notes on how it was read."""
    with _opened(path, layout) as opened:
        frame = opened.rows.collect()
        return plain(frame.filter(_some(frame))), opened.notes


def stream(path: str, layout: Layout) -> Iterator[tuple[list[int], pl.DataFrame]]:
    """Chunks of a file, without empty rows, and their row numbers (from 1, the header not counted); never the whole."""
    start = 1
    with _opened(path, layout) as opened:
        for chunk in opened.rows.collect_batches(chunk_size=CHUNK, lazy=True):
            some = chunk.select(_some(chunk)).to_series()
            if some.any():
                yield [start + int(i) for i in some.arg_true()], plain(chunk.filter(some))
            start += len(chunk)


def _some(frame: pl.DataFrame) -> pl.Expr:
    """Whether a row has any value: blank lines have none."""
    return pl.any_horizontal(pl.all().is_not_null()) if frame.width else pl.lit(False)


def place(path: str) -> Path:
    """The file, or BadPlace: not given, not there, a folder, not readable."""
    where = Path(path).expanduser()
    if not path:
        raise BadPlace("data.path: give the path of a CSV or Parquet file")
    try:
        if where.is_dir():
            inside = [str(where / file.name) for file in sorted(where.iterdir()) if file.is_file()]
            raise BadPlace(
                f"{given('data.path', path)}: a folder; give one file{f', as {inside[0]}' if inside else ''}"
            )
        if not where.exists():
            beside = [file.name for file in where.parent.iterdir()] if where.parent.is_dir() else []
            raise BadPlace(f"{given('data.path', path)}: no such file; in its folder {nearest(where.name, beside)}")
        with where.open("rb"):
            return where
    except (OSError, ValueError) as error:
        raise BadPlace(
            f"{given('data.path', path)}: cannot be read: {getattr(error, 'strerror', None) or error}"
        ) from None


@contextmanager
def _opened(path: str, layout: Layout) -> Iterator[Opened]:
    where = place(path)
    if where.suffix.lower() in WORKBOOKS:
        raise WrongData(f"{given('data.path', path)}: a workbook; save its sheet as CSV")
    with where.open("rb") as file:
        parquet = where.suffix.lower() in (".parquet", ".pq") or file.read(4) == b"PAR1"
    if parquet:
        with _telling(path, lambda: "not a Parquet file, or a cut one"):
            yield Opened(pl.scan_parquet(where, glob=False))
        return
    how = dialect(where, layout.separator, layout.header, layout.wanted())
    names, notes = _names(path, how, layout)
    with tempfile.TemporaryDirectory() as folder, _telling(path, lambda: misfit(where, how)):
        source = where
        if not how.direct:
            source = Path(folder) / "table.csv"
            rewrite(where, how.encoding, source)
        yield Opened(_scan(source, how, names), notes)


def _scan(source: Path, how: Dialect, names: Sequence[str]) -> pl.LazyFrame:
    return pl.scan_csv(
        source,
        separator=how.separator,
        quote_char=how.quote,
        has_header=how.header is not None,
        new_columns=names,
        infer_schema=False,
        glob=False,
    )


def _names(path: str, how: Dialect, layout: Layout) -> tuple[list[str], list[str]]:
    """The columns' names, and notes. Raises WrongData on a name that stands twice."""
    notes = []
    if how.encoding != "utf-8":
        notes.append(f"the file is not UTF-8; read as {how.encoding}")
    if how.separator != "," and layout.separator is None:
        notes.append(f"fields are separated by {NAMES[how.separator]}")
    if how.header is None:
        names = layout.names(how.width) or [f"column_{i}" for i in range(1, how.width + 1)]
        if layout.header is None and not layout.columns:
            notes.append(
                f"the first line holds numbers: columns are called {names[0]} to {names[-1]}; or data.header=true"
            )
        return names, notes
    names = [name or f"column_{i}" for i, name in enumerate(how.header, 1)]
    twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if twice is not None:
        raise WrongData(f"{given('data.path', path)}: two columns are called '{twice}'; rename one")
    return names, notes


@contextmanager
def _telling(path: str, why: Callable[[], str]) -> Iterator[None]:
    """A reader's own exception as one line."""
    try:
        yield
    except (pl.exceptions.PolarsError, OSError) as error:
        lines = str(error).strip().splitlines()
        reason = why() if isinstance(error, pl.exceptions.PolarsError) else (lines or ["no reason given"])[0]
        raise WrongData(f"{given('data.path', path)}: {reason}") from None
