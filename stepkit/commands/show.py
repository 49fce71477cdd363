"""One run, whole: how it went, what it was made of, where its files lie.

stepkit show last
stepkit show f215fe --json
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..config.project import find_project
from ..diagnosis import findings
from ..record.find import find_run
from ..review.row import Row
from ..review.runs import STYLES, facts
from ..review.tables import duration, metrics_table, moment, number, plain, relative, wide_console
from .arguments import parser

LABEL = 18  # characters for what a line is about
Line = tuple[str, str]  # what it is, its text


def main(arguments: Sequence[str]) -> int:
    options = parser("show", __doc__ or "")
    options.add_argument("run", metavar="RUN", help="a path, the start of an id, or last")
    options.add_argument("--json", action="store_true", help="as JSON: all of run.json, what was typed, checkpoints")
    given = options.parse(arguments)
    row = Row(find_run(given.run, find_project().outputs))
    if given.json:
        print(json.dumps({**facts(row), "checkpoints": [str(path) for path in checkpoints(row)]}, indent=2))
        return 0
    console = wide_console()
    for section in (head, results, loss, doctor, origin, files):  # what else a run tells becomes one more of these
        section(console, row)
    return 0


def head(console: Console, row: Row) -> None:
    """Which run, and how it ended."""
    record = row.record
    _lines(
        console,
        [
            ("run", row.id),
            ("status", row.status),
            ("error", row.damaged or record.get("error") or ""),
            ("experiment", record.get("experiment", "")),
            ("name", record.get("name") or ""),
            ("tags", ", ".join(map(str, record.get("tags", ())))),
            *(("notes" if n == 0 else "", line) for n, line in enumerate(str(record.get("notes") or "").splitlines())),
            ("started", moment(record["started"]) if record.get("started") else ""),
            ("took", duration(record["duration"]) if record.get("duration") is not None else ""),
            *_attempts(row),
        ],
    )


def _attempts(row: Row) -> Iterator[Line]:
    listed = [attempt for attempt in row.record.get("attempts", ()) if isinstance(attempt, dict)]
    if len(listed) > 1:
        for n, attempt in enumerate(listed):
            yield f"attempt {n + 1}", f"{attempt.get('status')} {attempt.get('error') or ''}"


def results(console: Console, row: Row) -> None:
    """Metrics by split, the best of the monitored one, how fast it went."""
    if row.metrics:
        console.print(metrics_table(row.metrics))
    lines = [(key, _figure(value)) for key, value in row.record.get("facts", {}).items() if value is not None]
    if row.best:
        metric, mode, value = row.best
        lines.insert(0, ("best", f"{metric} {number(value)} ({mode})"))
    _lines(console, lines)


def _figure(value: object) -> str:
    """A count or a speed as people write it."""
    if isinstance(value, int):
        return f"{value:,}"
    return str(value) if not isinstance(value, float) else f"{value:,.0f}" if abs(value) >= 1000 else number(value)


def loss(console: Console, row: Row) -> None:
    """The course of the loss, each split on a scale of its own."""
    from ..review.curves import loss_lines

    for line in loss_lines(console, [row], LABEL):
        console.print(line, markup=False, highlight=False)


def doctor(console: Console, row: Row) -> None:
    """What is wrong with the training, if anything is."""
    found = [] if row.damaged else findings(row.path)
    told = [f"{finding.kind}: {finding.what}" for finding in found]
    told = told or ["" if row.damaged else "nothing found"]
    _lines(console, [("doctor" if n == 0 else "", line) for n, line in enumerate(told)])


def origin(console: Console, row: Row) -> None:
    """What was typed, what it was made of, on which code and versions."""
    record = row.record
    parts = [(key, part) for key, part in record.get("plugins", {}).items() if isinstance(part, dict)]
    _lines(
        console,
        [
            ("typed", " ".join(row.overrides) or "(nothing)"),
            ("seed", str(record.get("seed", ""))),
            *(
                (key, " ".join(str(part.get(k) or "") for k in ("plugin", "distribution", "version")))
                for key, part in parts
            ),
            ("git", record.get("git") or ""),
            ("versions", ", ".join(f"{name} {version}" for name, version in record.get("versions", {}).items())),
        ],
    )


def files(console: Console, row: Row) -> None:
    """Where it lies."""
    listed = [("checkpoint" if n == 0 else "", relative(path)) for n, path in enumerate(checkpoints(row))]
    for what, told in (("folder", relative(row.path)), *listed, ("look", f"stepkit board {row.id}")):
        console.print(f"{what:{LABEL}}  {plain(told)}", markup=False, highlight=False, soft_wrap=True)  # to be copied


def checkpoints(row: Row) -> list[Path]:
    """Its checkpoint files."""
    return sorted(path for path in (row.path / "checkpoints").glob("*.ckpt") if path.is_file())


def _lines(console: Console, lines: Sequence[Line]) -> None:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(min_width=LABEL)
    grid.add_column(overflow="fold")
    for what, told in lines:
        if told:
            grid.add_row(Text(plain(what)), Text(plain(told), STYLES.get(told, "") if what == "status" else ""))
    console.print(grid)
