"""Tables on a terminal."""

from __future__ import annotations

import html
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..errors import printable
from ..record.record import Record

SPLITS = ("train", "val", "test")


def wide_console() -> Console:
    """As wide as the terminal; in a pipe or a file as wide as its lines."""
    console = Console()
    return console if console.is_terminal or console.is_jupyter else Console(width=400)


def run_table(console: Console, record: Record, path: Path) -> None:
    """The end of a run: metrics a split, what it took, where it lies, how to look at it."""
    console.print(metrics_table(record.metrics))
    facts = record.facts
    if facts:
        speed = facts.get("samples_per_second") or 0
        console.print(
            f"{record.status} in {duration(record.duration)}, {facts['steps']:,} steps, "
            f"{speed:,.0f} samples/s, {facts['parameters']:,} parameters",
            highlight=False,
        )
    where = relative(path)
    console.print(f"run: {where}", markup=False, highlight=False)
    console.print(f"look: stepkit board {path.name.rpartition('-')[2]}", markup=False, highlight=False)


def metrics_table(metrics: Mapping[str, float]) -> Table:
    """One row a metric, one column a split."""
    names = list(dict.fromkeys(tag.rpartition("/")[0] for tag in metrics if tag.rpartition("/")[2] in SPLITS))
    splits = [split for split in SPLITS if any(tag.endswith(f"/{split}") for tag in metrics)]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("metric")
    for split in splits:
        table.add_column(split, justify="right")
    for name in names:
        table.add_row(escape(plain(name)), *(number(metrics.get(f"{name}/{split}")) for split in splits))
    for tag, value in metrics.items():
        if tag.rpartition("/")[2] not in SPLITS:
            table.add_row(escape(plain(tag)), number(value))
    return table


def sweep_table(trials: Iterable[Any]) -> None:
    """One row a trial: what varied, how it ended, its metrics; then where they lie."""
    from .row import Row  # these two draw with this module
    from .runs import show, trial_columns

    console = wide_console()
    rows = [Row(trial.path) for trial in trials]
    show(console, rows, trial_columns(rows))
    if rows:
        console.print(f"sweep: {relative(rows[0].path.parent)}", markup=False, highlight=False)


def number(value: float | None) -> str:
    """Four digits that mean something."""
    return "" if value is None else f"{value:.4g}" if isinstance(value, int | float) else str(value)


def duration(seconds: float | None) -> str:
    """`4.2 s`, `3 min 20 s`, `2 h 5 min`."""
    if seconds is None:
        return "?"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def moment(seconds: float | None) -> str:
    """Seconds since 1970 as the date and time of this place."""
    return "?" if seconds is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def plain(value: object, longest: int | None = None) -> str:
    """Text of a run's files on one line, without what a terminal would obey; cut to `longest` characters."""
    text = printable(value)
    return text if longest is None or len(text) <= longest else text[: longest - 1] + "…"


def relative(path: Path) -> str:
    """As seen from here where it lies below, else whole."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


def run_html(record: Mapping[str, Any], path: Path) -> str:
    """A run as a notebook shows it."""
    rows = "".join(
        f"<tr><td>{html.escape(tag)}</td><td>{number(value)}</td></tr>" for tag, value in record["metrics"].items()
    )
    return (
        f"<b>{html.escape(str(record['status']))}</b> <code>{html.escape(relative(path))}</code>"
        f"<table><tr><th>metric</th><th>value</th></tr>{rows}</table>"
    )
