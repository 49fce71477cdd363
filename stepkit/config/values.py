"""Whether a value from a config is what an option takes, by the option's plain hint alone.

A bool is no number and a number is no bool; text in quotes is no number, but a number given for text becomes its text;
an int serves where a float is wanted, and stays an int; a list serves for a tuple.
"""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

from ..errors import nearest
from .hints import Plain, typing_of, words, writable

if TYPE_CHECKING:
    from pydantic import TypeAdapter

    from .describe import Option


def check_value(option: Option, value: Any) -> Any:
    """The value as the plugin takes it (a tuple for a list, a Path for text), enums by their member's name.

    Raises ValueError that says what is wanted: "a number wanted".
    """
    if option.left_out:
        raise ValueError(option.left_out)
    return fit(option.hint, value)


def fit(hint: Plain, value: Any) -> Any:
    """As `check_value`, for a hint."""
    from pydantic import ValidationError

    try:
        return _adapter(json.dumps(hint)).validate_python(value)
    except ValidationError:
        raise ValueError(f"{words(hint)} wanted{_advice(hint, value)}") from None


@cache
def _adapter(hint: str) -> TypeAdapter[Any]:
    from pydantic import ConfigDict, TypeAdapter

    return TypeAdapter(typing_of(json.loads(hint)), config=ConfigDict(coerce_numbers_to_str=True))


def _advice(hint: Plain, value: Any) -> str:
    if not writable(hint):
        return "; YAML cannot write one: leave it out, or give a node with _target_"
    if not isinstance(value, str):
        return ""
    names = [name for name in _names(hint) if isinstance(name, str)]
    near = nearest(value, names)
    if near.startswith("did you mean"):
        return f"; {near}"
    return "; this is text (take the quotes away)" if _is_number(value) else ""


def _names(hint: Plain) -> list[Any]:
    if hint[0] == "union":
        return [name for member in hint[1:] for name in _names(member)]
    return hint[1] if hint[0] in ("literal", "enum") else []


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
