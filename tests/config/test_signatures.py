"""The signatures that people write, odd ones too: what of them is an option, of which type, with which default."""

from __future__ import annotations

import dataclasses
import enum
import functools
import pathlib
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, NewType, Optional, TypeVar, Union

import pytest
import torch
from annotated_types import Ge
from hypothesis import given
from hypothesis import strategies as st

from stepkit.config.describe import LEFT_OUT, Description, Option, describe
from stepkit.config.values import check_value


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


@dataclasses.dataclass
class Sizes:
    width: int
    depth: int = 2


Rate = NewType("Rate", float)
Number = TypeVar("Number", int, float)
Small = TypeVar("Small", bound=int)


def options(obj: Any, skip: int = 0) -> dict[str, Option]:
    return dict(describe(obj, "test:obj", skip=skip).options)


def hinted(hint: Any) -> list[Any]:
    """The plain hint of a parameter annotated so."""

    def function(value: Any) -> None: ...

    function.__annotations__ = {"value": hint}
    return options(function)["value"].hint


@pytest.mark.parametrize(
    ("hint", "plain"),
    [
        (int, ["int"]),
        (Union[int, str], ["union", ["int"], ["str"]]),  # noqa: UP007 (people still write it)
        (Optional[float], ["union", ["float"], ["none"]]),  # noqa: UP045
        (int | float, ["float"]),
        (Literal["a", 2, None], ["union", ["literal", ["a", 2]], ["none"]]),
        (Literal[Colour.RED], ["enum", ["RED"]]),
        (Colour, ["enum", ["RED", "BLUE"]]),
        (tuple[float, float], ["tuple", [["float"], ["float"]]]),
        (tuple[int, ...], ["tuple_of", ["int"]]),
        (tuple, ["tuple_of", ["any"]]),
        (Sequence[int], ["list", ["int"]]),
        (Iterable[str], ["list", ["str"]]),
        (typing.List[int], ["list", ["int"]]),  # noqa: UP006
        (frozenset[str], ["set", ["str"]]),
        (Mapping[str, float], ["dict", ["str"], ["float"]]),
        (Callable[[int], float], ["callable"]),
        (typing.Callable, ["callable"]),
        (pathlib.Path, ["path"]),
        (torch.Tensor, ["object", "torch.Tensor"]),
        (Sizes, ["dataclass", f"{__name__}.Sizes", {"width": ["int"], "depth": ["int"]}, ["width"]]),
        (Rate, ["float"]),
        (Number, ["float"]),
        (Small, ["int"]),
        (Annotated[int, Ge(1)], ["annotated", ["int"], {"ge": 1}]),
        (Annotated[int, Ge(1)] | None, ["union", ["annotated", ["int"], {"ge": 1}], ["none"]]),
        (type[int], ["object", "builtins.type"]),
        (Any, ["any"]),
        (None, ["none"]),
        ("int | None", ["union", ["int"], ["none"]]),
        ("Missing", ["any"]),
        ("list[Missing]", ["list", ["any"]]),
        ("1 +", ["any"]),
        ("no.such.thing", ["any"]),
        (42, ["any"]),
    ],
    ids=str,
)
def test_an_annotation_becomes_a_plain_hint(hint: Any, plain: list[Any]) -> None:
    assert hinted(hint) == plain


def test_without_an_annotation_any_value_is_taken() -> None:
    def function(size, rate=0.1):  # type: ignore[no-untyped-def]
        return size, rate

    found = options(function)
    assert found["size"].hint == found["rate"].hint == ["any"]
    assert found["size"].required and not found["rate"].required and found["rate"].default == 0.1


def test_a_default_that_contradicts_its_annotation_is_right_all_the_same() -> None:
    def function(size: int = None, rates: tuple[float, float] = 0.5) -> None: ...  # type: ignore[assignment]  # noqa: RUF013

    found = options(function)
    assert check_value(found["size"], None) is None and check_value(found["size"], 3) == 3
    assert check_value(found["rates"], 0.5) == 0.5


