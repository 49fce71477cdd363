"""Plain hints: how several become one, where limits go, what the words say and what YAML cannot write."""

from __future__ import annotations

import itertools
from typing import Annotated, Any

import pytest
from annotated_types import Ge, Gt, Interval, Len
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from stepkit.config.annotations import union
from stepkit.config.describe import Option
from stepkit.config.hints import json_schema, plain, words, writable
from stepkit.config.values import check_value


def fits(hint: list[Any], value: Any) -> bool:
    """Whether check_value takes a value for an option of this type."""
    try:
        check_value(Option("option", hint, required=True), value)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize(
    ("members", "one"),
    [
        ([["int"], ["int"]], ["int"]),
        ([["int"], ["float"]], ["float"]),
        ([["int"], ["any"]], ["any"]),
        ([], ["any"]),
        ([["literal", [1]], ["literal", ["a"]]], ["literal", [1, "a"]]),
        ([["int"], ["union", ["str"], ["none"]]], ["union", ["int"], ["str"], ["none"]]),
    ],
    ids=str,
)
def test_a_union_is_flat_with_each_member_once(members: list[list[Any]], one: list[Any]) -> None:
    assert union(members) == one


MEMBERS: list[list[Any]] = [
    ["int"],
    ["float"],
    ["str"],
    ["none"],
    ["bool"],
    ["literal", ["a"]],
    ["list", ["int"]],
    ["any"],
]
VALUES = [None, True, 3, 0.5, "a", "b", [1], ["x"], {"k": 1}]


@given(st.lists(st.sampled_from(MEMBERS), min_size=1, max_size=4))
def test_a_union_takes_what_one_of_its_members_takes(members: list[list[Any]]) -> None:
    for value in VALUES:
        assert fits(union(members), value) == any(fits(member, value) for member in members)


def test_the_order_of_a_union_does_not_change_what_it_takes() -> None:
    for some in itertools.permutations(MEMBERS[:5], 3):
        assert [fits(union(some), value) for value in VALUES] == [fits(union(some[::-1]), value) for value in VALUES]


@pytest.mark.parametrize(
    ("hint", "limited"),
    [
        (Annotated[int, Ge(1)], ["annotated", ["int"], {"ge": 1}]),
        (Annotated[int, Field(ge=1, le=9)], ["annotated", ["int"], {"ge": 1, "le": 9}]),
        (Annotated[float, Interval(gt=0, lt=1)], ["annotated", ["float"], {"gt": 0, "lt": 1}]),
        (Annotated[float | None, Gt(0)], ["union", ["annotated", ["float"], {"gt": 0}], ["none"]]),
        (Annotated[list[int], Len(1, 3)], ["annotated", ["list", ["int"]], {"min_length": 1, "max_length": 3}]),
        (Annotated[str, Field(pattern="^a")], ["annotated", ["str"], {"pattern": "^a"}]),
        (Annotated[Annotated[int, Ge(1)], Field(le=3)], ["annotated", ["int"], {"ge": 1, "le": 3}]),
        (Annotated[int, "a word for people"], ["int"]),
    ],
    ids=str,
)
def test_limits_stay_with_the_type_that_they_limit(hint: Any, limited: list[Any]) -> None:
    assert plain(hint) == limited


@pytest.mark.parametrize(
    ("hint", "told"),
    [
        (["annotated", ["int"], {"ge": 1}], "a whole number of at least 1"),
        (["annotated", ["int"], {"multiple_of": 8}], "a whole number divisible by 8"),
        (["list", ["union", ["int"], ["str"]]], "a list of whole numbers or texts"),
        (["tuple", []], "an empty list"),
        (["tuple", [["int"]]], "a list of 1 whole number"),
        (["list", ["tuple", [["float"], ["float"]]]], "a list of lists of 2 numbers"),
        (["dict", ["str"], ["list", ["int"]]], "a mapping from names to lists of whole numbers"),
        (["union", ["int"], ["none"], ["str"]], "a whole number, text or null"),
        (["union", ["none"], ["object", "a.Adam"]], "an Adam or null"),
        (["literal", [True, False]], "one of true, false"),
    ],
    ids=str,
)
def test_words_say_what_is_wanted(hint: list[Any], told: str) -> None:
    assert words(hint) == told


@pytest.mark.parametrize(
    ("hint", "can"),
    [
        (["float"], True),
        (["object", "torch.Tensor"], False),
        (["callable"], False),
        (["union", ["float"], ["object", "torch.Tensor"]], True),
        (["union", ["callable"], ["none"]], False),
        (["list", ["object", "a.B"]], False),
        (["tuple", [["int"], ["callable"]]], False),
        (["dataclass", "a.B", {"x": ["int"], "f": ["callable"]}, ["x"]], True),
        (["dataclass", "a.B", {"x": ["int"], "f": ["callable"]}, ["f"]], False),
    ],
    ids=str,
)
def test_what_yaml_cannot_write_is_known(hint: list[Any], can: bool) -> None:
    assert writable(hint) is can


def test_limits_stand_in_the_schema_in_its_own_words() -> None:
    assert json_schema(["annotated", ["int"], {"ge": 1, "lt": 5}]) == {
        "type": "integer",
        "minimum": 1,
        "exclusiveMaximum": 5,
    }
    assert json_schema(["annotated", ["list", ["int"]], {"min_length": 1}])["minItems"] == 1
    assert json_schema(["annotated", ["str"], {"max_length": 3}])["maxLength"] == 3
    assert json_schema(["annotated", ["dict", ["str"], ["int"]], {"min_length": 2}])["minProperties"] == 2
