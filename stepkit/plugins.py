"""Which plugin has which name: from the metadata of installed distributions alone, nothing imported.

A plugin is one line of a pyproject:

    [project.entry-points."stepkit.optimizer"]
    lion = "lion_pytorch:Lion"

stepkit's own plugins are registered the same way. Each also answers to a name qualified by its
distribution (`lion-pytorch.lion`).
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from .errors import BrokenPlugin, ClashingPlugin, UnknownName

GROUPS = ("model", "loss", "optimizer", "scheduler", "data", "metric", "callback", "logger")
SEVERAL = ("metric", "callback", "logger")  # groups of which a run has any number
PREFIX = "stepkit."
LOCAL = "local:"  # the reference of a class handed over in Python


@dataclass(frozen=True)
class Plugin:
    """One named part of a group.

    Attributes:
        reference: `module:attribute`, as in the entry point.
        distribution: the package that declares it ("" for a class handed over in Python).
    """

    group: str
    name: str
    reference: str
    distribution: str
    version: str

    @property
    def builtin(self) -> bool:
        return self.distribution == "stepkit"

    def load(self) -> Callable[..., Any]:
        """Import it. Raises BrokenPlugin, with the line of the plugin's own code that failed."""
        return resolve(
            self.reference, f"{self.group} '{self.name}'{f' of {self.distribution}' if self.distribution else ''}"
        )


_local: dict[str, Callable[..., Any]] = {}


def hand_over(group: str, obj: Callable[..., Any]) -> str:
    """Make a class or factory at hand a plugin of this process; returns its name. A later one of the same name wins."""
    name = getattr(obj, "__name__", type(obj).__name__).replace("<", "").replace(">", "")
    _local[f"{LOCAL}{group}.{name}"] = obj
    return name


@lru_cache(maxsize=1)
def _declared() -> dict[str, dict[str, list[Plugin]]]:
    """{group: {name: plugins that claim it}}, from every distribution on the path; the first copy of one wins."""
    table: dict[str, dict[str, list[Plugin]]] = {group: {} for group in GROUPS}
    seen = set()
    for dist in importlib.metadata.distributions():
        name = dist.metadata["Name"] if "entry_points.txt" in _files(dist) else None
        if name is None or name in seen:
            continue
        seen.add(name)
        for entry in dist.entry_points:
            group = entry.group.removeprefix(PREFIX)
            if entry.group.startswith(PREFIX) and group in table:
                table[group].setdefault(entry.name, []).append(
                    Plugin(group, entry.name, entry.value, name, dist.version)
                )
    return table


def _files(dist: importlib.metadata.Distribution) -> str:
    """A cheap look whether a distribution declares entry points at all, before its METADATA is parsed."""
    return "entry_points.txt" if dist.read_text("entry_points.txt") else ""


def forget() -> None:
    """Read the metadata anew at the next look (after an installation in a running process)."""
    _declared.cache_clear()


def everything() -> Iterator[Plugin]:
    """Every plugin of every group, clashing ones included."""
    for names in _declared().values():
        for claims in names.values():
            yield from claims


def available(group: str) -> list[str]:
    """The names of a group, sorted: plain ones, and the qualified ones of clashing plugins."""
    names = set(_declared()[group])
    names.update(
        f"{p.distribution}.{p.name}" for claims in _declared()[group].values() if len(claims) > 1 for p in claims
    )
    names.update(ref.removeprefix(f"{LOCAL}{group}.") for ref in _local if ref.startswith(f"{LOCAL}{group}."))
    return sorted(names)


def has(group: str, name: str) -> bool:
    """Whether a name, plain or qualified, is one of the group's."""
    return bool(_claims(group, name))


def find(group: str, name: str) -> Plugin:
    """The plugin of that name. Raises UnknownName or ClashingPlugin."""
    claims = _claims(group, name)
    if not claims:
        raise UnknownName(group, name, available(group))
    own = [plugin for plugin in claims if plugin.builtin]
    if len(claims) > 1 and not own:
        ways = " or ".join(f"{group}={plugin.distribution}.{name}" for plugin in claims)
        raise ClashingPlugin(f"{group}={name}: claimed by {len(claims)} packages; write {ways}")
    return own[0] if own else claims[0]


def _claims(group: str, name: str) -> list[Plugin]:
    if f"{LOCAL}{group}.{name}" in _local:
        return [Plugin(group, name, f"{LOCAL}{group}.{name}", "", "")]
    if name in _declared()[group]:
        return _declared()[group][name]
    distribution, _, plain = name.rpartition(".")
    return [plugin for plugin in _declared()[group].get(plain, ()) if plugin.distribution == distribution]


def by_target(group: str, target: str) -> Plugin | None:
    """The registered plugin of a group that a `_target_` (module:attribute, or dotted) names."""
    if target in _local:
        return Plugin(group, target.partition(".")[2], target, "", "")
    wanted = _dotted(target)
    for claims in _declared().get(group, {}).values():
        for plugin in claims:
            if _dotted(plugin.reference) == wanted:
                return plugin
    return None


def _dotted(reference: str) -> str:
    return reference.replace(":", ".")


def resolve(reference: str, what: str) -> Callable[..., Any]:
    """Import `module:attribute`. Raises BrokenPlugin with the cause as its last line."""
    if reference.startswith(LOCAL):
        try:
            return _local[reference]
        except KeyError:
            raise BrokenPlugin(
                f"{what}: a class that was handed over in Python is not in this process; pass it again"
            ) from None
    module, _, attribute = reference.partition(":")
    try:
        obj: Any = importlib.import_module(module)
    except Exception as error:  # whatever a stranger's module raises when imported
        raise BrokenPlugin(f"{what}: {reference} cannot be imported: {_cause(error)}") from error
    for part in attribute.split(".") if attribute else ():
        try:
            obj = getattr(obj, part)
        except AttributeError:
            raise BrokenPlugin(f"{what}: {reference} names nothing: {module} has no '{attribute}'") from None
    return obj  # type: ignore[no-any-return]


def _cause(error: BaseException) -> str:
    """`ModuleNotFoundError: No module named 'x' (net.py, line 3)`: with the last line of the author's own code."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "importlib" not in f.filename]
    frames = [f for f in frames if f.filename != __file__]
    where = _place(frames[-1].filename, frames[-1].lineno) if frames else ""
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error.msg}{_place(error.filename or '?', error.lineno)}"
    hint = ""
    missing = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    if missing and missing not in sys.modules:
        hint = f"; pip install {missing}"
    return f"{type(error).__name__}: {error}{where}{hint}"


def _place(file: str, line: int | None) -> str:
    return f" ({os.path.relpath(file) if file.startswith(os.getcwd()) else file}, line {line})"
