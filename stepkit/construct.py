"""The one way from a config's node to an object: no other code calls what a config names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from omegaconf import DictConfig, OmegaConf

from .config.arguments import arguments
from .config.describe import described
from .config.hydra import Composed
from .errors import BrokenPlugin, UserError
from .plugins import Plugin


def construct(composed: Composed, key: str, *positional: Any, leave_out: Iterable[str] = (), **more: Any) -> Any:
    """The object that the node at `key` names. What its constructor refuses is told in one line with its options."""
    plugin = composed.plugins[key]
    node = OmegaConf.select(composed.cfg, key)
    options = {k: v for k, v in _options(composed, key, node).items() if k not in leave_out}
    options.update(more)
    try:
        made_by = plugin.load()
        return made_by(*positional, **arguments(made_by, described(plugin), options))
    except UserError:
        raise
    except Exception as error:  # a stranger's constructor may raise anything
        raise BrokenPlugin(_refusal(composed, key, plugin, options, error)) from error


def _options(composed: Composed, key: str, node: DictConfig) -> dict[str, Any]:
    """The node's values, resolved; parts that name a class are constructed."""
    return {
        str(name): _value(composed, f"{key}.{name!s}", node[name]) for name in node if not str(name).startswith("_")
    }


def _value(composed: Composed, key: str, value: Any) -> Any:
    if OmegaConf.is_dict(value):
        if "_target_" in value:
            return construct(composed, key)
        return {str(name): _value(composed, f"{key}.{name}", value[name]) for name in value}
    if OmegaConf.is_list(value):
        return [_value(composed, f"{key}.{number}", item) for number, item in enumerate(value)]
    return value


def _refusal(composed: Composed, key: str, plugin: Plugin, options: dict[str, Any], error: Exception) -> str:
    """Names the option whose value or name the constructor's message speaks of, if it does."""
    text = first_line(error)
    named = [name for name, value in options.items() if str(value) in text.split() or f"{name}" in text.lower().split()]
    shown = [f"{key}.{name}={options[name]}" for name in named if composed.where(f"{key}.{name}")][:3]
    where = composed.where(f"{key}.{named[0]}") if named else ""
    what = ", ".join(shown) or f"{key}={plugin.name}"
    return f"{what}{f' ({where})' if where else ''}: {plugin.reference.partition(':')[2]} refuses: {text}"


def first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
