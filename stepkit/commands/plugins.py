"""What is installed: every group with its plugins, and the package each comes from. Imports none of them.

stepkit plugins
stepkit plugins optimizer
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from .. import plugins
from ..errors import UnknownName
from .arguments import parser


def main(arguments: Sequence[str]) -> int:
    options = parser("plugins", __doc__ or "")
    options.add_argument("group", nargs="?")
    options.add_argument("--json", action="store_true")
    given = options.parse(arguments)
    if given.group is not None and given.group not in plugins.GROUPS:
        raise UnknownName("group", given.group, plugins.GROUPS)
    chosen = [p for p in plugins.everything() if given.group in (None, p.group)]
    chosen.sort(key=lambda p: (plugins.GROUPS.index(p.group), p.name, p.distribution))
    if given.json:
        print(json.dumps([vars(plugin) for plugin in chosen], indent=2))
    else:
        _show(chosen)
    return 0


def _show(chosen: list[plugins.Plugin]) -> None:
    group = ""
    width = max((len(plugin.name) for plugin in chosen), default=0) + 2
    for plugin in chosen:
        if plugin.group != group:
            group = plugin.group
            print(f"{group}:")
        print(f"  {plugin.name:{width}}{plugin.distribution} {plugin.version}")
