"""Which names in a piece of source mean something outside of it."""

from __future__ import annotations

import ast
from collections.abc import Container, Iterator

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


class Outside(ast.NodeVisitor):
    """Collects the global names and the attributes that a statement reads.

    Attributes:
        names: each use of a global name.
        attributes: the names after a dot, and those asked for with getattr.
    """

    def __init__(self, left_out: Container[ast.AST] = ()) -> None:
        self.left_out = left_out
        self.names: list[ast.Name] = []
        self.attributes: set[str] = set()
        self._scopes: list[set[str]] = []

    def visit(self, node: ast.AST) -> None:
        if node not in self.left_out:
            super().visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load) and not any(node.id in scope for scope in self._scopes):
            self.names.append(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if isinstance(node.ctx, ast.Load):
            self.attributes.add(node.attr)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Name) and node.func.id == "getattr":
            self.attributes |= {a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)}
        self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for outer in (*node.decorator_list, *filter(None, [node.returns])):
            self.visit(outer)
        self._function(node, node.body)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._function(node, [node.body])

    def _function(self, node: Function, body: list[ast.stmt] | list[ast.expr]) -> None:
        self.visit(node.args)  # defaults and annotations belong to the scope outside
        self._scopes.append(set(local_names(node, self.left_out)))
        for inner in body:
            self.visit(inner)
        self._scopes.pop()

    def _comprehension(self, node: Comprehension) -> None:
        targets = (name for part in node.generators for name in ast.walk(part.target))
        self._scopes.append({name.id for name in targets if isinstance(name, ast.Name)})
        self.generic_visit(node)
        self._scopes.pop()

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension


def local_names(function: Function, left_out: Container[ast.AST] = ()) -> Iterator[str]:
    """The names a function binds itself: parameters, assignments, loops, imports, inner functions."""
    args = function.args
    given = (*args.posonlyargs, *args.args, *args.kwonlyargs, args.vararg, args.kwarg)
    yield from (arg.arg for arg in given if arg is not None)
    waiting: list[ast.AST] = list(function.body) if isinstance(function.body, list) else [function.body]
    while waiting:
        node = waiting.pop()
        if node in left_out:
            continue
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
            continue
        if isinstance(node, Function | Comprehension):
            continue
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from ((alias.asname or alias.name).partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
            yield node.name
        waiting.extend(ast.iter_child_nodes(node))
