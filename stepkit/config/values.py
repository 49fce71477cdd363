"""A value against an option's type, strictly: a bool is no number, text is no number, an int is a float."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from .annotations import Plain
from .hints import typing_of, words

if TYPE_CHECKING:
    from pydantic import TypeAdapter

    from .describe import Option


def check_value(option: Option, value: Any) -> Any:
    """The value to pass on (a number for a text becomes its text). Raises ValueError that says what is wanted."""
    if value is None and not option.required and option.default is None:
        return None
    try:
        return _checked(option.hint, value)
    except ValueError:
        raise ValueError(f"{words(option.hint)} is wanted") from None


def fits(hint: Plain, value: Any) -> bool:
    """Whether a plain value is of a type."""
    try:
        _checked(hint, value)
    except ValueError:
        return False
    return True


def _checked(hint: Plain, value: Any) -> Any:
    return _adapter(json.dumps(hint)).validate_python(value)


@lru_cache(maxsize=1024)
def _adapter(hint: str) -> TypeAdapter[Any]:
    from pydantic import ConfigDict, TypeAdapter

    config = ConfigDict(coerce_numbers_to_str=True, arbitrary_types_allowed=True)
    return TypeAdapter(typing_of(json.loads(hint)), config=config)
