"""A plugin's options as plain JSON: after it was imported once, they are checked, completed and shown without it."""

from __future__ import annotations

import enum
import hashlib
import importlib.util
import json
import os
from dataclasses import asdict, dataclass
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from ..plugins import LOCAL, Plugin
from .annotations import ANY, Plain, plain, union
from .docstrings import docstrings, option_line, summary
from .signatures import EMPTY, Parameter, signature
from .values import fits

FORMAT = 1
SKIP = {"optimizer": 1, "scheduler": 1}  # parameters that stepkit gives by position: the optimizer's, the scheduler's


class _LeftOut:
    """A default that a config cannot express: the plugin keeps it to itself."""

    def __repr__(self) -> str:
        return "LEFT_OUT"


LEFT_OUT = _LeftOut()


@dataclass(frozen=True)
class Option:
    """One option of a plugin.

    Attributes:
        hint: its type as a plain hint (hints.py).
        default: a plain value, or LEFT_OUT.
        doc: its own line of the docstring.
        left_out: why it cannot be set from a config, "" if it can.
        passed_on: it goes through **kwargs to a parent.
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
    """What one plugin takes. `open`: keyword arguments of any other name are taken too."""

    reference: str
    summary: str
    options: dict[str, Option]
    open: bool = False

    def to_plain(self) -> dict[str, Any]:
        """As JSON; a default that is left out has no key."""
        options = [{k: v for k, v in asdict(o).items() if not (k == "default" and o.default is LEFT_OUT)} for o in self.options.values()]
        return {"format": FORMAT, "reference": self.reference, "summary": self.summary, "options": options, "open": self.open}

    @classmethod
    def from_plain(cls, facts: dict[str, Any]) -> Description:
        """The inverse. Raises KeyError or TypeError for what is not of this form."""
        if facts["format"] != FORMAT:
            raise KeyError("format")
        options = {option["name"]: Option(**option) for option in facts["options"]}
        return cls(facts["reference"], facts["summary"], options, facts["open"])


def describe(obj: Any, reference: str, *, skip: int = 0) -> Description:
    """Read the options of a class, function, class method or partial, without its first `skip` positional ones."""
    read = signature(obj, skip)
    texts = docstrings(obj)
    options = {name: _option(parameter, texts) for name, parameter in read.parameters.items()}
    return Description(reference, summary(obj), options, read.open)


def _option(parameter: Parameter, texts: list[str]) -> Option:
    required = parameter.default is EMPTY and not parameter.by_position
    default = LEFT_OUT if parameter.default is EMPTY else express(parameter.default)
    hint = plain(parameter.hint)
    if parameter.default is not EMPTY and default is not LEFT_OUT and not fits(hint, default):
        hint = union([hint, _shape(default)])  # a default that contradicts its own annotation is right all the same
    reason = "it is passed by position" if parameter.by_position else ""
    return Option(parameter.name, hint, required, default, option_line(parameter.name, texts), reason, parameter.passed_on)


def express(value: Any) -> Any:
    """A default as JSON holds it, or LEFT_OUT."""
    if isinstance(value, enum.Enum):
        return value.name
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, Path):
        return str(value)
    if type(value) in (list, tuple):
        items = [express(item) for item in value]
        return LEFT_OUT if LEFT_OUT in items else items
    if type(value) is dict and all(type(key) is str for key in value):
        values = {key: express(item) for key, item in value.items()}
        return LEFT_OUT if LEFT_OUT in values.values() else values
    return LEFT_OUT


def _shape(value: Any) -> Plain:
    """The hint of a plain value."""
    if value is None:
        return ["none"]
    if isinstance(value, list):
        return ["list", union(_shape(item) for item in value) if value else list(ANY)]
    if isinstance(value, dict):
        return ["dict", ["str"], list(ANY)]
    return [type(value).__name__]


# -- kept on disk -----------------------------------------------------------------------------------------------------


def described(plugin: Plugin) -> Description:
    """A plugin's description: the kept one, else by importing it once. Raises BrokenPlugin."""
    known = cached(plugin)
    if known is not None:
        return known
    found = describe(plugin.load(), plugin.reference, skip=SKIP.get(plugin.group, 0))
    _keep(plugin, found)
    return found


def cached(plugin: Plugin) -> Description | None:
    """The kept description, if the plugin's version and source are still those it was made from. Imports nothing."""
    file = _file(plugin)
    if file is None:
        return None
    try:
        return Description.from_plain(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # absent, or damaged: it is made anew
        return None


def _keep(plugin: Plugin, description: Description) -> None:
    file = _file(plugin)
    if file is None:
        return
    beside = file.with_name(f"{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(json.dumps(description.to_plain()), encoding="utf-8")
        beside.replace(file)
    except OSError:  # a cache that cannot be written only costs time
        return


def _file(plugin: Plugin) -> Path | None:
    """Where a plugin's description is kept; None for what may change under the same name."""
    if plugin.reference.startswith(LOCAL) or not plugin.version:
        return None
    source = source_of(plugin.reference.partition(":")[0])
    if source is None:
        return None
    key = repr((FORMAT, plugin.group, plugin.distribution, plugin.version, plugin.reference, str(source), source.stat().st_mtime_ns))
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    name = f"{plugin.group}-{plugin.name}-{hashlib.blake2b(key.encode(), digest_size=8).hexdigest()}.json"
    return root / "stepkit" / "descriptions" / name


def source_of(module: str) -> Path | None:
    """The file of a module, without importing its parents, as `find_spec` of a dotted name would."""
    top, *rest = module.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    for number, _ in enumerate(rest, start=2):
        if spec is None or spec.submodule_search_locations is None:
            return None
        spec = PathFinder.find_spec(".".join([top, *rest][:number]), spec.submodule_search_locations)
    return Path(spec.origin) if spec is not None and spec.origin and Path(spec.origin).is_file() else None
