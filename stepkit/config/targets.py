"""The allow-list: which `_target_` may become an object. It stands in front of whatever constructs one."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable
from pathlib import Path

from .. import plugins
from ..errors import BrokenPlugin, NotTrusted
from ..plugins import Plugin


def allowed(group: str, key: str, target: object, trusted: Iterable[str], root: Path, where: str = "") -> Plugin:
    """The plugin that a `_target_` names: a registered one of the group (of any group, for a nested part), or a class
    below a module that the user's own conf declares trusted. Raises NotTrusted, or BrokenPlugin."""
    if not isinstance(target, str):
        raise NotTrusted(key, target, where=where)
    groups = (group,) if group in plugins.GROUPS else plugins.GROUPS
    for each in groups:
        if (plugin := plugins.by_target(each, target)) is not None:
            return plugin
    dotted = target.replace(":", ".")
    if not any(dotted.startswith(f"{module}.") for module in trusted if isinstance(module, str) and module):
        raise NotTrusted(key, target, where=where)
    return Plugin(group, dotted.rpartition(".")[2], _reference(target, root), "", "")


def _reference(target: str, root: Path) -> str:
    """`my_project.net.Net` as `my_project.net:Net`: the longest prefix that is a module. The project's folder is
    importable, as it is for `python -m`, but not for a console script."""
    if ":" in target:
        return target
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    parts = target.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:cut])
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name and (module == error.name or module.startswith(f"{error.name}.")):
                continue  # not a module: perhaps a class that holds the rest
            return f"{module}:{'.'.join(parts[cut:])}"  # it lacks something of its own: told when it is loaded
        except Exception:  # a module that fails on import: told, with its own last line, when it is loaded
            return f"{module}:{'.'.join(parts[cut:])}"
        return f"{module}:{'.'.join(parts[cut:])}"
    raise BrokenPlugin(f"{target}: no module '{parts[0]}' in {root} or among the installed packages")
