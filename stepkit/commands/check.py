"""Is this experiment wired right? Shapes, the first loss, gradients, a checkpoint: told before hours are spent.

stepkit check                             the default experiment
stepkit check model=mynet data=mydata     yours
stepkit check --json

Nothing is written. Exit code 1 if a check did not hold, 2 if training would refuse the config.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..config.prepare import prepare
from ..review.tables import duration, plain, wide_console
from .arguments import parser

if TYPE_CHECKING:
    from ..proof.check.result import Check

MARKS = {True: ("✓", "green"), False: ("✗", "bold red"), None: ("–", "dim")}
ASCII = {True: "ok", False: "FAILED", None: "-"}


def main(arguments: Sequence[str]) -> int:
    options = parser("check", __doc__ or "")
    options.add_argument("overrides", nargs="*")
    options.add_argument("--json", action="store_true", help="as JSON: each check, whether it held, what was seen")
    given = options.parse(arguments)
    started = time.monotonic()
    composed = prepare(given.overrides)
    from ..proof.check.run import check  # after the checks of the config: a typo is told before torch is imported

    checks, notes = check(composed)
    failed = [one.name for one in checks if one.held is False]
    notes = [*composed.notes, *(f"data: {note}" for note in notes)]
    if given.json:
        print(json.dumps({"held": not failed, "checks": [asdict(one) for one in checks], "notes": notes}, indent=2))
    else:
        console = wide_console()
        show(console, checks)
        for note in notes:
            console.print(f"note: {note}", markup=False, highlight=False)
        console.print(verdict(checks, time.monotonic() - started), markup=False, highlight=False)
    return 1 if failed else 0


def show(console: Console, checks: Sequence[Check]) -> None:
    """A row a check: whether it held, what was seen, and below that what it means."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for one in checks:
        mark, style = MARKS[one.held]
        mark = mark if _can_write(console, mark) else ASCII[one.held]
        told = Text.assemble(plain(one.saw), "\n", (plain(one.means), "red" if one.held is False else "dim"))
        table.add_row(Text(mark, style), Text(one.name, style if one.held is False else ""), told)
    console.print(table)


def _can_write(console: Console, text: str) -> bool:
    try:
        text.encode(console.encoding)
    except UnicodeEncodeError:
        return False
    return True


def verdict(checks: Sequence[Check], seconds: float) -> str:
    """One line: whether all held, or which did not."""
    judged = [one for one in checks if one.held is not None]
    failed = [one.name for one in judged if not one.held]
    took = f" ({duration(seconds)})"
    if failed:
        return f"{len(failed)} of {len(judged)} checks failed: {', '.join(failed)}{took}"
    return f"all {len(judged)} checks held{took}"
