"""The front page: what stepkit is, the verbs, the groups with their options, three examples."""

from __future__ import annotations

import importlib.metadata
import textwrap

from .. import plugins
from . import VERBS, train

HEAD = """\
stepkit: declare one training step, swap any part of it by name, see what it did, and trust it.

usage: stepkit [VERB] [key=value ...] [-m]
"""


def show() -> int:
    print(HEAD)
    print("verbs:")
    for verb, what in VERBS.items():
        print(f"  {verb:10}{what}")
    print("\ngroups (choose by group=name, set options by group.option=value):")
    for group in plugins.GROUPS:
        names = textwrap.wrap(", ".join(plugins.available(group)), 100 - 14)
        print("\n".join(f"  {group if number == 0 else '':12}{line}" for number, line in enumerate(names)))
    print(
        "\nand: experiment= and trainer= (files of conf/); data.batch_size, step., monitor., observe., seed, name, tags"
    )
    print("\nexamples:\n" + textwrap.indent((train.__doc__ or "").partition("\n\n")[2].rstrip(), "  "))
    print("\nstepkit config shows what would run; stepkit VERB --help tells of one verb.")
    return 0


def version() -> int:
    print(importlib.metadata.version("stepkit"))
    return 0
