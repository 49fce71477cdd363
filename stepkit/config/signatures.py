"""What a callable takes: parameters with their types, those that pass through **kwargs to a parent included."""

from __future__ import annotations

import ast
import builtins
import enum
import functools
import inspect
import sys
import textwrap
import types
import typing
from collections import ChainMap
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from .callables import Code, code_of, constructor

EMPTY = inspect.Parameter.empty
BY_POSITION = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_POSITIONAL)


@dataclass(frozen=True)
class Parameter:
    """One parameter. `hint` is a type, Any when it has none that can be evaluated; `default` may be EMPTY."""

    name: str
    hint: Any
    default: Any
    by_position: bool = False
    variadic: bool = False
    passed_on: bool = False


@dataclass(frozen=True)
class Signature:
    """All parameters by name; `open` when keyword arguments of any other name are taken too."""

    parameters: dict[str, Parameter]
    open: bool


def signature(obj: Any, skip: int = 0) -> Signature:
    """Read what `obj` takes, without its first `skip` positional parameters."""
    if isinstance(obj, functools.partial):
        return _bound(obj, skip)
    code = code_of(obj)
    if code is None or hasattr(obj, "__signature__"):
        return _declared(obj, skip)
    return _read(code, skip, frozenset())


def _bound(obj: functools.partial[Any], skip: int) -> Signature:
    inner = signature(obj.func, skip + len(obj.args))
    own = dict(inner.parameters)
    for name, value in obj.keywords.items():
        own[name] = replace(own.get(name, Parameter(name, Any, EMPTY)), default=value)
    return Signature(own, inner.open)


def _declared(obj: Any, skip: int) -> Signature:
    """Of what is written in C, or says itself which signature it has."""
    try:
        parameters = list(inspect.signature(obj).parameters.values())
    except (TypeError, ValueError):
        return Signature({}, True)
    names = Names(vars(sys.modules.get(getattr(obj, "__module__", None) or "", builtins)))
    return Signature(*_own(parameters, skip, names))


def _read(code: Code, skip: int, seen: frozenset[types.FunctionType]) -> Signature:
    parameters = list(inspect.signature(code.function).parameters.values())[code.bound :]
    own, keywords = _own(parameters, skip, Names.of(code))
    if not keywords:
        return Signature(own, False)
    variadic = next(p.name for p in parameters if p.kind is p.VAR_KEYWORD)
    passed = _passed_on(code, variadic, seen | {code.function})
    rest = {name: replace(p, passed_on=True) for name, p in passed.parameters.items() if name not in own}
    return Signature({**own, **rest}, passed.open)


