"""The nodes of a config as Python expressions: what `construct` would call, written out."""

from __future__ import annotations

import ast
import dataclasses
import enum
import inspect
import math
import re
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ...config.arguments import arguments
from ...config.describe import described
from ...config.hydra import Composed
from ...config.secrets import shown
from ...errors import Unsupported
from .bundle import Bundle
from .sources import copied, source

WIDTH = 120
_FROM_ENVIRONMENT = re.compile(r"\$\{oc\.env:(\w+)(?:,(.*))?\}")


class Code(str):
    """Text that is an expression already."""


def call(
    composed: Composed, bundle: Bundle, key: str, section: str, *positional: str, without: Iterable[str] = ()
) -> str:
    """The call that constructs the node at `key`, on one line. Raises Unsupported."""
    plugin, node = composed.plugins[key], OmegaConf.select(composed.cfg, key)
    written: Any = shown(composed.cfg)
    for part in key.split("."):
        written = written[part]
    values = {
        str(name): _value(composed, bundle, f"{key}.{name}", node[name], written[name], section)
        for name in node
        if not str(name).startswith("_") and name not in without
    }
    made_by = plugin.load()
    code = {name: value for name, value in values.items() if _has_code(value)}
    given = arguments(made_by, described(plugin), {name: v for name, v in values.items() if name not in code}) | code
    reference = plugin.reference
    if (simpler := unwrapped(made_by, given)) is not None:
        reference, given = simpler
    options = [f"{name}={literal(value, bundle, section, f'{key}.{name}')}" for name, value in given.items()]
    return f"{bundle.name(reference, section)}({', '.join([*positional, *options])})"


def _value(composed: Composed, bundle: Bundle, key: str, value: Any, written: Any, section: str) -> Any:
    if isinstance(written, str) and "${oc.env:" in written:
        return _environment(key, written, bundle, section)
    if isinstance(value, DictConfig):
        if "_target_" in value:
            return Code(call(composed, bundle, key, section))
        return {str(k): _value(composed, bundle, f"{key}.{k!s}", value[k], written[str(k)], section) for k in value}
    if OmegaConf.is_list(value):
        return [_value(composed, bundle, f"{key}.{n}", v, written[n], section) for n, v in enumerate(value)]
    return value


def _environment(key: str, written: str, bundle: Bundle, section: str) -> Code:
    """What comes from the environment is read from there: it may be a secret."""
    found = _FROM_ENVIRONMENT.fullmatch(written)
    if found is None:
        raise Unsupported(f"{key}={written}: put together from the environment; give it as one ${{oc.env:NAME}}")
    environ = f"{bundle.name('os:environ', section)}"
    return Code(f'{environ}["{found[1]}"]' if found[2] is None else f'{environ}.get("{found[1]}", {found[2]!r})')


def _has_code(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_has_code, value.values()))
    return any(map(_has_code, value)) if isinstance(value, list) else isinstance(value, Code)


def literal(value: Any, bundle: Bundle, section: str, key: str) -> str:
    """A value as Python writes it. Raises Unsupported for one that is none."""
    if isinstance(value, Code):
        return str(value)
    if isinstance(value, enum.Enum):
        kind = type(value)
        return f"{bundle.name(f'{kind.__module__}:{kind.__qualname__}', section)}.{value.name}"
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    if value is None or isinstance(value, bool | int | float):
        return repr(value)
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, Path):
        return f"{bundle.name('pathlib:Path', section)}({quoted(str(value))})"
    if isinstance(value, Mapping):
        pairs = (f"{literal(k, bundle, section, key)}: {literal(v, bundle, section, key)}" for k, v in value.items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list | tuple):
        items = ", ".join(literal(item, bundle, section, key) for item in value)
        return f"[{items}]" if isinstance(value, list) else f"({items},)" if len(value) == 1 else f"({items})"
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {each.name: getattr(value, each.name) for each in dataclasses.fields(value) if each.init}
        options = ", ".join(f"{name}={literal(v, bundle, section, key)}" for name, v in fields.items())
        return f"{bundle.name(f'{type(value).__module__}:{type(value).__qualname__}', section)}({options})"
    raise Unsupported(f"{key}: a {type(value).__name__} cannot be written into a file as it is")


