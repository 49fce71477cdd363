"""What a name means in a table of runs; which rows, in which order; and which settings differ between them."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ..errors import BadSyntax, UnknownName
from .row import Row, as_float
from .tables import plain

FIELDS: dict[str, Callable[[Row], Any]] = {
    "run": lambda row: row.id,
    "status": lambda row: row.status,
    "experiment": lambda row: row.record.get("experiment"),
    "name": lambda row: row.record.get("name"),
    "tags": lambda row: " ".join(str(tag) for tag in row.record.get("tags", ())),
    "notes": lambda row: row.record.get("notes"),
    "error": lambda row: row.damaged or row.record.get("error"),
    "best": lambda row: row.best and row.best[2],
    "duration": lambda row: row.record.get("duration"),
    "when": lambda row: row.record.get("started"),
    "seed": lambda row: row.record.get("seed"),
    "git": lambda row: row.record.get("git"),
}
_ORDERED: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}
_OWN_COLUMN = {"experiment", "name", "tags", "notes"}
_CONDITION = re.compile(r"([^=!<>~]+)(!=|<=|>=|=|<|>|~)(.*)", re.DOTALL)


def sort(rows: Sequence[Row], column: str, *, reverse: bool = False) -> list[Row]:
    """Smallest first, numbers before text; rows without a value last, whichever way. Raises UnknownName."""
    key = resolve(rows, column)
    values = {id(row): value_of(row, key) for row in rows}
    known = [row for row in rows if not _missing(values[id(row)])]
    known.sort(key=lambda row: _order(values[id(row)]), reverse=reverse)
    return known + [row for row in rows if _missing(values[id(row)])]


def select(rows: Sequence[Row], conditions: Sequence[str]) -> list[Row]:
    """The rows for which every condition holds: =, !=, <, >, <=, >=, or ~ for a part of a text.

    Raises BadSyntax, UnknownName.
    """
    left = list(rows)
    for text in conditions:
        match = _CONDITION.fullmatch(text)
        if match is None:
            raise BadSyntax(
                f"--filter {text}: not a condition; write key=value, key!=value, 'key<1', 'key>1' or key~part"
            )
        key, sign, wanted = match[1].strip(), match[2], match[3].strip()
        key = resolve(rows, key)
        left = [row for row in left if _holds(value_of(row, key), sign, wanted)]
    return left


def resolve(rows: Sequence[Row], name: str) -> str:
    """The full key that a name means: a field, a metric, a heading of what differs, a key of the config.

    Raises UnknownName, or BadSyntax for the end of several keys.
    """
    if name in FIELDS or any(name in row.metrics or name in row.record.get("facts", ()) for row in rows):
        return name
    if name in (headings := differing(rows)):
        return headings[name]
    keys = dict.fromkeys(key for row in rows for key in (*row.plugins, *row.typed, *row.config))
    ends = [name] if name in keys else [key for key in keys if key.endswith(f".{name}")]
    if len(ends) > 1:
        raise BadSyntax(f"{name}: the end of several keys: {', '.join(ends[:4])}; write one of them")
    if not ends and rows:
        raise UnknownName("column", name, (*FIELDS, *(tag for row in rows for tag in row.metrics), *headings, *keys))
    return ends[0] if ends else name


def differing(rows: Sequence[Row]) -> dict[str, str]:
    """Keys that were typed for some of these runs and are not the same in all: their shortest names -> full keys."""
    typed = [key for key in dict.fromkeys(key for row in rows for key in row.typed) if key not in _OWN_COLUMN]
    sound = [row for row in rows if not row.damaged]
    keys = [key for key in typed if len({_same(setting(row, key)) for row in sound}) > 1]
    return {shortest(key, [*keys, *FIELDS]): key for key in keys}


def _same(value: str | None) -> str | float | None:
    """1e-1 is 0.1."""
    as_number = as_float(value)
    return value if math.isnan(as_number) else as_number


def shortest(key: str, among: Iterable[str]) -> str:
    """The fewest last parts of a dotted key that no other key ends with."""
    parts, others = key.split("."), [f".{other}" for other in among if other != key]
    ends = (".".join(parts[-n:]) for n in range(1, len(parts) + 1))
    return next((end for end in ends if not any(other.endswith(f".{end}") for other in others)), key)


def value_of(row: Row, key: str) -> Any:
    """What a row holds under a key of `resolve`; None if nothing."""
    if key in FIELDS:
        return FIELDS[key](row)
    if key in row.metrics:
        return row.metrics[key]
    facts = row.record.get("facts", {})
    return facts[key] if key in facts else setting(row, key)


def setting(row: Row, key: str) -> str | None:
    """A key of the config as text: as it was typed, else the part's plugin, else from config.yaml."""
    if key in row.typed:
        return row.typed[key]
    if key in row.plugins:
        return row.plugins[key]
    return text(row.config[key]) if key in row.config else None


def text(value: Any) -> str:
    """A value as one writes it on the command line."""
    if isinstance(value, list):
        return f"[{','.join(map(text, value))}]"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else plain(value)


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _order(value: Any) -> tuple[bool, float, str]:
    number = as_float(value)
    return (math.isnan(number), 0.0 if math.isnan(number) else number, str(value))


def _holds(value: Any, sign: str, wanted: str) -> bool:
    if sign == "~":
        return value is not None and wanted.lower() in text(value).lower()
    if value is None:  # unknown is neither smaller nor larger; and it is not equal to anything but null
        return (sign == "=" and wanted == "null") or (sign == "!=" and wanted != "null")
    one, other = as_float(value), as_float(wanted)
    numeric = not (math.isnan(one) or math.isnan(other))
    if sign in _ORDERED:
        return numeric and _ORDERED[sign](one, other)
    return (one == other if numeric else text(value) == wanted) == (sign == "=")
