"""Any callable becomes a plain description of its options, remembered until its source changes."""

# ruff: noqa: UP007, UP042, UP045 (both spellings are met in the wild)

from __future__ import annotations

import enum
import functools
import inspect
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NewType, Optional, TypeVar, Union

import annotated_types
import pytest
import pytorch_lightning
import pytorch_lightning.callbacks
import pytorch_lightning.loggers
import torch
import torchmetrics
from hypothesis import given
from hypothesis import strategies as st

from stepkit.config.arguments import arguments
from stepkit.config.describe import BY_POSITION, LEFT_OUT, Description, cached, describe, described
from stepkit.config.hints import json_schema, words
from stepkit.config.values import check_value
from stepkit.errors import BrokenPlugin
from stepkit.plugins import Plugin, hand_over

if TYPE_CHECKING:
    from nowhere import Unseen

LIBRARIES = (
    torch.optim,
    torch.optim.lr_scheduler,
    torch.nn,
    torchmetrics,
    pytorch_lightning.callbacks,
    pytorch_lightning.loggers,
)


def library_classes() -> Iterator[tuple[str, type]]:
    for module in LIBRARIES:
        for name, cls in vars(module).items():
            if inspect.isclass(cls) and not name.startswith("_"):
                yield f"{module.__name__}:{name}", cls
    yield "pytorch_lightning:Trainer", pytorch_lightning.Trainer


CLASSES = list(library_classes())


def round_trip(description: Description) -> Description:
    return Description.from_plain(json.loads(json.dumps(description.to_plain())))


@pytest.mark.parametrize("module", [*LIBRARIES, pytorch_lightning], ids=lambda module: module.__name__)
def test_no_default_of_a_library_is_refused(module):
    found = [(reference, cls) for reference, cls in CLASSES if reference.startswith(f"{module.__name__}:")]
    assert found
    for reference, cls in found:
        description = describe(cls, reference)
        assert round_trip(description) == description
        for option in description.options.values():
            assert words(option.hint) and isinstance(json_schema(option.hint), dict)
            if option.default is not LEFT_OUT and not option.left_out:
                check_value(option, option.default)


def test_the_table_is_not_empty():
    assert len(CLASSES) > 300
    assert sum(len(describe(cls, reference).options) for reference, cls in CLASSES[:60]) > 250


# -- signatures of the wild -------------------------------------------------------------------------------------------


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Mode(str, enum.Enum):
    FAST = "fast"
    SLOW = "slow"


@dataclass
class Shape:
    width: int
    colour: Colour = Colour.RED
    sizes: tuple[int, int] = (1, 1)
    inner: Shape | None = None


Number = TypeVar("Number", bound=float)
Free = TypeVar("Free")
Count = NewType("Count", int)
RateOrRates = Union[float, list[float]]


class Parent:
    """A parent.

    Args:
        depth: How deep. And more.
    """

    def __init__(self, depth: int = 3, *, act: Callable[[], Any] = lambda: None, mode: str = "a") -> None:
        self.given = {"depth": depth, "mode": mode}


class Child(Parent):
    def __init__(self, width: int, **rest: Any) -> None:
        super().__init__(mode="b", **rest)


class Grandchild(Child):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        Child.__init__(self, *args, **kwargs)


class OldStyle(Parent):
    def __init__(self, **kwargs):
        Parent.__init__(self, 7, **kwargs)


class Open:
    def __init__(self, known: int = 1, **extra: Any) -> None:
        self.extra = extra

    @classmethod
    def wide(cls, size: int = 9, **kwargs: Any) -> Open:
        return cls(size, **kwargs)


class Strict:
    def __init__(self, **kwargs: Any) -> None:
        self.rate = kwargs.pop("rate", 0.5)
        if kwargs:
            raise TypeError(f"unexpected {kwargs}")


class ByNew:
    def __new__(cls, size: int = 2) -> ByNew:
        return super().__new__(cls)


class NothingOfItsOwn(Parent):
    def __init__(self) -> None:
        super().__init__(4)


def factory(width: int = 4, **kwargs: Any) -> Parent:
    return Parent(width, **kwargs)


