"""A value fits its option's type or is refused in words."""

# ruff: noqa: UP007, UP045 (both spellings are met in the wild)

from __future__ import annotations

import math
import pathlib
from typing import Annotated, Any, Literal, Optional, Union

import annotated_types
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stepkit.config.describe import Option
from stepkit.config.hints import json_schema, plain, words, writable
from stepkit.config.values import check_value

PART = {"_target_": "my_project.net.Net", "width": 3}
LEAST = Annotated[int, annotated_types.Ge(1)]


def option(hint: Any) -> Option:
    return Option("x", plain(hint), required=True)


ACCEPTED = [
    (float, 0.1, 0.1),
    (float, 1, 1),
    (int, 3, 3),
    (str, "a", "a"),
    (str, 0.1, "0.1"),
    (bool, True, True),
    (tuple[float, float], [0.9, 1], (0.9, 1)),
    (tuple[int, ...], [], ()),
    (list[int], (1, 2), [1, 2]),
    (set[int], [1, 1], {1}),
    (pathlib.Path, "a/b", pathlib.Path("a/b")),
    (Union[str, pathlib.Path], "a/b", "a/b"),
    (Optional[int], None, None),
    (Union[int, tuple[int, int]], [1, 2], (1, 2)),
    (Union[float, list[float]], 2, 2),
    (Union[int, str], 3, 3),
    (Union[bool, Literal["all"]], "all", "all"),
    (Literal[1, "a", True], True, True),
    (LEAST, 1, 1),
    (Annotated[float, annotated_types.Gt(0)], 1, 1),
    (Annotated[float | None, annotated_types.Gt(0)], None, None),
    (dict[str, float], {"a": 1}, {"a": 1}),
    (torch.Tensor, PART, PART),
    (Optional[torch.nn.Module], PART, PART),
    (list[torch.nn.Module], [PART], [PART]),
    (Any, PART, PART),
    (Any, "x", "x"),
]

REFUSED = [
    (float, True, "a number wanted"),
    (float, "abc", "a number wanted"),
    (float, "0.1", "a number wanted; this is text (take the quotes away)"),
    (float, None, "a number wanted"),
    (float, [0.1], "a number wanted"),
    (int, 3.0, "a whole number wanted"),
    (int, True, "a whole number wanted"),
    (int, PART, "a whole number wanted"),
    (bool, 1, "true or false wanted"),
    (bool, "yes", "true or false wanted"),
    (str, True, "text wanted"),
    (str, ["a"], "text wanted"),
    (Optional[int], 0.5, "a whole number or null wanted"),
    (tuple[float, float], [0.9], "a list of 2 numbers wanted"),
    (tuple[float, float], "ab", "a list of 2 numbers wanted"),
    (tuple[int, str], [1], "a list of 2: a whole number, text wanted"),
    (list[float], ["a"], "a list of numbers wanted"),
    (list[str], "abc", "a list of texts wanted"),
    (set[bool], ["a"], "a list of true or false values wanted"),
    (dict[str, float], {"a": "b"}, "a mapping from names to numbers wanted"),
    (Union[list[float], float], "a", "a number or a list of numbers wanted"),
    (Optional[bool], "maybe", "true, false or null wanted"),
    (Union[float, torch.Tensor], "a", "a number wanted"),
    (Literal["min", "max"], "mini", "one of 'min', 'max' wanted; did you mean 'min'?"),
    (Literal[1], True, "1 wanted"),
    (Literal[True], 1, "true wanted"),
    (LEAST, 0, "a whole number of at least 1 wanted"),
    (LEAST, True, "a whole number of at least 1 wanted"),
    (Annotated[float, annotated_types.Interval(ge=0, lt=1)], 1.0, "a number of at least 0 and below 1 wanted"),
    (Annotated[float, annotated_types.Gt(0)], math.nan, "a number above 0 wanted"),
    (
        Annotated[list[int], annotated_types.Len(2, 3)],
        [1],
        "a list of whole numbers of length 2 or more and of length 3 or less wanted",
    ),
    (torch.Tensor, 3, "a Tensor wanted; YAML cannot write one: leave it out, or give a node with _target_"),
    (pathlib.Path, 3, "a path wanted"),
]


@pytest.mark.parametrize(("hint", "value", "passed"), ACCEPTED, ids=str)
def test_a_fitting_value_is_passed_on_as_the_plugin_takes_it(hint, value, passed):
    got = check_value(option(hint), value)
    assert got == passed and type(got) is type(passed)