def quoted(text: str) -> str:
    """A string in double quotes."""
    body = repr(text)
    return body if body.startswith('"') or '"' in text else f'"{body[1:-1]}"'


def passed_on(cls: Any) -> list[ast.keyword] | None:
    """What a class that only gives a library's class other defaults hands to it; None for any other class."""
    if not isinstance(cls, type) or not copied(cls.__module__) or len(cls.__bases__) != 1:
        return None
    node = source(cls.__module__).definitions.get(cls.__name__)
    known = isinstance(node, ast.ClassDef) and not copied(cls.__bases__[0].__module__)
    return _only_passes_on(node) if known and isinstance(node, ast.ClassDef) else None


def unwrapped(cls: Any, given: Mapping[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """Such a class as the library's class with these options: (reference, options). None: its source is copied."""
    if (passed := passed_on(cls)) is None:
        return None
    (base,) = cls.__bases__
    bound = inspect.signature(cls).bind(**given)
    bound.apply_defaults()
    options: dict[str, Any] = {}
    for keyword in passed:
        if keyword.arg is None and isinstance(keyword.value, ast.Name):
            options.update(bound.arguments[keyword.value.id])
        elif keyword.arg is not None and isinstance(keyword.value, ast.Constant):
            options[keyword.arg] = keyword.value.value
        elif keyword.arg is not None and isinstance(keyword.value, ast.Name) and keyword.value.id in bound.arguments:
            options[keyword.arg] = bound.arguments[keyword.value.id]
        else:
            return None
    defaults = inspect.signature(base).parameters
    kept = {name: v for name, v in options.items() if name not in defaults or defaults[name].default != v}
    public = base.__module__
    while hasattr(base, "__module__") and public.count("."):  # from where people import it: torchmetrics.regression
        if base.__name__ in getattr(__import__(public.rpartition(".")[0], fromlist=["_"]), "__all__", ()):
            public = public.rpartition(".")[0]
        else:
            break
    return f"{public}:{base.__name__}", kept


def _only_passes_on(node: ast.ClassDef) -> list[ast.keyword] | None:
    """The keywords of `super().__init__(…)` where that is all the class does."""
    body = [statement for statement in node.body if not _is_text(statement)]
    if len(body) != 1 or not isinstance(body[0], ast.FunctionDef) or body[0].name != "__init__":
        return None
    inner = [statement for statement in body[0].body if not _is_text(statement)]
    only = inner[0].value if len(inner) == 1 and isinstance(inner[0], ast.Expr) else None
    if not isinstance(only, ast.Call) or only.args or ast.unparse(only.func) != "super().__init__":
        return None
    return only.keywords


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def fitted(line: str) -> list[str]:
    """A statement that may be too long, its outermost call's arguments on lines of their own then."""
    if len(line) <= WIDTH:
        return [line]
    indent = line[: len(line) - len(line.lstrip())]
    tree = ast.parse(textwrap.dedent(line)).body[0]
    outer = next((node for node in ast.walk(tree) if isinstance(node, ast.Call) and (node.args or node.keywords)), None)
    if outer is None:
        return [f"{line}  # noqa: E501"]
    text = line.lstrip()
    raw = text.encode()
    opening = (outer.func.end_col_offset or 0) + 1
    closing = (outer.end_col_offset or 0) - 1
    parts = [ast.get_source_segment(text, arg) or "" for arg in outer.args]
    parts += [
        f"{'**' if k.arg is None else k.arg + '='}{ast.get_source_segment(text, k.value)}" for k in outer.keywords
    ]
    inside = [f"{indent}    {part}," for part in parts]
    inside = [part if len(part) <= WIDTH else f"{part}  # noqa: E501" for part in inside]
    return [indent + raw[:opening].decode(), *inside, indent + raw[closing:].decode()]
