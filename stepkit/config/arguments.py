"""Config values as the Python arguments of a call: the last step before a plugin is built."""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from collections.abc import Mapping
from typing import Annotated, Any

from .annotations import field_hints
from .describe import Description
from .signatures import signature
from .values import fit


def arguments(obj: Any, description: Description, values: Mapping[str, Any]) -> dict[str, Any]:
    """Tuples, paths, enum members and dataclasses out of plain values; parts that are built already stay as they are.

    A value that equals its option's default is left away: then the plugin's own default serves, a tuple where the
    config can only show a list. Raises ValueError for a value that does not fit.
    """
    parameters = signature(obj).parameters
    given = {}
    for name, value in values.items():
        option, parameter = description.options.get(name), parameters.get(name)
        if option is None or parameter is None:
            given[name] = value
        elif option.required or not _same(value, option.default):
            given[name] = _native(parameter.hint, fit(option.hint, value))
    return given


def _same(value: Any, default: Any) -> bool:
    return type(value) is type(default) and bool(value == default)


def _native(hint: Any, value: Any) -> Any:
    """The value with names of enum members, and mappings of a dataclass's fields, made into what the hint says."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return _native(args[0], value)
    if origin in (typing.Union, types.UnionType):
        made = (_native(member, value) for member in args)
        return next((new for new in made if new is not value), value)
    if isinstance(hint, type) and issubclass(hint, enum.Enum) and isinstance(value, str):
        return hint.__members__.get(value, value)
    mapping = isinstance(value, dict) and "_target_" not in value
    if isinstance(hint, type) and dataclasses.is_dataclass(hint) and mapping:
        fields = field_hints(hint)
        return hint(**{name: _native(fields[name], field) for name, field in value.items()})
    if mapping and len(args) == 2:
        return {key: _native(args[1], item) for key, item in value.items()}
    if isinstance(value, list | tuple | set) and args:
        hints = args if origin is tuple and args[-1] is not ... else args[:1] * len(value)
        return type(value)(map(_native, hints, value)) if len(hints) == len(value) else value
    return value