@pytest.mark.parametrize(("hint", "value", "wanted"), REFUSED, ids=str)
def test_another_value_is_refused_with_what_is_wanted(hint, value, wanted):
    with pytest.raises(ValueError) as error:
        check_value(option(hint), value)
    assert str(error.value) == wanted


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_nan_and_inf_are_numbers(value):
    assert check_value(option(float), value) is value


def test_an_object_that_python_hands_over_serves_as_an_object():
    tensor = torch.ones(2)
    assert check_value(option(torch.Tensor), tensor) is tensor


NUMBERS = st.floats(allow_nan=False)
WHOLE = st.integers()
TEXT = st.text()
FLAGS = st.booleans()
PLAIN = st.one_of(
    st.none(), NUMBERS, WHOLE, TEXT, FLAGS, st.lists(WHOLE, max_size=2), st.dictionaries(TEXT, WHOLE, max_size=2)
)

# (type, its values, whether a plain value is one)
SCALARS = [
    (int, WHOLE, lambda v: type(v) is int),
    (float, st.one_of(NUMBERS, WHOLE), lambda v: type(v) in (int, float)),
    (bool, FLAGS, lambda v: type(v) is bool),
    (str, TEXT, lambda v: type(v) in (str, int, float)),
    (Literal["a", 3], st.sampled_from(["a", 3]), lambda v: v == "a" or (type(v) is int and v == 3)),
    (type(None), st.none(), lambda v: v is None),
]


def wrapped(kind: tuple[Any, Any, Any]) -> list[tuple[Any, Any, Any]]:
    """A list, a pair, a mapping and an option of null of a kind."""
    hint, values, is_one = kind
    return [
        (list[hint], st.lists(values, max_size=3), lambda v: type(v) is list and all(map(is_one, v))),  # type: ignore[valid-type]
        (
            tuple[hint, hint],
            st.tuples(values, values).map(list),
            lambda v: type(v) is list and len(v) == 2 and all(map(is_one, v)),
        ),  # type: ignore[valid-type]
        (
            dict[str, hint],
            st.dictionaries(TEXT, values, max_size=3),
            lambda v: type(v) is dict and all(map(is_one, v.values())),
        ),  # type: ignore[valid-type]
        (Optional[hint], st.one_of(st.none(), values), lambda v: v is None or is_one(v)),
    ]


KINDS = st.one_of(st.sampled_from(SCALARS), st.sampled_from([w for kind in SCALARS for w in wrapped(kind)]))


@given(KINDS.flatmap(lambda kind: st.tuples(st.just(kind[0]), kind[1])))
def test_every_value_of_a_type_is_accepted(drawn):
    hint, value = drawn
    got = check_value(option(hint), value)
    assert (list(got) if isinstance(got, tuple) else got) == value


@given(KINDS, PLAIN)
def test_a_plain_value_is_accepted_exactly_when_it_is_of_the_type(kind, value):
    hint, _, is_one = kind
    if is_one(value):
        check_value(option(hint), value)
    else:
        with pytest.raises(ValueError, match="wanted"):
            check_value(option(hint), value)


@pytest.mark.parametrize(
    ("hint", "answer"),
    [
        (torch.Tensor, False),
        (Optional[torch.Tensor], False),
        (list[torch.nn.Module], False),
        (Union[float, torch.Tensor], True),
        (tuple[float, float | torch.Tensor], True),
        (Any, True),
    ],
    ids=str,
)
def test_what_yaml_can_write(hint, answer):
    assert writable(plain(hint)) is answer


def test_words_prefer_what_can_be_written():
    assert words(plain(Union[torch.Tensor, float, None])) == "a number or null"
    assert words(plain(Optional[torch.Tensor])) == "a Tensor or null"


def test_the_schema_says_the_same():
    assert json_schema(plain(LEAST)) == {"type": "integer", "minimum": 1}
    assert json_schema(plain(Optional[float])) == {"anyOf": [{"type": "number"}, {"type": "null"}]}
    assert json_schema(plain(tuple[int, bool])) == {
        "type": "array",
        "prefixItems": [{"type": "integer"}, {"type": "boolean"}],
        "minItems": 2,
        "maxItems": 2,
    }
    assert json_schema(plain(Annotated[list[int], annotated_types.MinLen(1)])) == {
        "type": "array",
        "items": {"type": "integer"},
        "minItems": 1,
    }
    assert json_schema(plain(torch.Tensor)) == {"type": "object", "required": ["_target_"]}
