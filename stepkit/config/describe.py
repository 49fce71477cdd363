"""A plugin's options as plain JSON: enough to check, complete and show them without importing the plugin again."""

from __future__ import annotations

import enum
import inspect
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from ..errors import BrokenPlugin
from ..plugins import Plugin
from . import cache, docstrings
from .annotations import union
from .callables import code_of
from .hints import Plain, plain
from .signatures import EMPTY, Parameter, signature
from .values import fit

HIDDEN = {"optimizer": 1, "scheduler": 1}  # leading parameters that stepkit fills: the model's, the optimizer
BY_POSITION = "given only by position, and stepkit gives options by name"


class _LeftOut(enum.Enum):
    LEFT_OUT = "left out"


LEFT_OUT: Final = _LeftOut.LEFT_OUT  # there is no default, or one that JSON cannot hold: a tensor, a lambda, a module


@dataclass(frozen=True)
class Option:
    """One option of a plugin.

    Attributes:
        hint: its type, as a plain hint (`hints.py`).
        default: a plain value (lists for tuples, an enum member's name), or LEFT_OUT.
        doc: what the docstring says of it, one sentence.
        left_out: why it cannot be set from a config, "" when it can.
        passed_on: taken through **kwargs by a parent.
    """

    name: str
    hint: Plain
    required: bool
    default: Any = LEFT_OUT
    doc: str = ""
    left_out: str = ""
    passed_on: bool = False


@dataclass(frozen=True)
class Description:
    """What a plugin takes.

    Attributes:
        reference: `module:attribute`.
        summary: the docstring's first line.
        open: options of any other name are accepted too.
        source: `file:line`, "" when not written in Python.
    """

    reference: str
    summary: str
    options: Mapping[str, Option]
    open: bool
    source: str

    def to_plain(self) -> dict[str, Any]:
        """As JSON values; a default that is left out has no key."""
        options = [asdict(option) for option in self.options.values()]
        kept = [{k: v for k, v in option.items() if v is not LEFT_OUT} for option in options]
        return {**{k: getattr(self, k) for k in ("reference", "summary", "open", "source")}, "options": kept}

    @classmethod
    def from_plain(cls, facts: Mapping[str, Any]) -> Description:
        """The inverse of `to_plain`. Raises TypeError or KeyError for anything else."""
        options = [Option(**option) for option in facts["options"]]
        return cls(**{**facts, "options": {option.name: option for option in options}})


def describe(obj: Any, reference: str, *, skip: int = 0) -> Description:
    """Describe a class, function, class method or partial, without its first `skip` positional parameters.

    Raises BrokenPlugin for what cannot be called.
    """
    if not callable(obj):
        raise BrokenPlugin(f"{reference}: a class or function is wanted, this is {type(obj).__name__} {obj!r:.60}")
    found = signature(obj, skip)
    lines = docstrings.option_lines(obj, found.parameters)
    options = {name: _option(parameter, lines.get(name, "")) for name, parameter in found.parameters.items()}
    return Description(reference, docstrings.summary(obj), options, found.open, _source(obj))


def described(plugin: Plugin) -> Description:
    """A plugin's description: remembered from its last import, else imported now. Raises BrokenPlugin."""
    known = cached(plugin)
    if known is None:
        obj = plugin.load()
        known = describe(obj, plugin.reference, skip=HIDDEN.get(plugin.group, 0))
        cache.write(plugin, known.to_plain(), cache.sources(obj))
    return known


def cached(plugin: Plugin) -> Description | None:
    """A plugin's description if it is remembered and the source has not changed since; imports nothing."""
    try:
        facts = cache.read(plugin)
        return None if facts is None else Description.from_plain(facts)
    except (TypeError, KeyError):  # written by something else
        return None


def _option(parameter: Parameter, doc: str) -> Option:
    hint = plain(parameter.hint)
    default = _plain_default(parameter, hint)
    return Option(
        name=parameter.name,
        hint=_widened(hint, default),
        required=parameter.default is EMPTY and not parameter.variadic,
        default=default,
        doc=doc,
        left_out=BY_POSITION if parameter.by_position else "",
        passed_on=parameter.passed_on,
    )


def _plain_default(parameter: Parameter, hint: Plain) -> Any:
    default = parameter.default
    if isinstance(default, enum.Enum) and "enum" not in _kinds(hint):
        # Annotated as the str (int) that it also is, its value is what a user would write.
        default = default.value if isinstance(default, str | int) else EMPTY
    return _plain_value(default)


def _kinds(hint: Plain) -> list[str]:
    return [member[0] for member in hint[1:]] if hint[0] == "union" else [hint[0]]


def _plain_value(value: Any) -> Any:
    """A default as JSON, or LEFT_OUT."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, enum.Enum):
        return value.name
    for kind in (int, float, str):
        if isinstance(value, kind):
            return kind(value)  # numpy's float64 is a float too
    if isinstance(value, os.PathLike):
        return str(value)
    if isinstance(value, list | tuple):
        items = [_plain_value(item) for item in value]
        return LEFT_OUT if LEFT_OUT in items else items
    if type(value) is dict and all(isinstance(key, str) for key in value):
        mapping = {key: _plain_value(item) for key, item in value.items()}
        return LEFT_OUT if LEFT_OUT in mapping.values() else mapping
    return LEFT_OUT


def _widened(hint: Plain, default: Any) -> Plain:
    """A default that contradicts its own annotation (`alpha: float = None`) is right: the annotation is too narrow."""
    if default is LEFT_OUT:
        return hint
    try:
        fit(hint, default)
    except ValueError:
        return union([hint, plain(type(default))])
    return hint


def _source(obj: Any) -> str:
    code = code_of(obj)
    try:
        target = obj if isinstance(obj, type) or code is None else code.function
        return f"{inspect.getsourcefile(target)}:{inspect.findsource(target)[1] + 1}"
    except (OSError, TypeError):  # made at run time, or written in C
        return ""
