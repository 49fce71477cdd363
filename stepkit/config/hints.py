"""Plain hints: types as JSON, so that values are checked and shown without importing the plugin that wrote the type.

A plain hint is a list whose head names the kind:

    ["any"] ["none"] ["bool"] ["int"] ["float"] ["str"] ["path"] ["callable"]
    ["list", X] ["set", X] ["tuple", [X, Y]] ["tuple_of", X] ["dict", K, V] ["union", X, Y, …]
    ["literal", values] ["enum", member names] ["annotated", X, {"ge": 1}]
    ["object", "torch.Tensor"]                      a type that YAML cannot write
    ["dataclass", "pkg.Options", {field: X}, required fields]

Under "any", "callable", "object" and "dataclass" a config may also hold a part: a mapping with `_target_`, built later.
"""

from __future__ import annotations

import enum
import pathlib
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from .annotations import NONE, Plain, plain

__all__ = ["Plain", "json_schema", "plain", "typing_of", "words", "writable"]

_WORDS = {  # one, and several as in "a list of …"
    "any": ("any value", "values"),
    "none": ("null", "nulls"),
    "bool": ("true or false", "true or false values"),
    "int": ("a whole number", "whole numbers"),
    "float": ("a number", "numbers"),
    "str": ("text", "texts"),
    "path": ("a path", "paths"),
    "callable": ("a function", "functions"),
}
_OF_SEVERAL = ("list", "set", "tuple", "tuple_of", "dict", "dataclass")
_LIMIT_WORDS = {
    "ge": "of at least {}",
    "gt": "above {}",
    "le": "of at most {}",
    "lt": "below {}",
    "multiple_of": "divisible by {}",
    "min_length": "of length {} or more",
    "max_length": "of length {} or less",
    "pattern": "like {}",
}
_LIMIT_SCHEMA = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
_SCHEMA: dict[str, dict[str, Any]] = {
    "any": {},
    "none": {"type": "null"},
    "bool": {"type": "boolean"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "str": {"type": ["string", "number"]},  # a number becomes its text
    "path": {"type": "string"},
}
_YAML = (bool, int, float, str, list, tuple, dict, type(None))  # what a config file can hold
_PART_SCHEMA = {"type": "object", "required": ["_target_"]}


def writable(hint: Plain) -> bool:
    """Whether YAML can write a value of it, other than null and parts."""
    match hint:
        case ["object" | "callable", *_]:
            return False
        case ["union", *members]:
            return any(writable(member) for member in members if member != NONE)
        case ["tuple", items]:
            return all(map(writable, items))
        case ["list" | "set" | "tuple_of", inner] | ["dict", _, inner] | ["annotated", inner, _]:
            return writable(inner)
        case ["dataclass", _, fields, required]:
            return all(writable(fields[name]) for name in required)
    return True


def words(hint: Plain, *, several: bool = False) -> str:
    """What is wanted: "a number", "a whole number or null", "a list of 2 numbers"; `several` as in "a list of …"."""
    match hint:
        case ["union", *members]:
            return _either(members, several)
        case ["list" | "set" | "tuple_of", inner]:
            return f"{'lists' if several else 'a list'} of {words(inner, several=True)}"
        case ["tuple", items]:
            return _row(items, several)
        case ["dict", _, inner]:
            return f"{'mappings' if several else 'a mapping'} from names to {words(inner, several=True)}"
        case ["literal" | "enum", values]:
            shown = ", ".join(map(_value, values))
            return f"one of {shown}" if len(values) > 1 else shown
        case ["annotated", inner, limits]:
            told = " and ".join(_LIMIT_WORDS[name].format(limit) for name, limit in limits.items())
            return f"{words(inner, several=several)} {told}"
        case ["object", name]:
            short = name.rpartition(".")[2]
            return f"{short} objects" if several else f"{'an' if short[0] in 'AEIOUaeiou' else 'a'} {short}"
        case ["dataclass", _, fields, _]:
            return f"{'mappings' if several else 'a mapping'} with the keys {', '.join(fields)}"
    return _WORDS[hint[0]][several]


def _either(members: list[Plain], several: bool) -> str:
    """What YAML cannot write is not offered; lists come after single values, and null last."""
    offered = [member for member in members if member != NONE and writable(member)]
    offered = offered or [member for member in members if member != NONE]
    offered.sort(key=lambda member: member[0] in _OF_SEVERAL)
    told = [text for m in offered for text in (["true", "false"] if m == ["bool"] else [words(m, several=several)])]
    told = [*dict.fromkeys(told), *(["null"] if NONE in members else [])]
    return " or ".join(filter(None, [", ".join(told[:-1]), told[-1]]))


def _row(items: list[Plain], several: bool) -> str:
    start = f"{'lists' if several else 'a list'} of {len(items)}"
    if all(item == items[0] for item in items):
        return f"{start} {words(items[0], several=len(items) > 1).removeprefix('a ')}" if items else "an empty list"
    return f"{start}: {', '.join(map(words, items))}"


def _value(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)


def json_schema(hint: Plain) -> dict[str, Any]:
    """JSON schema (2020-12) of what a YAML file may hold for it, parts included."""
    match hint:
        case ["union", *members]:
            return {"anyOf": [json_schema(member) for member in members]}
        case ["list" | "set" | "tuple_of", inner]:
            return {"type": "array", "items": json_schema(inner)}
        case ["tuple", items]:
            first = {"prefixItems": [*map(json_schema, items)]} if items else {}  # the standard allows no empty list
            return {"type": "array", **first, "minItems": len(items), "maxItems": len(items)}
        case ["dict", _, inner]:
            return {"type": "object", "additionalProperties": json_schema(inner)}
        case ["literal" | "enum", values]:
            return {"enum": values}
        case ["annotated", inner, limits]:
            return {**json_schema(inner), **_limit_schema(inner, limits)}
        case ["dataclass", _, fields, required]:
            own = {name: json_schema(field) for name, field in fields.items()}
            whole = {"type": "object", "properties": own, "required": required, "additionalProperties": False}
            return {"anyOf": [whole, _PART_SCHEMA]}
    return dict(_SCHEMA.get(hint[0], _PART_SCHEMA))


def _limit_schema(inner: Plain, limits: Mapping[str, Any]) -> dict[str, Any]:
    unit = {"str": "Length", "dict": "Properties"}.get(inner[0], "Items")
    lengths = {"multiple_of": "multipleOf", "min_length": f"min{unit}", "max_length": f"max{unit}"}
    return {{**_LIMIT_SCHEMA, **lengths}.get(name, name): limit for name, limit in limits.items()}


def typing_of(hint: Plain) -> Any:
    """A typing hint that pydantic enforces by stepkit's rules (values.py), made without the plugin's own classes."""
    from pydantic import Field, PlainValidator, Strict

    match hint:
        case ["bool"]:
            return Annotated[bool, Strict()]
        case ["int"]:
            return Annotated[int, Strict()]
        case ["float"]:
            return typing_of(["int"]) | Annotated[float, Strict()]  # an int stays an int
        case ["annotated", ["float"], limits]:
            return Annotated[int, Strict(), Field(**limits)] | Annotated[float, Strict(), Field(**limits)]
        case ["annotated", inner, limits]:
            return Annotated[typing_of(inner), Field(**limits)]
        case ["union", *members]:
            return typing.Union[tuple(map(typing_of, members))]  # noqa: UP007 (members are known at run time only)
        case ["list" | "set" | "tuple_of" as kind, inner]:
            item = typing_of(inner)
            return {"list": list[item], "set": set[item], "tuple_of": tuple[item, ...]}[kind]  # type: ignore[valid-type]
        case ["tuple", items]:
            return tuple[tuple(map(typing_of, items))]  # type: ignore[misc]
        case ["dict", key, value]:
            return dict[typing_of(key), typing_of(value)]  # type: ignore[misc]
        case ["any" | "none" | "str" | "path" as kind]:
            return {"any": Any, "none": None, "str": str, "path": pathlib.Path}[kind]
    return Annotated[Any, PlainValidator(_validator(hint))]


def _validator(hint: Plain) -> Callable[[Any], Any]:
    match hint:
        case ["literal", values]:
            return _holding(lambda value: any(type(value) is type(one) and value == one for one in values))
        case ["enum", names]:
            return _holding(lambda value: value.name in names if isinstance(value, enum.Enum) else value in names)
        case ["callable"]:
            return _holding(lambda value: callable(value) or _is_part(value))
        case ["dataclass", _, fields, required]:
            return _fields(fields, required)
    return _holding(lambda value: _is_part(value) or not isinstance(value, _YAML))


def _is_part(value: object) -> bool:
    return isinstance(value, dict) and "_target_" in value


def _holding(holds: Callable[[Any], bool]) -> Callable[[Any], Any]:
    def validate(value: Any) -> Any:
        if not holds(value):
            raise ValueError("another value is wanted")
        return value

    return validate


def _fields(fields: Mapping[str, Plain], required: list[str]) -> Callable[[Any], Any]:
    """A mapping of a dataclass's fields, checked one by one; a part, or the dataclass itself, as it is."""
    from pydantic import ConfigDict, TypeAdapter

    config = ConfigDict(coerce_numbers_to_str=True)
    adapters = {name: TypeAdapter(typing_of(field), config=config) for name, field in fields.items()}

    def validate(value: Any) -> Any:
        if not isinstance(value, dict):
            return _validator(["object", ""])(value)
        if _is_part(value):
            return value
        if not set(required) <= set(value) <= set(fields):
            raise ValueError("other keys are wanted")
        return {name: adapters[name].validate_python(field) for name, field in value.items()}

    return validate
