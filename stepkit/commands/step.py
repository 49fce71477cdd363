"""One optimizer step of the experiment, taken apart and proven; nothing is written into outputs/.

stepkit step
stepkit step optimizer=sgd optimizer.lr=0.1 step.accumulate=4
stepkit step --write lesson       the same as a page, and the graph for TensorBoard
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..config.prepare import prepare
from ..errors import BadPlace
from ..review.tables import wide_console
from .arguments import parser

if TYPE_CHECKING:
    from ..proof.findings import Anatomy

PAGE = "step.html"


def main(arguments: Sequence[str]) -> int:
    options = parser("step", __doc__ or "")
    options.add_argument("overrides", nargs="*")
    options.add_argument("--json", action="store_true", help="all numbers as JSON")
    options.add_argument("--write", metavar="DIR", type=Path, help="a page, and the graph as a TensorBoard event file")
    given = options.parse(arguments)
    composed = prepare(given.overrides)
    from ..proof.anatomy import take_apart  # after the checks: a typo is told before torch is imported

    anatomy = take_apart(composed)
    from ..review.anatomy import show

    if given.json:
        print(json.dumps(anatomy.plain(), indent=2, ensure_ascii=False))
    else:
        show(wide_console(), anatomy)
    if given.write is not None:
        write(anatomy, given.write)
        if not given.json:
            print(f"page: {given.write / PAGE}\ngraph: tensorboard --logdir {given.write}")
    return 1 if anatomy.failed else 0


def write(anatomy: Anatomy, directory: Path) -> None:
    """The page and an event file with the graph. Raises BadPlace."""
    from ..events import EventWriter
    from ..review.anatomy import page

    try:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / PAGE).write_text(page(anatomy).html(), encoding="utf-8")
        events = EventWriter(directory)
        events.graph(anatomy.graph_def)
        events.close()
    except OSError as error:
        raise BadPlace(f"--write {directory}: {error.strerror or error}; give a folder that can be written") from error
