"""Which run a command's RUN means: a path, the start of an id, or `last`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..errors import NoSuchRun, UnknownName


def all_runs(outputs: Path) -> Iterator[Path]:
    """Every run's directory below a folder, the trials of sweeps included, newest first."""
    found = {file.parent for depth in ("*", "*/*", "*/*/*") for file in outputs.glob(f"{depth}/run.json")}
    yield from sorted(found, key=_age)


def _age(path: Path) -> tuple[str, str]:
    """Sorts newest first by the time in the name; trials of a sweep by their sweep's."""
    name = path.name if not path.name.isdigit() else f"{path.parent.name}/{path.name}"
    return ("".join(chr(0x10FFFF - ord(c)) for c in name), str(path))


def find_run(run: str | Path, outputs: Path) -> Path:
    """The directory of a run. Raises NoSuchRun, or UnknownName for a start of several ids."""
    path = Path(run)
    if (path / "run.json").is_file():
        return path.absolute()
    runs = list(all_runs(outputs))
    if not runs:
        raise NoSuchRun(f"{run}: no such run; there are none under {outputs}")
    if str(run) == "last":
        return runs[0]
    matches = [path for path in runs if str(run) in (path.name, path.name.rpartition("-")[2])] or [
        path for path in runs if path.name.startswith(str(run)) or path.name.rpartition("-")[2].startswith(str(run))
    ]
    if len(matches) > 1:
        raise NoSuchRun(
            f"{run}: the start of {len(matches)} runs; more of it is needed: " + ", ".join(p.name for p in matches[:4])
        )
    if not matches:
        raise UnknownName("run", str(run), ["last", *(path.name for path in runs)])
    return matches[0]
