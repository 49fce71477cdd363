"""Descriptions of plugins, remembered between processes: one JSON file a plugin, dropped when its source changes.

A cache that cannot be read or written costs an import, and is no error.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.machinery
import importlib.util
import inspect
import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..plugins import LOCAL, Plugin
from .callables import code_of

FORMAT = 1  # of what is written; another number's files are never looked at


def read(plugin: Plugin) -> dict[str, Any] | None:
    """The description as it was written, unless a source file has another time or size now."""
    path = _path(plugin)
    try:
        entry = json.loads(path.read_bytes()) if path else None
        if entry is None or any(_stamp(source) != [time, size] for source, time, size in entry["sources"]):
            return None
        return dict(entry["description"])
    except (OSError, ValueError, TypeError, KeyError):
        return None


def write(plugin: Plugin, description: dict[str, Any], sources: Iterable[str]) -> None:
    """Remember a description, atomically: two processes may write at once."""
    path = _path(plugin)
    if path is None:
        return
    try:
        files = sorted({*sources, _module_file(plugin.reference.partition(":")[0]) or ""} - {""})
        text = json.dumps({"description": description, "sources": [[file, *_stamp(file)] for file in files]})
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, beside = tempfile.mkstemp(dir=path.parent, suffix=".part")
    except (OSError, ValueError, TypeError):
        return
    try:
        with open(handle, "w", encoding="utf8") as file:
            file.write(text)
        os.replace(beside, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(beside)


def sources(obj: Any) -> set[str]:
    """The files that say what `obj` takes: its own, and its parents'."""
    code = code_of(obj)
    owner = obj if isinstance(obj, type) else code.owner if code else None
    found = set()
    for part in (*(owner.__mro__ if owner else ()), *([inspect.unwrap(code.function)] if code else ())):
        with contextlib.suppress(TypeError, OSError):  # written in C, or in a notebook
            found.add(inspect.getsourcefile(part) or "")
    return found


def _path(plugin: Plugin) -> Path | None:
    """Where a plugin's description is kept; None for one that must be looked at anew each time.

    A class at hand may be redefined in a notebook under the same name.
    """
    if plugin.reference.startswith(LOCAL) or not plugin.version:
        return None
    file = _module_file(plugin.reference.partition(":")[0])
    if file is None:
        return None
    key = [FORMAT, plugin.group, plugin.distribution, plugin.version, plugin.reference, file]
    return _folder() / f"{hashlib.sha256(json.dumps(key).encode()).hexdigest()}.json"


def _folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME", "")  # a relative one is to be ignored, says its specification
    return Path(base if os.path.isabs(base) else os.path.expanduser("~/.cache")) / "stepkit" / "descriptions"


def _stamp(file: str) -> list[int]:
    stat = os.stat(file)
    return [stat.st_mtime_ns, stat.st_size]


def _module_file(module: str) -> str | None:
    """A module's file, found without importing it: a dotted `find_spec` would import the parents."""
    top, *inner = module.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    name = top
    for part in inner:
        if spec is None or spec.submodule_search_locations is None:
            return None
        name = f"{name}.{part}"
        spec = importlib.machinery.PathFinder.find_spec(name, list(spec.submodule_search_locations))
    return spec.origin if spec and spec.has_location else None
