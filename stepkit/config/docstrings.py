"""What docstrings say of each option: the Google, NumPy and reST styles, and torch's mix of them, as well as can be."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Iterable, Iterator
from typing import Any

_MARKED = (  # "lr (float, optional): text", "- **lr**: text", ":param float lr: text"
    r"^(?P<indent>\s*)(?:[-*]\s+)?(?::param\s+(?:[^:\n]*\s)?)?[*`]*{name}[*`]*"
    r"\s*(?:\([^\n]*?\))?\s*:[*`]*[ \t]*(?P<text>.*)$"
)
_NUMPY = r"^(?P<indent>\s*)(?:\w+\s*,\s*)*{name}(?:\s*,\s*\w+)*(?:\s*:[^\n]*)?$"
_SENTENCE = re.compile(r"(.+?(?<!e\.g)(?<!i\.e)(?<!etc)[.!?])(?=\s|$)")
_MARKUP = re.compile(r"(?::[\w:]+:)?`+~?([^`<]*?)(?:\s*<[^`>]*>)?`+_{0,2}")  # :class:`~a.b`, ``code``, `link <…>`_
_DEFAULT = re.compile(r"\s*[(\[]\s*defaults?\b[^()]*(?:\([^()]*\)[^()]*)*[)\]]", re.IGNORECASE)


def summary(obj: Any) -> str:
    """The first line of the docstring: the class's, else the function's; "" without one."""
    return next((_clean(_paragraph(text)) for text in _docstrings(obj)), "")


def option_lines(obj: Any, names: Iterable[str]) -> dict[str, str]:
    """{option: the first sentence on it}, for the options that some docstring of `obj` or of its parents explains."""
    texts = list(_docstrings(obj, parents=True))
    found = {name: next(filter(None, (_line(text, name) for text in texts)), "") for name in names}
    return {name: line for name, line in found.items() if line}


def _docstrings(obj: Any, *, parents: bool = False) -> Iterator[str]:
    if isinstance(obj, functools.partial):
        yield from _docstrings(obj.func, parents=parents)
        return
    sources: list[Any] = [obj]
    if isinstance(obj, type):
        for base in obj.__mro__ if parents else (obj,):
            sources += [base, vars(base).get("__init__"), vars(base).get("__new__")]
    for source in sources:
        text = getattr(source, "__doc__", None)
        if isinstance(text, str) and text.strip() and source is not object and source is not object.__init__:
            yield inspect.cleandoc(text)


def _line(text: str, name: str) -> str:
    numpy = re.search(r"^\s*Parameters\s*\n\s*---", text, re.MULTILINE)
    pattern = (_NUMPY if numpy else _MARKED).format(name=re.escape(name))
    match = re.search(pattern, text, re.MULTILINE)
    if match is None:
        return ""
    indent = len(match["indent"])
    first = "" if numpy else match["text"].strip()
    return _clean(" ".join(filter(None, [first, *_deeper(text[match.end() :].lstrip("\n"), indent)])))


def _deeper(text: str, indent: int) -> Iterator[str]:
    """The lines that continue an entry: indented deeper than it, up to an empty one."""
    for line in text.splitlines():
        if not line.strip() or len(line) - len(line.lstrip()) <= indent:
            return
        yield line.strip()


def _paragraph(text: str) -> str:
    return " ".join(line.strip() for line in text.split("\n\n")[0].splitlines())


def _clean(text: str) -> str:
    """The first sentence, without markup and without the default, which is shown beside it."""
    text = _DEFAULT.sub("", _MARKUP.sub(r"\1", text))
    text = re.sub(r"\s+", " ", text).strip()
    match = _SENTENCE.match(text)
    return (match[1] if match else text).rstrip(".").strip()
