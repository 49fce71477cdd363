"""Reading type hints: any annotation as a plain hint (the format: hints.py)."""

from __future__ import annotations

import collections.abc as abc
import dataclasses
import enum
import numbers
import os
import pathlib
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, TypeAlias

Plain: TypeAlias = list[Any]

ANY: Plain = ["any"]
NONE: Plain = ["none"]

_NAMED: dict[Any, str] = {
    **{Any: "any", object: "any", type(None): "none", None: "none", bool: "bool", int: "int", float: "float"},
    **{numbers.Number: "float", numbers.Real: "float", numbers.Integral: "int"},
    **{str: "str", typing.LiteralString: "str", abc.Callable: "callable", types.FunctionType: "callable"},
    **{pathlib.Path: "path", pathlib.PurePath: "path", os.PathLike: "path"},
}
_LISTS = (list, abc.Sequence, abc.MutableSequence, abc.Iterable, abc.Collection, abc.Container, abc.Reversible)
_SETS = (set, frozenset, abc.Set, abc.MutableSet)
_DICTS = (dict, abc.Mapping, abc.MutableMapping)
_WRAPPERS = (typing.Final, typing.ClassVar, typing.Required, typing.NotRequired)

_OF_NUMBERS = ("gt", "ge", "lt", "le", "multiple_of")
_OF_LENGTHS = ("min_length", "max_length")
_LIMITS = {
    **dict.fromkeys(("int", "float"), _OF_NUMBERS),
    **dict.fromkeys(("list", "set", "tuple_of", "dict"), _OF_LENGTHS),
    "str": (*_OF_LENGTHS, "pattern"),
}


def plain(hint: Any, inside: frozenset[type] = frozenset()) -> Plain:
    """A typing hint as plain JSON; what is not understood is ["any"].

    Args:
        inside: the dataclasses being read, at which a recursive one stops.
    """
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return union(plain(member, inside) for member in args)
    if origin is Literal:
        return _literal(args)
    if origin is Annotated:
        return _limited(plain(args[0], inside), _limits(args[1:]))
    if origin in _WRAPPERS:
        return plain(args[0], inside)
    if isinstance(hint, typing.TypeVar):
        members = hint.__constraints__ or (hint.__bound__ or Any,)
        return union(plain(member, inside) for member in members)
    behind = getattr(hint, "__supertype__", None) or getattr(hint, "__value__", None)  # NewType; the `type` statement
    if behind is not None and not isinstance(hint, type):
        return plain(behind, inside)
    return _class(origin or hint, args, inside)


def _class(cls: Any, args: tuple[Any, ...], inside: frozenset[type]) -> Plain:
    named = _NAMED.get(cls) if isinstance(cls, abc.Hashable) else None
    if named:
        return [named]
    if not isinstance(cls, type) or cls in inside:
        return list(ANY)
    if cls is tuple:
        return _tuple(args, inside)
    if cls in _LISTS or cls in _SETS:
        return ["list" if cls in _LISTS else "set", plain(args[0], inside) if args else list(ANY)]
    if cls in _DICTS or typing.is_typeddict(cls):
        return ["dict", *(plain(arg, inside) for arg in args or (Any, Any))]
    if issubclass(cls, enum.Enum):
        return ["enum", list(cls.__members__)]
    if dataclasses.is_dataclass(cls):
        return _dataclass(cls, inside | {cls})
    return ["object", f"{cls.__module__}.{cls.__qualname__}"]


def _tuple(args: tuple[Any, ...], inside: frozenset[type]) -> Plain:
    if len(args) == 2 and args[1] is ...:
        return ["tuple_of", plain(args[0], inside)]
    return ["tuple", [plain(arg, inside) for arg in args]] if args else ["tuple_of", list(ANY)]


def _dataclass(cls: Any, inside: frozenset[type]) -> Plain:
    own = dataclasses.fields(cls)
    required = [f.name for f in own if f.init and f.default is f.default_factory is dataclasses.MISSING]
    shapes = {name: plain(hint, inside) for name, hint in field_hints(cls).items()}
    return ["dataclass", f"{cls.__module__}.{cls.__qualname__}", shapes, required]


def field_hints(cls: Any) -> dict[str, Any]:
    """{field: type} of what a dataclass is made with; Any when its annotations cannot be evaluated."""
    try:
        hints = typing.get_type_hints(cls, include_extras=True)
    except Exception:  # whatever a stranger's annotation raises when evaluated
        hints = {}
    return {field.name: hints.get(field.name, Any) for field in dataclasses.fields(cls) if field.init}


def _literal(values: tuple[Any, ...]) -> Plain:
    members = [value.name for value in values if isinstance(value, enum.Enum)]
    simple = [value for value in values if type(value) in (bool, int, str)]
    parts = [["enum", members]] * bool(members) + [["literal", simple]] * bool(simple)
    return union([*parts, *([NONE] if None in values else [])])


def union(members: Iterable[Plain]) -> Plain:
    """Either of several, flat: each once, literals as one, "float" covering "int", "any" covering all."""
    flat: list[Plain] = []
    values: list[Any] = []
    for member in members:
        for part in member[1:] if member[0] == "union" else [member]:
            if part[0] == "literal":
                values += part[1]
            elif part not in flat:
                flat.append(part)
    if (not flat and not values) or ANY in flat:
        return list(ANY)
    if ["float"] in flat:
        flat = [part for part in flat if part != ["int"]]
    flat[:0] = [["literal", values]] if values else []
    return flat[0] if len(flat) == 1 else ["union", *flat]


def _limits(metadata: Iterable[Any]) -> dict[str, Any]:
    """The limits of annotated_types (Ge, Interval, Len …) and of pydantic's Field, by attribute."""
    found: dict[str, Any] = {}
    for one in metadata:
        found.update(_limits(getattr(one, "metadata", None) or ()))
        for name in (*_OF_NUMBERS, *_OF_LENGTHS, "pattern"):
            value = getattr(one, name, None)
            if type(value) in (int, float, str):
                found[name] = value
    return {name: value for name, value in found.items() if (name, value) != ("min_length", 0)}


def _limited(hint: Plain, limits: Mapping[str, Any]) -> Plain:
    """Limits belong to the members of a union that they can apply to: none to a null."""
    if hint[0] == "union":
        return union(_limited(member, limits) for member in hint[1:])
    if hint[0] == "annotated":
        hint, limits = hint[1], {**hint[2], **limits}
    fitting = {name: value for name, value in limits.items() if name in _LIMITS.get(hint[0], ())}
    return ["annotated", hint, fitting] if fitting else hint
