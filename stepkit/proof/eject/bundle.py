"""What the file needs of other modules: imported where it can be, copied where it is stepkit's own.

Of a copied class only the methods are taken that something uses by name (and those that a library's base class calls):
a student who reads the digits wants to see how they are split, not how a CSV file of them is streamed.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from .copying import copy_of
from .scopes import Outside
from .sources import Key, copied, origin, source

PICKLING = ("__getstate__", "__setstate__", "__reduce__", "__reduce_ex__", "__repr__")
SPEC = "spec"  # what data tells stepkit of itself; the file has these sizes as numbers


class Bundle:
    """Names for everything that is asked for; then imports, and copied source by section.

    Args:
        sections: in the order of the file. What several need stands in the first of them.
        taken: names the file itself uses.
        used: attributes the file itself asks for.
        brief: 1: outside of the section "data" docstrings keep their first paragraph, and options are not checked:
            they stand in the file as literals, and were checked. 2: functions have none. 0 copies everything whole.
    """

    def __init__(self, sections: Iterable[str], taken: Iterable[str], used: Iterable[str], brief: int = 0) -> None:
        self.brief = brief
        self.roots: dict[str, list[Key]] = {section: [] for section in sections}
        self.names: dict[Key, str] = {}
        self.taken = {*taken, *dir(builtins)}
        self.used = set(used)
        self.home: dict[Key, str] = {}

    def name(self, reference: str, section: str) -> str:
        """How the file calls `module:attribute`. Torch's own are called in full, as everybody does."""
        module, _, path = reference.partition(":")
        first, _, rest = path.partition(".")
        if copied(module):
            key = origin(module, first) or Key("import", module, first)
        elif module == "torch.nn" or module.startswith("torch.nn.modules"):
            return f"nn.{path}"
        elif module == "torch.optim" or module.startswith("torch.optim.lr_scheduler"):
            return f"{module}.{path}"
        else:
            key = Key("import", module, first)
        self.roots[section].append(key)
        return f"{self._named(key)}.{rest}" if rest else self._named(key)

    def finish(self) -> None:
        """Find all that is needed, and give it names."""
        seen = (-1, -1)
        while seen != (len(self.used), len(self.home)):
            seen = len(self.used), len(self.home)
            self.home = {}
            for section, keys in self.roots.items():
                for key in keys:
                    self._need(key, section)

    def _need(self, key: Key, section: str) -> None:
        if key in self.home:
            return
        self.home[key] = section  # under way: recursion ends here
        if key.kind == "copy":
            for needed in self._needs(key):
                self._need(needed, section)
        self._named(key)
        del self.home[key]
        self.home[key] = section  # behind all that it needs, as bases and constants must be

    def _needs(self, key: Key) -> list[Key]:
        outside = Outside(self._left_out(key))
        outside.visit(source(key.module).definitions[key.name])
        self.used |= outside.attributes
        keys = (origin(key.module, name.id) for name in outside.names)
        return list(dict.fromkeys(found for found in keys if found is not None))

    def _left_out(self, key: Key) -> set[ast.AST]:
        """The parts of a definition that are not copied."""
        node = source(key.module).definitions[key.name]
        left = {inner for inner in ast.walk(node) if inner in source(key.module).inner}
        if SPEC not in self.used:
            left |= {inner for inner in ast.walk(node) if _sets_spec(inner)}
        if self._brief(key):
            left |= {inner for inner in ast.walk(node) if _only_raises(inner)}
        if self._brief(key) == 2:
            functions = (inner for inner in ast.walk(node) if isinstance(inner, ast.FunctionDef))
            left |= {inner.body[0] for inner in functions if ast.get_docstring(inner) is not None}
        if isinstance(node, ast.ClassDef):
            left |= {member for member in node.body if not self._used_method(key, member)}
        return left

    def _brief(self, key: Key) -> int:
        return 0 if self.home[key] == "data" else self.brief

    def _used_method(self, key: Key, member: ast.stmt) -> bool:
        if not isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef):
            return True
        name = member.name
        if name in PICKLING:
            return False
        if name in self.used or (name.startswith("__") and name.endswith("__")):
            return True
        return any(
            hasattr(base, name) for base in library_bases(getattr(importlib.import_module(key.module), key.name))
        )

    def _named(self, key: Key) -> str:
        """The name a thing has in the file: its own, or with its module's before it where that is taken."""
        if key.kind == "builtin":
            return key.name
        if key not in self.names:
            own = key.name or key.module.rpartition(".")[2]
            alias = {"numpy": "np", "polars": "pl"}.get(key.module, own) if not key.name else own
            module = key.module.rpartition(".")[2]
            tries = [alias, f"{module}_{own}".replace("__", "_"), *(f"{own}_{n}" for n in range(2, 99))]
            self.names[key] = next(each for each in tries if each not in self.taken)
            self.taken.add(self.names[key])
        return self.names[key]

    # -- the text ---------------------------------------------------------------------------------------------------

    def imports(self, more: Iterable[Key] = ()) -> list[str]:
        """Import statements: Python's own first, then the others."""
        keys = [key for key in self.home if key.kind == "import"]
        for key in more:
            if key not in keys:
                keys.append(key)
        modules = sorted({key.module for key in keys})
        lines: dict[bool, list[str]] = {True: [], False: []}
        for module in modules:
            own = lines[module.partition(".")[0] in sys.stdlib_module_names]
            own += _statements(
                module, [(key.name, self.names.get(key, key.name)) for key in keys if key.module == module]
            )
        plain = sorted(lines[True], key=_import_order), sorted(lines[False], key=_import_order)
        return [*plain[0], *([""] if all(plain) else []), *plain[1]]

    def copies(self, section: str) -> list[str]:
        """The copied source of a section, each piece behind what it needs."""
        lines: list[str] = []
        for key in (key for key, home in self.home.items() if home == section and key.kind == "copy"):
            names = {}
            left_out = self._left_out(key)
            outside = Outside(left_out)
            outside.visit(source(key.module).definitions[key.name])
            for name in outside.names:
                found = origin(key.module, name.id)
                if found is not None and (given := self._named(found)) != name.id:
                    names[name] = given
            brief = self._brief(key) > 0
            piece = copy_of(source(key.module), key.name, self.names[key], left_out, names, brief=brief)
            constant = not isinstance(source(key.module).definitions[key.name], ast.ClassDef | ast.FunctionDef)
            lines += [*([] if constant and lines and lines[-1] and not lines[-1].startswith(" ") else ["", ""]), *piece]
        return lines

    def strangers(self) -> list[str]:
        """Packages other than stepkit whose source is copied."""
        tops = (key.module.partition(".")[0] for key in self.home if key.kind == "copy")
        return sorted({top for top in tops if top != "stepkit"})


def library_bases(cls: Any) -> Iterator[type]:
    """The base classes that are imported: they call methods by names that the source does not show."""
    for base in getattr(cls, "__mro__", ())[1:]:
        if base is not object and not copied(base.__module__):
            yield base


def _sets_spec(node: ast.AST) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return any(
        (isinstance(t, ast.Attribute) and t.attr == SPEC) or (isinstance(t, ast.Name) and t.id == SPEC) for t in targets
    )


def _only_raises(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and not node.orelse and all(isinstance(inner, ast.Raise) for inner in node.body)


def _statements(module: str, wanted: list[tuple[str, str]]) -> Iterator[str]:
    if any(not name for name, _ in wanted):
        called = next(called for name, called in wanted if not name)
        plain = called == module or ("." in module and called == module.partition(".")[0])
        yield f"import {module}" if plain else f"import {module} as {called}"
    parts = sorted({name if name == called else f"{name} as {called}" for name, called in wanted if name})
    line = f"from {module} import {', '.join(parts)}"
    if parts:
        yield line if len(line) <= 120 else f"from {module} import (\n    " + ",\n    ".join(parts) + ",\n)"


def _import_order(line: str) -> tuple[bool, str]:
    return line.startswith("from"), line.split()[1]
