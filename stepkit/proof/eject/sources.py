"""Modules as source: what they define, what they import, and where a name comes from in the end."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal, NamedTuple

from ...errors import Unsupported

OWN = "stepkit"


class Key(NamedTuple):
    """Where a global name comes from: copied from a module's source, imported, or one of Python's own."""

    kind: Literal["copy", "import", "builtin"]
    module: str
    name: str  # "" for a module that is imported as a whole


# Exceptions of stepkit end a command with exit code 2; in a plain file they are ordinary ones.
INSTEAD = {(f"{OWN}.errors", "UserError"): Key("builtin", "builtins", "ValueError")}


@dataclass
class Source:
    """A module's text and tree.

    Attributes:
        definitions: classes, functions and constants of the top level.
        imports: the origin (module, attribute or "") of each imported name.
        inner: import statements inside functions whose module is copied: they are left out.
    """

    name: str
    lines: list[str]
    tree: ast.Module
    definitions: dict[str, ast.stmt] = field(default_factory=dict)
    imports: dict[str, tuple[str, str]] = field(default_factory=dict)
    inner: set[ast.AST] = field(default_factory=set)


@cache
def text_of(module: str) -> str:
    """A module's source, "" where it has none that can be read."""
    try:
        return inspect.getsource(importlib.import_module(module))
    except (ImportError, OSError, TypeError):
        return ""


@cache
def copied(module: str) -> bool:
    """Whether a module's source is copied rather than imported: stepkit's own, and what imports stepkit."""
    if module.partition(".")[0] == OWN:
        return True
    parts = module.split(".")
    return any(_imports_own(".".join(parts[: count + 1])) for count in range(len(parts)))


def _imports_own(module: str) -> bool:
    text = text_of(module)
    if OWN not in text:
        return False
    imports = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import | ast.ImportFrom))
    named = (name for node in imports for name in imported_modules(node))
    return any(name.partition(".")[0] == OWN for name in named)


def imported_modules(node: ast.Import | ast.ImportFrom) -> list[str]:
    """The absolute names of the modules that a statement imports from; relative ones are left out."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module] if node.module and not node.level else []


@cache
def source(module: str) -> Source:
    """Raises Unsupported for a module without source."""
    text = text_of(module)
    if not text:
        raise Unsupported(f"{module}: has no Python source that could be copied into a file")
    found = Source(module, text.splitlines(), ast.parse(text))
    for statement in found.tree.body:
        for name in _defined(statement):
            found.definitions[name] = statement
    top = {id(node) for statement in found.tree.body for node in _outside_functions(statement)}
    for node in ast.walk(found.tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            _note_imports(found, node, id(node) in top)
    return found


def _defined(statement: ast.stmt) -> list[str]:
    if isinstance(statement, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return [statement.name]
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    targets = [statement.target] if isinstance(statement, ast.AnnAssign) else targets
    named = (each for target in targets for each in (target.elts if isinstance(target, ast.Tuple) else [target]))
    return [each.id for each in named if isinstance(each, ast.Name)]


def _outside_functions(statement: ast.stmt) -> list[ast.AST]:
    if isinstance(statement, ast.If | ast.Try):
        return list(ast.walk(statement))
    return [statement]


def _note_imports(found: Source, node: ast.Import | ast.ImportFrom, top: bool) -> None:
    """Imports of the top level; inside functions only those of modules that are copied."""
    if isinstance(node, ast.Import):
        if top:
            for alias in node.names:
                whole = alias.name if alias.asname else alias.name.partition(".")[0]
                found.imports[alias.asname or whole] = (whole, "")
        return
    module = node.module or ""
    if node.level:
        loaded: Any = importlib.import_module(found.name)
        module = importlib.util.resolve_name("." * node.level + module, loaded.__package__)
    if module != "__future__" and (top or copied(module)):
        found.imports.update({alias.asname or alias.name: (module, alias.name) for alias in node.names})
        if not top:
            found.inner.add(node)


def origin(module: str, name: str) -> Key | None:
    """Where a global name of a copied module comes from; None for Python's own. Raises Unsupported."""
    if (module, name) in INSTEAD:
        return INSTEAD[module, name]
    found = source(module)
    if name in found.definitions:
        return Key("copy", module, name)
    if name not in found.imports:
        return None
    target, attribute = found.imports[name]
    if not copied(target):
        return Key("import", target, attribute)
    if attribute and (key := origin(target, attribute)) is not None:
        return key
    obj = getattr(importlib.import_module(target), attribute, None) if attribute else None
    home, own_name = getattr(obj, "__module__", None), getattr(obj, "__name__", None)
    if not home or not own_name or (home, own_name) == (target, attribute):
        raise Unsupported(f"{module}: uses '{name}' of {target} as a module, which cannot be written into one file")
    return origin(home, own_name)  # a package that hands a name on when it is first used, as stepkit does
