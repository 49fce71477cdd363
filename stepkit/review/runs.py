"""The one engine behind every table of runs: rows, what differs between them, columns, and what fits the terminal.

A sweep, a report or a comparison takes these columns and adds its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..record.files import finite
from .query import FIELDS, differing, setting
from .row import Row
from .tables import duration, moment, number, plain

LONGEST = 32  # characters of a cell on a terminal; a pipe gets all of it
STYLES = {"failed": "red", "damaged": "red", "interrupted": "yellow", "pruned": "yellow", "running": "cyan"}


@dataclass(frozen=True)
class Column:
    """One column of a table of runs.

    Attributes:
        cell: a row's text; the table takes out what a terminal would obey.
        weight: on a narrow terminal the lightest columns go first.
        right: as numbers stand.
    """

    heading: str
    cell: Callable[[Row], str]
    weight: int
    right: bool = False


def run_columns(rows: Sequence[Row]) -> list[Column]:
    """Run, status, experiment, name, what differs, best metrics, duration, when, error; without what all lack."""
    columns = [
        Column("run", lambda row: row.id, 10),
        Column("status", lambda row: row.status, 9),
        Column("experiment", _field("experiment"), 4),
        Column("name", _field("name"), 4),
        *setting_columns(rows),
        *metric_columns(rows),
        *end_columns(),
        Column("when", lambda row: _known(moment, row.record.get("started")), 2),
        Column("error", _field("error"), 1),
    ]
    return [c for c in columns if c.heading not in ("name", "error") or any(c.cell(row) for row in rows)]


def trial_columns(rows: Sequence[Row]) -> list[Column]:
    """Of one sweep's trials: the number, status, what differs, best metrics, duration, error."""
    columns = [
        Column("trial", lambda row: row.path.name, 10, right=True),
        Column("status", lambda row: row.status, 9),
        *setting_columns(rows),
        *metric_columns(rows),
        *end_columns(),
    ]
    return [*columns, *([Column("error", _field("error"), 5)] if any(FIELDS["error"](row) for row in rows) else [])]


def setting_columns(rows: Sequence[Row]) -> list[Column]:
    """What differs, under the shortest names that tell the keys apart."""

    def column(heading: str, key: str) -> Column:
        return Column(heading, lambda row: setting(row, key) or "", 8)

    return [column(heading, key) for heading, key in differing(rows).items()]


def metric_columns(rows: Sequence[Row]) -> list[Column]:
    """The monitored metric's best value, then the test metrics; where nothing was tested, the last validation's."""
    monitored = list(dict.fromkeys(row.best[0] for row in rows if row.best))
    columns = []
    if len(monitored) == 1:
        columns = [Column(f"best {monitored[0]}", lambda row: number(row.best[2]) if row.best else "", 7, right=True)]
    elif monitored:
        columns = [Column("best", lambda row: f"{row.best[0]} {number(row.best[2])}" if row.best else "", 7)]
    tags = list(dict.fromkeys(tag for row in rows for tag in row.metrics))
    shown = [tag for tag in tags if tag.endswith("/test")] or [tag for tag in tags if tag.endswith("/val")]

    def column(tag: str) -> Column:
        weight = 5 if tag.startswith("loss/") else 6  # a loss is the least telling of them
        return Column(tag, lambda row: number(row.metrics.get(tag)), weight, right=True)

    return columns + [column(tag) for tag in shown if tag not in monitored]


def end_columns() -> list[Column]:
    """What it took."""
    return [Column("duration", lambda row: _known(duration, row.record.get("duration")), 3, right=True)]


def _field(name: str) -> Callable[[Row], str]:
    return lambda row: str(FIELDS[name](row) or "")


def _known(written: Callable[[float], str], value: float | None) -> str:
    return "" if value is None else written(value)


def show(console: Console, rows: Sequence[Row], columns: Sequence[Column]) -> None:
    """The table; on a terminal only the columns that fit it, with a line that names the others."""
    longest = LONGEST if console.is_terminal else None
    texts = {column: [plain(column.cell(row), longest) for row in rows] for column in columns}
    kept = fitting(columns, texts, console.width)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))  # 2 wide between columns
    for column in kept:
        table.add_column(
            Text(plain(column.heading, longest)), justify="right" if column.right else "left", overflow="fold"
        )
    for row, *cells in zip(rows, *(texts[column] for column in kept), strict=True):
        table.add_row(*(Text(cell, STYLES.get(row.status, "") if cell == row.status else "") for cell in cells))
    console.print(table)
    if left_out := [plain(column.heading) for column in columns if column not in kept]:
        console.print(
            f"left out, {console.width} columns are too few: {', '.join(left_out)}", markup=False, highlight=False
        )


def fitting(columns: Sequence[Column], texts: dict[Column, list[str]], width: int) -> list[Column]:
    """The columns that fit side by side; the lightest go first, of equals the last."""
    kept = list(columns)
    widths = {c: max(cell_len(plain(c.heading)), *map(cell_len, texts[c]), 0) for c in columns}
    while len(kept) > 2 and 2 * len(kept) + sum(widths[column] for column in kept) > width:
        kept.remove(min(reversed(kept), key=lambda column: column.weight))
    return kept


def facts(row: Row) -> dict[str, Any]:
    """All that is known of a run without its event files, for JSON."""
    found = {"run": row.id, "path": str(row.path), **row.record, "status": row.status, "overrides": row.overrides}
    if row.damaged:
        found["error"] = row.damaged
    return finite(found)  # type: ignore[no-any-return]
