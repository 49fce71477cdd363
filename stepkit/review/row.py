"""One run as its files tell of it: whatever stands in them, reading never fails and never imports torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from ..errors import BadPlace
from ..record.files import read_json
from ..record.find import run_id

_WANTED: dict[str, tuple[type, ...]] = {
    "status": (str,),
    "experiment": (str,),
    "metrics": (dict,),
    "best": (dict, type(None)),
    "facts": (dict,),
    "plugins": (dict,),
    "versions": (dict,),
    "tags": (list,),
    "attempts": (list,),
}
_SECONDS = ("started", "ended", "duration")
_LATEST = 1e11  # seconds since 1970 that a calendar still has a date for
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast where libyaml is there


class Row:
    """A run's directory, each of its files read when first asked for.

    Attributes:
        path: its directory.
        id: short enough to type.
        record: run.json; empty if that is damaged.
        damaged: what is wrong with run.json, or None.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.id = path, run_id(path)
        self.record: dict[str, Any] = {}
        self.damaged: str | None = None
        try:
            facts = read_json(path / "run.json")
        except BadPlace as error:
            self.damaged = str(error)
        except RecursionError:
            self.damaged = "run.json: damaged: nested without end"
        else:
            self.damaged = _damage(facts)
            self.record = {} if self.damaged else facts

    @property
    def status(self) -> str:
        """How the run stands, for every table: the one place that can tell a run whose process died unheard."""
        return "damaged" if self.damaged else str(self.record["status"])

    @cached_property
    def metrics(self) -> dict[str, float]:
        """By tag; NaN for what is no number."""
        return {tag: as_float(value) for tag, value in self.record.get("metrics", {}).items()}

    @cached_property
    def best(self) -> tuple[str, str, float] | None:
        """The monitored metric, its mode and its best value."""
        best = self.record.get("best")
        return (str(best.get("metric")), str(best.get("mode")), as_float(best.get("value"))) if best else None

    @cached_property
    def plugins(self) -> dict[str, str]:
        """The name chosen for each part: `optimizer` -> `adamw`."""
        listed = self.record.get("plugins", {})
        return {key: str(plugin.get("plugin")) for key, plugin in listed.items() if isinstance(plugin, dict)}

    @cached_property
    def overrides(self) -> list[str]:
        """What was typed."""
        listed = read_yaml(self.path / "overrides.yaml")
        return [str(text) for text in listed] if isinstance(listed, list) else []

    @cached_property
    def typed(self) -> dict[str, str]:
        """What was typed, by key; the last of several wins, as it did in the run."""
        parts = (text.lstrip("+~").partition("=") for text in self.overrides)
        return {key: value.strip("'\"") if equals else "null" for key, equals, value in parts}

    @cached_property
    def config(self) -> dict[str, Any]:
        """config.yaml by full key; a plugin's name stands under its part's own key."""
        tree = read_yaml(self.path / "config.yaml")
        flat = dict(flattened(tree)) if isinstance(tree, dict) else {}
        named = {key.removesuffix("._target_"): value for key, value in flat.items()}
        return {**named, **{key: name for key, name in self.plugins.items() if key in named}}


def _damage(facts: Mapping[str, Any]) -> str | None:
    for key, types in _WANTED.items():
        if not isinstance(facts.get(key), types):
            return f"run.json: damaged: no {key} that makes sense"
    for key in _SECONDS:
        value = facts.get(key)
        if value is not None and not (isinstance(value, int | float) and -_LATEST < value < _LATEST):
            return f"run.json: damaged: no {key} that makes sense"
    return None


def read_yaml(path: Path) -> Any:
    """What a YAML file holds; None if it cannot be read, or repeats itself by aliases, which stepkit never writes."""
    try:
        text = path.read_text(encoding="utf-8")
        if "&" in text and any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text, _Loader)):
            return None  # a few lines of aliases of aliases would fill the memory
        return yaml.load(text, _Loader)
    except (OSError, ValueError, yaml.YAMLError, RecursionError):
        return None


def flattened(tree: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(full key, value) of every leaf; an empty mapping is a leaf."""
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from flattened(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def as_float(value: Any) -> float:
    """NaN for what is no number; run.json writes NaN and infinities as text."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return float("nan")