def _own(parameters: list[inspect.Parameter], skip: int, names: Names) -> tuple[dict[str, Parameter], bool]:
    """The named parameters, and whether there is a **kwargs."""
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    own = {}
    variadic = {p.kind for p in parameters} & {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
    for p in parameters:
        # (*args, **kwargs) only hands everything on, and says nothing of its own.
        if p in positional[:skip] or p.kind is p.VAR_KEYWORD or (p.kind in variadic and len(variadic) == 2):
            continue
        own[p.name] = Parameter(p.name, _hint(p, names), p.default, p.kind in BY_POSITION, p.kind is p.VAR_POSITIONAL)
    return own, inspect.Parameter.VAR_KEYWORD in variadic


class Names(ChainMap[str, Any]):
    """The names that an annotation can use. One that is nowhere (imported for type checkers only) stands for Any."""

    @classmethod
    def of(cls, code: Code) -> Names:
        modules = [sys.modules.get(base.__module__) for base in (code.owner.__mro__ if code.owner else ())]
        return cls(inspect.unwrap(code.function).__globals__, *(vars(module) for module in modules if module))

    def __missing__(self, key: str) -> Any:
        return getattr(builtins, key, Any)


def _hint(parameter: inspect.Parameter, names: Names) -> Any:
    """The evaluated annotation, each on its own, so that one that fails does not blind the others."""
    if parameter.annotation is EMPTY:
        return type(parameter.default) if isinstance(parameter.default, enum.Enum) else Any
    holder = types.SimpleNamespace(__annotations__={"hint": parameter.annotation})
    try:
        return typing.get_type_hints(holder, globalns={}, localns=names, include_extras=True)["hint"]
    except Exception:  # whatever a stranger's annotation raises when evaluated
        return Any if isinstance(parameter.annotation, str) else parameter.annotation


# -- **kwargs ---------------------------------------------------------------------------------------------------------


def _passed_on(code: Code, variadic: str, seen: frozenset[types.FunctionType]) -> Signature:
    """The parameters of whom a function hands its **kwargs to, and what it takes out of them by name."""
    tree = _source(code.function)
    if tree is None:
        return Signature({}, True)
    taken = dict(_taken(tree, variadic))
    calls = [call for call in ast.walk(tree) if isinstance(call, ast.Call) and _hands_on(call, variadic)]
    calls = [call for call in calls if _names_init(call.func)] or calls
    if not calls:
        return Signature(taken, not _refuses_rest(tree, variadic))
    behind = [_behind(call, code, seen) for call in calls]
    return Signature({**_either([one.parameters for one in behind]), **taken}, any(one.open for one in behind))


def _either(callees: list[dict[str, Parameter]]) -> dict[str, Parameter]:
    """The parameters of one callee or another, chosen by other options: what not all of them have is never required."""
    if len(callees) == 1:
        return callees[0]
    found = {name: p for parameters in reversed(callees) for name, p in parameters.items()}
    shared = {name for name, p in found.items() if p.default is not EMPTY and all(name in one for one in callees)}
    return {name: p if name in shared else replace(p, default=...) for name, p in found.items()}


def _source(function: types.FunctionType) -> ast.AST | None:
    try:
        return ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function))))
    except (OSError, TypeError, SyntaxError):  # made at run time, or a lambda amid a line
        return None


def _is(node: ast.AST | None, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _hands_on(call: ast.Call, variadic: str) -> bool:
    return any(keyword.arg is None and _is(keyword.value, variadic) for keyword in call.keywords)


def _names_init(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and node.attr in ("__init__", "__new__")


def _taken(tree: ast.AST, variadic: str) -> Iterator[tuple[str, Parameter]]:
    """`kwargs.pop("name", default)` and `kwargs.get(…)`."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(ast.Attribute(ast.Name(id=holder), "pop" | "get"), [ast.Constant(str(name)), *rest]):
                if holder == variadic:
                    default = rest[0].value if rest and isinstance(rest[0], ast.Constant) else ...
                    yield name, Parameter(name, Any, default)


def _refuses_rest(tree: ast.AST, variadic: str) -> bool:
    """`if kwargs: raise …`"""
    tests = [node for node in ast.walk(tree) if isinstance(node, ast.If)]
    tests = [node for node in tests if any(_is(part, variadic) for part in ast.walk(node.test))]
    return any(isinstance(part, ast.Raise) for node in tests for line in node.body for part in ast.walk(line))


def _behind(call: ast.Call, code: Code, seen: frozenset[types.FunctionType]) -> Signature:
    """The callee's parameters but those that the call itself gives."""
    given = {keyword.arg for keyword in call.keywords}
    positional = sum(not isinstance(argument, ast.Starred) for argument in call.args)
    signature_ = _callee(call.func, code, positional, seen)
    kept = {name: p for name, p in signature_.parameters.items() if name not in given and not p.by_position}
    return Signature(kept, signature_.open)


def _callee(node: ast.expr, code: Code, skip: int, seen: frozenset[types.FunctionType]) -> Signature:
    target: Code | None
    match node:
        case ast.Attribute(ast.Call(ast.Name(id="super")), "__init__") if code.owner:
            target = constructor(code.owner, after=code.home())
            if target is None:  # object's constructor
                return Signature({}, False)
        case ast.Attribute(parent, "__init__"):
            cls = code.means(parent)
            target, skip = (constructor(cls) if isinstance(cls, type) else None), skip - 1
        case _:
            target = code_of(code.means(node))
    if target is None or target.function in seen:
        return Signature({}, True)
    return _read(target, skip, seen)
