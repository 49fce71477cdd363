"""Each option's own line of a docstring, in the styles people write: Google and torch, NumPy, reST. Best effort."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from typing import Any

_GOOGLE = r"^(?P<indent>[ \t]*)\*{{0,2}}`*{name}`*[ \t]*(?:\([^\n]*?\))?:[ \t]*(?P<text>\S?[^\n]*)$"
_NUMPY = r"^(?P<indent>[ \t]*){name}[ \t]*:[ \t]*[^\n]*\n(?P<text>[ \t]+\S[^\n]*)$"
_REST = r"^(?P<indent>[ \t]*):param(?:[ \t]+[\w\[\], .|]+)?[ \t]+{name}:[ \t]*(?P<text>[^\n]*)$"
_ROLE = re.compile(r":\w+:`~?([^`<]+?)(?:\s*<[^`]*>)?`")


def docstrings(obj: Any) -> list[str]:
    """Those that may tell of parameters: the object's, its constructor's, and its parents'."""
    found = [obj, getattr(obj, "func", None)]
    if isinstance(obj, type):
        found = [part for cls in obj.__mro__[:-1] for part in (cls, vars(cls).get("__init__"))]
    elif inspect.ismethod(obj):
        found.append(obj.__self__)
    texts = [part.__doc__ for part in found if part is not None]
    return [inspect.cleandoc(text) for text in texts if isinstance(text, str)]


def summary(obj: Any) -> str:
    """The first sentence of the object's own docstring."""
    own = next(iter(docstrings(obj)), "")
    return sentence(own.partition("\n\n")[0])


def option_line(name: str, texts: Iterable[str]) -> str:
    """What the docstrings say of one parameter: its first sentence, "" if nothing is found."""
    for text in texts:
        for pattern in (_GOOGLE, _REST, _NUMPY):
            match = re.search(pattern.format(name=re.escape(name)), text, re.MULTILINE)
            if match is not None:
                return sentence(match["text"].strip() + _continuation(text[match.end() :], len(match["indent"])))
    return ""


def _continuation(rest: str, indent: int) -> str:
    """The lines below that are indented deeper."""
    lines = []
    for line in rest.splitlines()[1:]:
        if not line.strip() or len(line) - len(line.lstrip()) <= indent:
            break
        lines.append(line.strip())
    return " " + " ".join(lines)


def sentence(text: str) -> str:
    """The first sentence, in one line, without reST's marks."""
    flat = _ROLE.sub(r"\1", " ".join(text.split())).replace("``", "")
    end = re.search(r"\.(?=\s|$)(?<!e\.g\.)(?<!i\.e\.)", flat)
    return flat[: end.start()] if end else flat
