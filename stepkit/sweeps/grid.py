"""A finite grid, in Hydra's own order, each trial a run of its own in this process."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from .. import training
from ..config.hydra import loader
from ..config.names import check_names, parse
from ..config.prepare import prepare
from ..config.project import find_project
from ..errors import RunFailed, Unsupported
from ..record.directory import new_directory
from ..record.files import read_json


@dataclass
class Trial:
    """One point of the grid: what was set, where it ran, what its run.json says."""

    overrides: tuple[str, ...]
    path: Path
    record: dict[str, object]


def points(overrides: Sequence[str]) -> tuple[list[str], list[tuple[str, ...]]]:
    """The overrides that stay, and for each trial those that vary. Raises Unsupported for an endless dimension."""
    fixed, dimensions = [], []
    for text in overrides:
        override = parse(text)
        if not override.is_sweep_override():
            fixed.append(text)
        elif override.is_interval_sweep():
            raise Unsupported(f"{text}: an interval has no finite number of points; give choices or range()")
        else:
            key = override.get_key_element()
            dimensions.append([f"{key}={value}" for value in override.sweep_string_iterator()])
    return fixed, list(itertools.product(*dimensions))


def run_grid(overrides: Sequence[str], console: Console) -> tuple[list[Trial], int]:
    """Train every point. All points are checked before the first one trains. A failed one does not stop the others."""
    project = find_project()
    check_names(overrides, loader(project), sweep=True)
    fixed, grid = points(overrides)
    checked = [prepare([*fixed, *varied]) for varied in grid]
    sweep = new_directory(project.outputs, checked[0].choices.get("experiment") or "sweep")
    trials, exit_code = [], 0
    for number, (varied, composed) in enumerate(zip(grid, checked, strict=True)):
        path = sweep / str(number)
        console.print(f"trial {number + 1}/{len(grid)}: {' '.join(varied)}", markup=False, highlight=False)
        try:
            result = training.run(composed, path=path, console=Console(quiet=True))
            interrupted = result.exit_code
        except RunFailed as error:
            console.print(f"error: {error}", markup=False, highlight=False)
            exit_code, interrupted = 1, 0
        trials.append(Trial(varied, path, read_json(path / "run.json")))
        if interrupted:
            return trials, interrupted
    return trials, exit_code