@pytest.mark.parametrize(
    "default",
    [
        torch.zeros(2),
        lambda x: x,
        object(),
        torch.nn.ReLU(),
        int,
        [torch.zeros(1)],
        {"a": print},
        {1: 2},
        {1},
        b"x",
        ...,
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_default_that_yaml_cannot_write_is_left_out_with_its_option_optional(default: Any) -> None:
    def function(part: Any = default) -> None: ...

    (option,) = options(function).values()
    assert option.default is LEFT_OUT and not option.required


def test_defaults_that_yaml_can_write_are_written_so() -> None:
    written = [
        (Colour.BLUE, "BLUE"),
        ((1, (2.0, None)), [1, [2.0, None]]),
        (pathlib.Path("a/b"), "a/b"),
        ({"a": (True,)}, {"a": [True]}),
    ]
    for default, plain in written:

        def function(value: Any = default) -> None: ...

        function.__annotations__ = {"value": type(default)}
        assert options(function)["value"].default == plain


def test_what_comes_by_position_cannot_be_set_and_says_so() -> None:
    def function(first: int, /, second: int, *rest: int, third: int = 3) -> None: ...

    found = options(function)
    assert [name for name, option in found.items() if option.left_out] == ["first", "rest"]
    assert "position" in found["first"].left_out
    assert found["second"].required and not found["third"].required
    assert list(options(function, skip=1)) == ["second", "rest", "third"]


class Parent:
    def __init__(self, width: int, depth: int = 2, *, name: str = "parent") -> None:
        self.width, self.depth, self.name = width, depth, name


class PassesAllOn(Parent):
    def __init__(self, *args: Any, rate: float = 0.1, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.rate = rate


class GivesSome(Parent):
    def __init__(self, rate: float = 0.1, **kwargs: Any) -> None:
        Parent.__init__(self, 8, name="given", **kwargs)
        self.rate = rate


class TakesOut:
    def __init__(self, **kwargs: Any) -> None:
        self.size = kwargs.pop("size", 4)
        if kwargs:
            raise TypeError(f"unknown: {sorted(kwargs)}")


class KeepsAll:
    def __init__(self, **kwargs: Any) -> None:
        self.kwargs = kwargs


class Inherits(PassesAllOn):
    pass


class MadeByNew:
    def __new__(cls, size: int = 3) -> MadeByNew:
        return object.__new__(cls)


def test_keyword_arguments_passed_on_to_a_parent_are_the_parents_options() -> None:
    for cls in (PassesAllOn, Inherits):
        description = describe(cls, "test:cls")
        found = {name: option for name, option in description.options.items() if not option.left_out}
        assert list(found) == ["rate", "width", "depth", "name"] and not description.open
        assert found["width"].required and found["width"].passed_on and not found["rate"].passed_on
        assert found["depth"].default == 2 and found["name"].hint == ["str"]


def test_what_a_class_gives_its_parent_itself_is_no_option() -> None:
    assert list(options(GivesSome)) == ["rate", "depth"]


def test_keyword_arguments_taken_out_by_name_are_options_and_all_others_are_refused() -> None:
    description = describe(TakesOut, "test:cls")
    assert description.options["size"].default == 4 and list(description.options) == ["size"] and not description.open


def test_keyword_arguments_that_are_kept_leave_the_options_open() -> None:
    description = describe(KeepsAll, "test:cls")
    assert description.open and description.options == {}


class Model:
    """A class with other ways to make it."""

    def __init__(self, width: int) -> None:
        self.width = width

    @classmethod
    def small(cls, depth: int = 1) -> Model:
        return cls(depth)

    @staticmethod
    def wide(factor: float = 2.0) -> Model:
        return Model(int(factor))


def made(width: int = 8, **kwargs: Any) -> Parent:
    """A factory."""
    return Parent(width, **kwargs)


@functools.wraps(made)
def wrapped(*args: Any, **kwargs: Any) -> Parent:
    return made(*args, **kwargs)


class Instance:
    def __call__(self, size: int = 5) -> int:
        return size


@pytest.mark.parametrize(
    ("obj", "names"),
    [
        (Model, ["width"]),
        (Model.small, ["depth"]),
        (Model.wide, ["factor"]),
        (made, ["width", "depth", "name"]),
        (wrapped, ["width", "depth", "name"]),
        (Instance(), ["size"]),
        (MadeByNew, ["size"]),
        (Sizes, ["width", "depth"]),
        (lambda size=1: size, ["size"]),
        (functools.partial(Parent, 8, name="set"), ["depth", "name"]),
        (functools.partial(functools.partial(Parent, depth=7), 8), ["depth", "name"]),
    ],
    ids=lambda value: getattr(value, "__qualname__", None) or type(value).__name__,
)
def test_whatever_can_be_called_can_be_a_plugin(obj: Any, names: list[str]) -> None:
    description = describe(obj, "test:obj")
    assert list(description.options) == names and not description.open


def test_what_a_partial_sets_is_the_default() -> None:
    found = options(functools.partial(Parent, 8, name="set"))
    assert found["name"].default == "set" and not found["name"].required and found["name"].hint == ["str"]


def test_a_dataclass_as_an_option_is_a_mapping_of_its_fields() -> None:
    def function(sizes: Sizes) -> None: ...

    option = options(function)["sizes"]
    assert check_value(option, {"width": 4}) == {"width": 4}
    for wrong in ({}, {"width": "four"}, {"width": 4, "height": 1}, 4):
        with pytest.raises(ValueError, match="a mapping with the keys width, depth"):
            check_value(option, wrong)


# A parameter as it stands in code, and values that its type allows.
PARAMETERS: dict[str, st.SearchStrategy[Any]] = {
    "int": st.integers(),
    "float": st.floats(allow_nan=False),
    "bool": st.booleans(),
    "str": st.text(),
    "int | None": st.none() | st.integers(),
    "tuple[float, float]": st.tuples(st.floats(allow_nan=False), st.floats(allow_nan=False)),
    "list[int]": st.lists(st.integers()),
    "Literal['a', 'b', 3]": st.sampled_from(["a", "b", 3]),
    "Colour": st.sampled_from(Colour),
    "dict[str, float]": st.dictionaries(st.text(), st.floats(allow_nan=False)),
    "Unheard.Of": st.integers() | st.text(),
    "Any": st.none() | st.lists(st.booleans()),
}


@st.composite
def signatures(draw: st.DrawFn) -> tuple[Callable[..., dict[str, Any]], dict[str, Any], list[str]]:
    """(a function that returns its arguments, its defaults, the names that have none)."""
    defaults, required, words = {}, [], []
    for number, hint in enumerate(draw(st.lists(st.sampled_from(sorted(PARAMETERS)), max_size=6))):
        name = f"p{number}"
        if draw(st.booleans()):
            defaults[name] = draw(PARAMETERS[hint])
            words.append(f"{name}: {hint} = defaults[{name!r}]")
        else:
            required.append(name)
            words.append(f"{name}: {hint}")
    quoted = draw(st.booleans())
    star = ["*", *words] if words else []
    code = f"def function({', '.join(star)}):\n    return dict(locals())"
    if quoted or "Unheard" in code:
        code = f"from __future__ import annotations\n{code}"
    space: dict[str, Any] = {"defaults": defaults, "Literal": Literal, "Colour": Colour, "Any": Any}
    exec(code, space)
    return space["function"], defaults, required


def as_yaml(value: Any) -> Any:
    """A drawn value as YAML writes it."""
    if isinstance(value, Colour):
        return value.name
    return [as_yaml(item) for item in value] if isinstance(value, list | tuple) else value


@given(signatures())
def test_every_signature_is_described_with_its_own_defaults_fitting(
    drawn: tuple[Callable[..., dict[str, Any]], dict[str, Any], list[str]],
) -> None:
    function, defaults, required = drawn
    description = describe(function, "test:function")
    assert Description.from_plain(description.to_plain()) == description
    assert [name for name, option in description.options.items() if option.required] == required
    for name, value in defaults.items():
        option = description.options[name]
        assert option.default == as_yaml(value)
        assert as_yaml(check_value(option, option.default)) == option.default
