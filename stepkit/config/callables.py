"""The Python code behind a callable: a class's constructor, a class method's function, a partial's."""

from __future__ import annotations

import ast
import functools
import inspect
import types
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Code:
    """The Python function behind a callable, and the class it makes or is bound to."""

    function: types.FunctionType
    owner: type | None
    bound: bool  # its first parameter (self, cls) is not the caller's

    def home(self) -> type | None:
        """The class in whose body the function stands."""
        for base in self.owner.__mro__ if self.owner else ():
            if _plain_function(vars(base).get(self.function.__name__)) is self.function:
                return base
        return None

    def means(self, node: ast.expr) -> Any:
        """The object that a (dotted) name means inside the function; None for anything else."""
        if isinstance(node, ast.Attribute):
            return getattr(self.means(node.value), node.attr, None)
        if not isinstance(node, ast.Name):
            return None
        if node.id == "cls" and self.owner:
            return self.owner
        function = inspect.unwrap(self.function)
        cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
        return cells[node.id].cell_contents if node.id in cells else function.__globals__.get(node.id)


def code_of(obj: Any) -> Code | None:
    """The function whose parameters a call of `obj` fills; None when it is not written in Python."""
    if isinstance(obj, functools.partial):
        return code_of(obj.func)
    if isinstance(obj, type):
        return constructor(obj)
    if inspect.ismethod(obj) and isinstance(obj.__func__, types.FunctionType):
        return Code(obj.__func__, obj.__self__ if isinstance(obj.__self__, type) else type(obj.__self__), True)
    if isinstance(obj, types.FunctionType):
        return Code(obj, None, False)
    call = inspect.getattr_static(type(obj), "__call__", None)
    return Code(call, type(obj), True) if isinstance(call, types.FunctionType) else None


def constructor(cls: type, after: type | None = None) -> Code | None:
    """The `__init__`, or `__new__` that names a parameter, which comes first in the MRO (behind the class `after`)."""
    mro = cls.__mro__
    for base in mro[mro.index(after) + 1 :] if after else mro:
        for name in ("__init__", "__new__"):
            function = _plain_function(vars(base).get(name))
            if isinstance(function, types.FunctionType) and (name == "__init__" or _names_any(function)):
                return Code(function, cls, True)
    return None


def _names_any(function: types.FunctionType) -> bool:
    """A `__new__(cls, *args, **kwargs)` only hands on to `__init__`, and says nothing."""
    parameters = list(inspect.signature(function).parameters.values())[1:]
    return any(p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters)


def _plain_function(member: Any) -> Any:
    """What stands in a class body, out of its staticmethod or classmethod."""
    return getattr(member, "__func__", member)
