"""A table of runs: what differs between them, how they ended, their best metrics.

stepkit runs                                        the newest of outputs/
stepkit runs last                                   the newest sweep's trials; or the start of a sweep's id, a folder
stepkit runs --sort accuracy/test --reverse --filter optimizer=adamw 'lr<0.1' status=finished
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from ..config.project import find_project
from ..record.find import all_runs, find_runs
from ..review.query import select, sort
from ..review.row import Row
from ..review.runs import facts, run_columns, show
from ..review.tables import relative, wide_console
from .arguments import parser

NEWEST = 30  # rows where nobody says how many


def main(arguments: Sequence[str]) -> int:
    options = parser("runs", __doc__ or "")
    options.add_argument("place", nargs="?", metavar="SWEEP|FOLDER", help="default: all of outputs/")
    options.add_argument("--sort", metavar="COLUMN", help="a column, a metric or a key of the config; smallest first")
    options.add_argument("--reverse", action="store_true", help="largest first")
    options.add_argument(
        "--filter", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="also != < > <= >=, ~ for a part"
    )
    options.add_argument("--limit", type=int, default=NEWEST, metavar="N", help=f"rows shown; default: {NEWEST}")
    options.add_argument("--all", action="store_true", help="every row")
    options.add_argument("--json", action="store_true", help="as JSON: all of run.json, and what was typed")
    given = options.parse(arguments)
    if given.limit < 1:
        options.error(f"--limit {given.limit}: a number from 1 is wanted")
    outputs = find_project().outputs
    found = [Row(path) for path in (find_runs(given.place, outputs) if given.place else all_runs(outputs))]
    rows = select(found, given.filter)
    if given.sort:
        rows = sort(rows, given.sort, reverse=given.reverse)
    elif given.reverse:
        rows.reverse()
    chosen = rows if given.all else rows[: given.limit]
    if given.json:
        print(json.dumps([facts(row) for row in chosen], indent=2))
        return 0
    console = wide_console()
    if chosen:
        show(console, chosen, run_columns(chosen))
    if len(chosen) < len(rows):
        console.print(f"{len(chosen)} of {len(rows):,} runs; --all shows all", markup=False, highlight=False)
    elif not rows:
        none = f"none of {len(found):,} runs fits" if found else f"no runs yet under {relative(outputs)}"
        console.print(none, markup=False, highlight=False)
    return 0