def of(annotation: Any, default: Any = inspect.Parameter.empty) -> Any:
    """The option of a function whose one parameter has this annotation and default."""

    def function(x: Any = default) -> None: ...

    function.__annotations__ = {} if annotation is inspect.Parameter.empty else {"x": annotation}
    parameter = inspect.Parameter("x", inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
    function.__signature__ = inspect.Signature([parameter])  # type: ignore[attr-defined]
    return describe(function, "t:f").options["x"]


HINTS = [
    (int, ["int"]),
    ("int", ["int"]),
    ("Nowhere", ["any"]),
    ("Nowhere.inner", ["any"]),
    ("1 +", ["any"]),
    (inspect.Parameter.empty, ["any"]),
    (Optional[int], ["union", ["int"], ["none"]]),
    ("int | None", ["union", ["int"], ["none"]]),
    (Union[int, float], ["float"]),
    (Literal["a", None], ["union", ["literal", ["a"]], ["none"]]),
    (Union[Literal[1], Literal["b"]], ["literal", [1, "b"]]),
    (Literal[Colour.RED], ["enum", ["RED"]]),
    (Colour, ["enum", ["RED", "BLUE"]]),
    (tuple[int, float], ["tuple", [["int"], ["float"]]]),
    (tuple[int, ...], ["tuple_of", ["int"]]),
    (tuple, ["tuple_of", ["any"]]),
    (Sequence[int], ["list", ["int"]]),
    (set[str], ["set", ["str"]]),
    (dict[str, float], ["dict", ["str"], ["float"]]),
    (dict, ["dict", ["any"], ["any"]]),
    (Callable[[int], int], ["callable"]),
    (Path, ["path"]),
    (torch.Tensor, ["object", "torch.Tensor"]),
    (Union[float, torch.Tensor], ["union", ["float"], ["object", "torch.Tensor"]]),
    (Number, ["float"]),
    (Free, ["any"]),
    (Count, ["int"]),
    (RateOrRates, ["union", ["float"], ["list", ["float"]]]),
    (Annotated[int, annotated_types.Ge(1)], ["annotated", ["int"], {"ge": 1}]),
    (
        Annotated[int | None, annotated_types.Interval(gt=0, le=9)],
        ["union", ["annotated", ["int"], {"gt": 0, "le": 9}], ["none"]],
    ),
    (Annotated[int, "a note"], ["int"]),
    (Any, ["any"]),
    (Union[Any, int], ["any"]),
]


@pytest.mark.parametrize(("annotation", "hint"), HINTS, ids=str)
def test_a_hint_is_plain(annotation, hint):
    assert of(annotation).hint == hint


def test_a_recursive_dataclass_is_a_mapping_of_its_fields():
    kind, name, fields, required = of(Shape).hint
    assert (kind, name.endswith("Shape"), required) == ("dataclass", True, ["width"])
    assert fields["sizes"] == ["tuple", [["int"], ["int"]]]
    assert fields["inner"] == ["any"]


@pytest.mark.parametrize(
    ("default", "shown"),
    [
        ((0.9, [1, 2]), [0.9, [1, 2]]),
        (Path("a/b"), "a/b"),
        (Mode.FAST, "FAST"),
        (Colour.BLUE, "BLUE"),
        ({"a": (1,)}, {"a": [1]}),
        (float("inf"), float("inf")),
        *(
            (odd, LEFT_OUT)
            for odd in (torch.ones(2), torch.nn.ReLU(), torch.nn.ReLU, lambda: 0, {1: 2}, object(), [object()])
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_default_is_plain_or_left_out(default, shown):
    option = of(inspect.Parameter.empty, default)
    assert option.default == shown and type(option.default) is type(shown)
    assert not option.required and not option.left_out


def test_an_enum_annotated_as_text_shows_its_value():
    assert of(str, Mode.SLOW).default == "slow"


@pytest.mark.parametrize(
    ("annotation", "default"), [(float, None), (int, 0.5), (bool, "auto"), (list[int], 3), (Literal["a"], "b")]
)
def test_a_default_that_contradicts_its_annotation_is_right(annotation, default):
    option = of(annotation, default)
    assert check_value(option, default) == default


def test_one_annotation_that_cannot_be_evaluated_blinds_no_other():
    def function(a: Unseen, b: int, c: list[Unseen] | str, d: float = 1): ...

    options = describe(function, "t:f").options
    assert [options[name].hint for name in "abd"] == [["any"], ["int"], ["float"]]
    assert options["c"].hint == ["union", ["list", ["any"]], ["str"]]


def test_keyword_arguments_are_followed_to_the_parent():
    description = describe(Child, "t:Child")
    assert list(description.options) == ["width", "depth", "act"]  # mode is given by Child itself
    assert [option.passed_on for option in description.options.values()] == [False, True, True]
    assert not description.open
    assert description.options["depth"].doc == "How deep"
    assert list(describe(Grandchild, "t:G").options) == ["width", "depth", "act"]
    assert list(describe(OldStyle, "t:O").options) == ["act", "mode"]
    assert list(describe(factory, "t:f").options) == ["width", "act", "mode"]


def test_a_constructor_without_parameters_hides_the_parents():
    assert describe(NothingOfItsOwn, "t:N").options == {}


def test_keyword_arguments_that_go_nowhere_known_leave_it_open():
    assert describe(Open, "t:Open").open
    bound = describe(Open.wide, "t:Open.wide")
    assert bound.open and bound.options["size"].default == 9 and "known" not in bound.options
    strict = describe(Strict, "t:Strict")
    assert not strict.open and strict.options["rate"].default == 0.5


def test_torchmetrics_options_are_closed_so_that_a_typo_is_found():
    for cls in (torchmetrics.Accuracy, torchmetrics.classification.MulticlassAccuracy, torchmetrics.R2Score):
        description = describe(cls, "t:m")
        assert not description.open and "compute_on_cpu" in description.options
    assert [name for name, option in describe(torchmetrics.Accuracy, "t:m").options.items() if option.required] == [
        "task"
    ]


@pytest.mark.parametrize("metric", [torchmetrics.Accuracy, torchmetrics.AUROC, torchmetrics.ConfusionMatrix])
def test_a_default_that_only_one_of_several_callees_knows_is_left_to_it(metric):
    """torchmetrics' AUROC hands its **kwargs to the one of three classes that `task` names."""
    options = describe(metric, "t:m").options
    shown = {name: option.default for name, option in options.items() if option.default is not LEFT_OUT}
    metric(**{**shown, "task": "multiclass", "num_classes": 3})


def test_what_is_given_by_position_only_is_left_out_with_the_reason():
    def function(a, b=2, /, c=3, *rest, d=4): ...

    options = describe(function, "t:f").options
    assert {name: option.left_out for name, option in options.items()} == {
        "a": BY_POSITION, "b": BY_POSITION, "c": "", "rest": BY_POSITION, "d": "",
    }  # fmt: skip
    assert options["a"].required and not options["rest"].required
    with pytest.raises(ValueError, match="by position"):
        check_value(options["b"], 1)


def test_partials_and_constructors_of_all_sorts():
    bound = describe(functools.partial(Child, 3, depth=5), "t:p").options
    assert "width" not in bound and bound["depth"].default == 5
    assert describe(ByNew, "t:n").options["size"].default == 2
    assert describe(Shape, "t:s").options["width"].required
    assert describe(dict, "t:d").open
    with pytest.raises(BrokenPlugin, match="class or function"):
        describe(3, "t:three")


def test_a_factory_made_default_of_a_dataclass_is_left_out():
    @dataclass
    class Made:
        names: list[str] = field(default_factory=list)

    option = describe(Made, "t:m").options["names"]
    assert option.default is LEFT_OUT and not option.required


def test_leading_parameters_are_hidden():
    options = describe(torch.optim.AdamW, "torch.optim:AdamW", skip=1).options
    assert "params" not in options
    assert options["betas"].default == [0.9, 0.999]


# -- docstrings -------------------------------------------------------------------------------------------------------


def google(rate: float, names: list[str]):
    """Does it. And more.

    Args:
        rate (float, optional): how fast, e.g. 0.1 (default: 1e-3). More
            of it.
        names: the :class:`~torch.Tensor`
            or ``x``
    """


def numpy(rate: float, names: list[str]):
    """Does it.

    Parameters
    ----------
    rate : float, default 1
        How fast. More.
    names
        The names
        of all.
    """


def rest(rate: float, names: list[str]):
    """Does it.

    :param float rate: How fast. More.
    :param names: The names
    """


@pytest.mark.parametrize(
    ("function", "rate", "names"),
    [
        (google, "how fast, e.g. 0.1", "the torch.Tensor or x"),
        (numpy, "How fast", "The names of all"),
        (rest, "How fast", "The names"),
    ],
)
def test_an_option_has_its_line_of_the_docstring(function, rate, names):
    description = describe(function, "t:f")
    assert description.summary == "Does it"
    assert (description.options["rate"].doc, description.options["names"].doc) == (rate, names)


def test_torchs_own_docstrings_are_understood():
    description = describe(torch.optim.AdamW, "torch.optim:AdamW", skip=1)
    assert description.options["lr"].doc == "learning rate"
    assert description.summary.startswith("Implements AdamW algorithm")
    assert description.source.rpartition(":")[0].endswith("adamw.py")


# -- from description back to a call ----------------------------------------------------------------------------------


def test_arguments_are_what_the_plugin_takes():
    def build(shape: Shape, colour: Colour | None = None, where: Path = Path("."), betas=(1, 2), mode=Mode.FAST): ...

    description = describe(build, "t:b")
    values = {
        "shape": {"width": 2, "colour": "BLUE", "sizes": [1, 2]},
        "colour": "RED",
        "where": "x",
        "betas": [1, 2],
        "mode": "SLOW",
    }
    assert arguments(build, description, values) == {
        "shape": Shape(2, Colour.BLUE, (1, 2)),
        "colour": Colour.RED,
        "where": Path("x"),
        "mode": Mode.SLOW,  # betas equals its default: the plugin's own tuple serves
    }


SHAPES = st.sampled_from(
    [
        (int, 3),
        (float, 0.5),
        (str, "a"),
        (bool, True),
        (tuple[int, int], (1, 2)),
        (Colour, Colour.BLUE),
        (list[float], [1.5]),
    ]
)


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.tuples(SHAPES, st.booleans()), max_size=6))
def test_a_described_call_equals_the_call(drawn):
    names = list(drawn)
    signature = inspect.Signature(
        [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                annotation=hint,
                default=value if optional else inspect.Parameter.empty,
            )
            for name, ((hint, value), optional) in drawn.items()
        ]
    )

    def function(**given: Any) -> dict[str, Any]:
        bound = signature.bind(**given)
        bound.apply_defaults()
        return dict(bound.arguments)

    function.__signature__ = signature  # type: ignore[attr-defined]
    description = round_trip(describe(function, "t:f"))
    assert list(description.options) == names
    plain = {
        n: v.name if isinstance(v, enum.Enum) else list(v) if isinstance(v, tuple) else v
        for n, ((_, v), _) in drawn.items()
    }
    for name, option in description.options.items():
        assert option.required or option.default == plain[name]
    assert function(**arguments(function, description, plain)) == {
        name: value for name, ((_, value), _) in drawn.items()
    }


# -- the cache --------------------------------------------------------------------------------------------------------


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A stranger's package of one class, which imports torch, on the path with an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "site" / "strange_package" / "deep"
    folder.mkdir(parents=True)
    for init in (folder / "__init__.py", folder.parent / "__init__.py"):
        init.write_text("import torch\n")
    (folder / "__init__.py").write_text("import torch\nfrom .net import Net\n")
    (folder / "net.py").write_text("class Net:\n    def __init__(self, width: int = 1): ...\n")
    return folder


@pytest.fixture
def importable(package, monkeypatch):
    """The package can be imported here, and is forgotten afterwards."""
    monkeypatch.syspath_prepend(package.parent.parent)
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "strange_package"]:
        del sys.modules[name]


