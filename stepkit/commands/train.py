"""Train what the config declares.

stepkit                                   the default experiment: handwritten digits
stepkit optimizer=sgd optimizer.lr=0.1    another optimizer, by name, and its option
stepkit -m optimizer.lr=0.1,0.01          a run for each value
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from ..config.names import parse
from ..errors import BadSyntax
from . import help as front_page
from .arguments import parser


def main(arguments: Sequence[str]) -> int:
    if any(argument in ("-h", "--help") for argument in arguments):
        return front_page.show()
    options = parser("train", __doc__ or "")
    options.add_argument("overrides", nargs="*")
    options.add_argument("-m", "--multirun", action="store_true")
    options.add_argument("--version", action="store_true")
    given = options.parse(arguments)
    if given.version:
        return front_page.version()
    return _sweep(given.overrides) if given.multirun else _train(given.overrides)


def _train(overrides: list[str]) -> int:
    from ..config.prepare import prepare
    from ..review.tables import run_table

    composed = prepare(overrides)
    from .. import training  # after the checks: a typo is told before torch is imported

    console = Console(soft_wrap=True)
    result = training.run(composed, console=console)
    run_table(console, result.directory.record, result.directory.path)
    return result.exit_code


def _sweep(overrides: list[str]) -> int:
    if not any(parse(text).is_sweep_override() for text in overrides if "=" in text):
        raise BadSyntax("-m: nothing to sweep over; give several values, as optimizer.lr=0.1,0.01")
    from ..review.tables import sweep_table
    from ..sweeps.grid import run_grid

    console = Console(soft_wrap=True)
    trials, exit_code = run_grid(overrides, console)
    sweep_table(trials)
    return exit_code
