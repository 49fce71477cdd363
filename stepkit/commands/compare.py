"""What differs between runs: keys of the config, results, the course of the loss.

stepkit compare last f215fe
stepkit compare b2375a/0 b2375a/1 b2375a/2 --json
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..config.project import find_project
from ..errors import BadSyntax
from ..record.find import find_run
from ..review.comparison import as_json, code, config, differences, labels, results
from ..review.query import text
from ..review.row import Row
from ..review.runs import LONGEST
from ..review.tables import duration, number, plain, wide_console
from .arguments import parser

HEAD: dict[str, Callable[[Row], str]] = {
    "experiment": lambda row: str(row.record.get("experiment", "")),
    "name": lambda row: str(row.record.get("name") or ""),
    "status": lambda row: row.status,
    "took": lambda row: "" if row.record.get("duration") is None else duration(row.record["duration"]),
}


def main(arguments: Sequence[str]) -> int:
    options = parser("compare", __doc__ or "")
    options.add_argument("runs", nargs="+", metavar="RUN", help="a path, the start of an id, or last; two or more")
    options.add_argument("--json", action="store_true", help="as JSON: config keys that differ, and all metrics")
    given = options.parse(arguments)
    outputs = find_project().outputs
    rows = [Row(path) for path in dict.fromkeys(find_run(run, outputs) for run in given.runs)]
    if len(rows) < 2:
        raise BadSyntax(f"compare {' '.join(given.runs)}: one run only; name two or more")
    if given.json:
        print(json.dumps(as_json(rows), indent=2))
    else:
        _show(wide_console(), rows)
    return 0


def _show(console: Console, rows: Sequence[Row]) -> None:
    from ..review.curves import loss_lines  # the only part that reads event files

    names = labels(rows)
    measured = results(rows)
    told = [
        ("run", {what: dict(zip(names, map(cell, rows), strict=True)) for what, cell in HEAD.items()}),
        ("config", {key: {n: text(v) for n, v in values.items()} for key, values in config(rows).items()}),
        ("code", {key: {n: text(v) for n, v in values.items()} for key, values in code(rows).items()}),
        ("metric", {tag: _with_differences(values, names[0]) for tag, values in measured.items()}),
    ]
    for heading, lines in told:
        lines = {key: cells for key, cells in lines.items() if any(cells.values())}
        if lines:
            _table(console, heading, names, lines)
    for name in (name for name, row in zip(names, rows, strict=True) if not row.config):
        console.print(f"{plain(name)}: no config.yaml that can be read", markup=False, highlight=False)
    if not told[1][1]:
        console.print("no key of the config differs", highlight=False)
    for line in loss_lines(console, rows):
        console.print(line, markup=False, highlight=False)


def _with_differences(values: Mapping[str, float], first: str) -> dict[str, str]:
    """`0.9037 (-0.04444)`: in brackets, how far from the first run."""
    moved = differences(values, first)
    return {name: number(v) + (f" ({moved[name]:+.4g})" if name in moved else "") for name, v in values.items()}


def _table(console: Console, heading: str, names: Sequence[str], lines: Mapping[str, Mapping[str, str]]) -> None:
    longest = LONGEST if console.is_terminal else None
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in (heading, *names):
        table.add_column(Text(plain(title, longest)), overflow="fold")
    for key, cells in lines.items():
        table.add_row(*(Text(plain(cell, longest)) for cell in (key, *(cells.get(name, "") for name in names))))
    console.print(table)