PLUGIN = Plugin("model", "net", "strange_package.deep:Net", "strange", "1.0")
LOOK = """
    import sys
    sys.path.insert(0, sys.argv[1])
    from stepkit.config.describe import cached, described
    from stepkit.plugins import Plugin
    plugin = Plugin("model", "net", "strange_package.deep:Net", "strange", "1.0")
    known = cached(plugin) is not None
    print(known, list(described(plugin).options), "torch" in sys.modules)
"""


def look(package: Path) -> str:
    site = str(package.parent.parent)
    command = [sys.executable, "-c", textwrap.dedent(LOOK), site]
    return subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    ).stdout.strip()


def test_a_second_look_imports_nothing_until_a_source_changes(package):
    assert look(package) == "False ['width'] True"
    assert look(package) == "True ['width'] False"
    (package / "net.py").write_text("class Net:\n    def __init__(self, width: int = 1, depth: int = 2): ...\n")
    assert look(package) == "False ['width', 'depth'] True"


@pytest.mark.parametrize(
    "content",
    ["{", "null", "[]", "{}", '{"sources": [], "description": {"options": [1]}}', '{"sources": [["/none", 1, 2]]}'],
)
def test_a_corrupt_file_is_looked_at_anew(package, importable, tmp_path, content):
    known = described(PLUGIN)
    (file,) = (tmp_path / "cache" / "stepkit" / "descriptions").iterdir()
    assert cached(PLUGIN) == known
    file.write_text(content)
    assert cached(PLUGIN) is None
    assert described(PLUGIN) == known == cached(PLUGIN)


def test_a_cache_that_cannot_be_written_is_no_error(package, importable, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert list(described(PLUGIN).options) == ["width"]
    assert cached(PLUGIN) is None


def test_a_class_at_hand_is_seen_again_after_it_was_redefined(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for parameter in ("first", "second"):
        space: dict[str, Any] = {}
        exec(f"class Redefined:\n    def __init__(self, {parameter}=1): ...", space)
        name = hand_over("model", space["Redefined"])
        assert list(described(Plugin("model", name, f"local:model.{name}", "", "")).options) == [parameter]
    assert not (tmp_path / "stepkit").exists()


def test_groups_hide_what_stepkit_fills(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    adamw = Plugin("optimizer", "adamw", "torch.optim:AdamW", "stepkit", "1.0")
    assert "params" not in described(adamw).options
    assert cached(adamw) == described(adamw)
