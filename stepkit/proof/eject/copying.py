"""One definition as text: without what is left out, with other names where names were taken."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping

from .sources import Source

WIDTH = 120
_FOR_CHECKERS = re.compile(r"\s*# (type: ignore\S*|noqa\b[^(]*)( +(?=#)| *\(.*\)$| *$)")


def copy_of(
    found: Source, own: str, called: str, left_out: set[ast.AST], names: Mapping[ast.Name, str], *, brief: bool
) -> list[str]:
    """The lines of the definition `own`, which the file calls `called`.

    Args:
        left_out: statements that are not copied.
        names: uses of names that are called something else in the file.
        brief: of each docstring the first paragraph only.
    """
    node = found.definitions[own]
    lines: dict[int, str | None] = {n: found.lines[n - 1] for n in range(_first(node), _last(node) + 1)}
    for name, new in sorted(names.items(), key=lambda item: (item[0].lineno, -item[0].col_offset)):
        lines[name.lineno] = _replaced(lines[name.lineno] or "", name.col_offset, name.id, new)
    if called != own:
        at = node.lineno
        lines[at] = re.sub(rf"\b{re.escape(own)}\b", called, lines[at] or "", count=1)
    for parent in ast.walk(node):
        for block in _blocks(parent):
            _cut(lines, found, block, left_out)
    for inner in _docstrings(node) if brief else ():
        _shorten(lines, inner)
    for part in ast.walk(node) if brief else ():
        _pack(lines, part)
    kept = [found.lines[n - 1] for n in _comment_above(found, _first(node))]
    kept += [_FOR_CHECKERS.sub("", line).rstrip() for line in lines.values() if line is not None]
    return _without_gaps(kept)


def _first(node: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(decorator.lineno for decorator in decorators)])


def _last(node: ast.stmt) -> int:
    return node.end_lineno or node.lineno


def _comment_above(found: Source, line: int) -> range:
    """The lines of a comment that stands right above; a ruler between parts of the module is not meant."""
    first = line
    while first > 1 and found.lines[first - 2].startswith("#") and not found.lines[first - 2].startswith("# --"):
        first -= 1
    return range(first, line)


def _replaced(line: str, column: int, old: str, new: str) -> str:
    raw = line.encode()  # columns of a syntax tree count bytes
    return (raw[:column] + new.encode() + raw[column + len(old.encode()) :]).decode()


def _blocks(node: ast.AST) -> Iterator[list[ast.stmt]]:
    for field in ("body", "orelse", "finalbody"):
        block = getattr(node, field, None)
        if isinstance(block, list) and block:
            yield block


def _cut(lines: dict[int, str | None], found: Source, block: list[ast.stmt], left_out: set[ast.AST]) -> None:
    """Take statements away with the comments above them; a block that loses all of them passes."""
    gone = [statement for statement in block if statement in left_out]
    for statement in gone:
        first = _first(statement)
        while first - 1 in lines and found.lines[first - 2].lstrip().startswith("#"):
            first -= 1
        for n in range(first, _last(statement) + 1):
            lines[n] = None
    if gone and len(gone) == len(block):
        lines[_first(gone[0])] = " " * gone[0].col_offset + "pass"


def _docstrings(node: ast.AST) -> Iterator[ast.Expr]:
    for inner in ast.walk(node):
        if isinstance(inner, ast.ClassDef | ast.FunctionDef) and ast.get_docstring(inner) is not None:
            text = inner.body[0]
            assert isinstance(text, ast.Expr)
            yield text


def _shorten(lines: dict[int, str | None], text: ast.Expr) -> None:
    first, last = text.lineno, _last(text)
    blank = next(
        (n for n in range(first + 1, last + 1) if lines.get(n) is not None and not (lines[n] or "").strip()), None
    )
    if blank is None:
        return
    for n in range(blank, last + 1):
        lines[n] = None
    whole = (lines[blank - 1] or "") + '"""'
    if len(whole) <= WIDTH:
        lines[blank - 1] = whole
    else:
        lines[blank] = " " * text.col_offset + '"""'


def _pack(lines: dict[int, str | None], node: ast.AST) -> None:
    """Parameters of a function and items of a literal that stand one a line, on as few lines as hold them."""
    if isinstance(node, ast.FunctionDef):
        first, last = node.lineno, node.body[0].lineno - 1
        while last > first and not (lines.get(last) or "").endswith(":"):
            last -= 1
    elif isinstance(node, ast.Dict | ast.List | ast.Tuple | ast.Call):
        first, last = node.lineno, node.end_lineno or node.lineno
    else:
        return
    inner = [lines.get(n) or "" for n in range(first + 1, last)]
    indents = {len(line) - len(line.lstrip()) for line in inner}
    if len(inner) < 2 or len(indents) > 1 or any("#" in line for line in inner):
        return
    packed = [" " * indents.pop() + inner[0].strip()]
    for item in inner[1:]:
        if len(packed[-1]) + 1 + len(item.strip()) <= WIDTH:
            packed[-1] += f" {item.strip()}"
        else:
            packed.append(" " * (len(item) - len(item.lstrip())) + item.strip())
    if len(packed) == 1:
        packed[0] = packed[0].rstrip(",")
    for n in range(first + 1, last):
        lines[n] = packed[n - first - 1] if n - first - 1 < len(packed) else None


def _without_gaps(lines: list[str]) -> list[str]:
    """No two blank lines in a row, none before the first line of a block or at the end."""
    kept: list[str] = []
    for line in lines:
        if not line and (not kept or not kept[-1]):
            continue
        kept.append(line)
    while kept and not kept[-1]:
        kept.pop()
    return kept
