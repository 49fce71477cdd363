"""What would run, with who set each value: which file, which plugin's default, which override, the data.

stepkit config optimizer=sgd
stepkit config --json
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from ..config.prepare import prepare
from ..config.secrets import shown
from ..review.row import flattened
from ..review.tables import wide_console
from .arguments import parser


def main(arguments: Sequence[str]) -> int:
    options = parser("config", __doc__ or "")
    options.add_argument("overrides", nargs="*")
    options.add_argument("--json", action="store_true", help="as JSON: the config, and who set each key")
    given = options.parse(arguments)
    composed = prepare(given.overrides)
    values = shown(composed.cfg)
    rows = [(key, value, composed.where(key)) for key, value in flattened(values) if not _empty(value, key)]
    if given.json:
        print(
            json.dumps(
                {"config": values, "origin": {key: who for key, _, who in rows}, "notes": composed.notes},
                indent=2,
                default=str,
            )
        )
        return 0
    console = wide_console()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("key", "value", "set by"):
        table.add_column(heading, overflow="fold")
    for key, value, who in rows:
        table.add_row(escape(key), escape(_text(value)), f"[dim]{escape(who)}[/dim]")
    console.print(table)
    for note in composed.notes:
        console.print(f"note: {note}", markup=False, highlight=False)
    return 0


def _empty(value: object, key: str) -> bool:
    return value == {} or (value in (None, []) and "." not in key)


def _text(value: object) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
