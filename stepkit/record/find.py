"""Which run a command's RUN means: a path, the start of an id, or `last`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from ..errors import NoSuchRun, UnknownName

_NAME = re.compile(r"\d{8}-\d{6}-([0-9a-f]{6})")


def all_runs(outputs: Path) -> Iterator[Path]:
    """Every run's directory below a folder, the trials of sweeps included, newest first."""
    found = {file.parent for depth in ("*", "*/*", "*/*/*") for file in outputs.glob(f"{depth}/run.json")}
    yield from sorted(found, key=_age)


def _age(path: Path) -> tuple[str, str]:
    """Sorts newest first by the time in the name; trials of a sweep by their sweep's, then by their number."""
    name = f"{path.parent.name}/{int(path.name):09d}" if is_trial(path) else path.name
    return ("".join(chr(0x10FFFF - ord(c)) for c in name), str(path))


def is_trial(path: Path) -> bool:
    """Is this run one of a sweep's?"""
    return path.name.isdecimal()


def run_id(path: Path) -> str:
    """As short as one likes to type it: `f215fe`, a sweep's trial `b2375a/0`."""
    return f"{_short(path.parent.name)}/{path.name}" if is_trial(path) else _short(path.name)


def _short(name: str) -> str:
    return match[1] if (match := _NAME.fullmatch(name)) else name


def _names(path: Path) -> tuple[str, str]:
    return (f"{path.parent.name}/{path.name}" if is_trial(path) else path.name, run_id(path))


def find_run(run: str | Path, outputs: Path) -> Path:
    """The directory of a run. Raises NoSuchRun, or UnknownName for a start of several ids."""
    path = Path(run)
    if os.path.isfile(path / "run.json"):  # not Path.is_file: that one raises for a name too long for a file
        return path.absolute()
    runs = list(all_runs(outputs))
    if not runs:
        raise NoSuchRun(f"{run}: no such run; there are none under {outputs}")
    if str(run) == "last":
        return runs[0]
    matches = [path for path in runs if str(run) in _names(path)] or [
        path for path in runs if any(name.startswith(str(run)) for name in _names(path))
    ]
    if len(matches) > 1:
        raise NoSuchRun(
            f"{run}: the start of {len(matches)} runs; more of it is needed: " + ", ".join(map(run_id, matches[:4]))
        )
    if not matches:
        raise UnknownName("run", str(run), ["last", *(name for path in runs for name in _names(path))])
    return matches[0]


def find_runs(place: str, outputs: Path) -> list[Path]:
    """The runs of a folder (a path, or an experiment's name) or of a sweep (the start of its id, or `last`).

    Newest first; a sweep's in the order of its trials. Raises NoSuchRun.
    """
    for folder in (Path(place), outputs / place):
        folder = folder.absolute()
        if os.path.isfile(folder / "run.json"):
            return [folder]
        if found := list(all_runs(folder)) if os.path.isdir(folder) else []:
            return found[::-1] if all(path.parent == folder and is_trial(path) for path in found) else found
    sweeps = list(dict.fromkeys(path.parent for path in all_runs(outputs) if is_trial(path)))
    matches = [s for s in sweeps if s.name.startswith(place) or _short(s.name).startswith(place)]
    if place == "last":
        matches = sweeps[:1]
    if len(matches) > 1:
        raise NoSuchRun(
            f"{place}: the start of {len(matches)} sweeps: " + ", ".join(_short(s.name) for s in matches[:4])
        )
    if not matches:
        raise NoSuchRun(f"{place}: no folder with runs, no experiment and no sweep of that name under {outputs}")
    return list(all_runs(matches[0]))[::-1]
