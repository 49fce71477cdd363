"""run.json: true at every moment, replaced atomically."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from ..errors import BadPlace
from ..plugins import Plugin
from .directory import make
from .files import read_json, write_json, write_text

FORMAT = 1
Status = Literal["running", "finished", "failed", "pruned", "interrupted"]
PACKAGES = ("stepkit", "torch", "pytorch-lightning", "hydra-core", "omegaconf", "numpy")


@dataclass
class Record:
    """What run.json holds.

    Attributes:
        metrics: the last value of each metric by its tag, test metrics of the best checkpoint among them.
        best: the monitored metric, its mode, its best value and the step it was seen at.
        attempts: one entry a start of the run: when, how it ended, why.
    """

    id: str
    experiment: str
    name: str | None = None
    tags: list[str] = field(default_factory=list)
    notes: str | None = None
    seed: int = 0
    status: Status = "running"
    error: str | None = None
    started: float = 0.0
    ended: float | None = None
    duration: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    best: dict[str, Any] | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    plugins: dict[str, dict[str, str]] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    git: str | None = None
    attempts: list[dict[str, Any]] = field(default_factory=list)
    format: int = FORMAT


class RunDirectory:
    """A run's directory as its own process sees it."""

    def __init__(self, path: Path, record: Record, *, keeps: bool = True) -> None:
        self.path, self.record = path, record
        self.keeps = keeps  # of several processes one writes

    @classmethod
    def open(cls, path: Path, *, keeps: bool = True) -> RunDirectory:
        """A directory that is there. Raises BadPlace."""
        return cls(path, read_record(path), keeps=keeps)

    def reload(self) -> None:
        """Read what another process wrote."""
        self.record = read_record(self.path)

    def begin(self, config: str, overrides: Iterable[str]) -> None:
        """Make the directory with all that is known before training. Raises BadPlace."""
        make(self.path)
        write_text(self.path / "config.yaml", config)
        write_text(self.path / "overrides.yaml", "".join(f"- {_quoted(text)}\n" for text in overrides) or "[]\n")
        self.record.started = time.time()
        self.record.attempts.append({"started": self.record.started, "status": "running"})
        self.save()

    def end(self, status: Status, error: str | None = None) -> None:
        """The run's end, whichever it is."""
        record = self.record
        record.status, record.error, record.ended = status, error, time.time()
        record.attempts[-1].update(status=status, error=error, ended=record.ended)
        record.duration = sum(a["ended"] - a["started"] for a in record.attempts if "ended" in a)
        self.save()

    def save(self) -> None:
        if self.keeps:
            write_json(self.path / "run.json", asdict(self.record))


def read_record(path: Path) -> Record:
    """run.json as a Record; what a later stepkit added to it is left out. Raises BadPlace."""
    facts = read_json(path / "run.json")
    known = {field.name for field in fields(Record)}
    try:
        return Record(**{name: value for name, value in facts.items() if name in known})
    except TypeError as error:
        raise BadPlace(f"{path / 'run.json'}: damaged: {error}") from None


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def new_record(path: Path, experiment: str, used: dict[str, Plugin], **given: Any) -> Record:
    """A record with what is known of code and machine."""
    listed = {
        key: {
            "plugin": plugin.name,
            "reference": plugin.reference,
            "distribution": plugin.distribution,
            "version": plugin.version,
        }
        for key, plugin in used.items()
    }
    return Record(path.name, experiment, plugins=listed, versions=versions(used.values()), git=git_commit(), **given)


def versions(used: Iterable[Plugin]) -> dict[str, str]:
    """Of Python, of what stepkit stands on, and of the plugins' packages."""
    found = {"python": platform.python_version()}
    for name in (*PACKAGES, *sorted({plugin.distribution for plugin in used if plugin.distribution})):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def git_commit() -> str | None:
    """The commit of the folder one stands in, with a '+' if files were changed since; None outside a repository."""
    try:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5)
        if commit.returncode:
            return None
        changed = subprocess.run(["git", "status", "--porcelain", "-uno"], capture_output=True, text=True, timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return commit.stdout.strip() + ("+" if changed.stdout.strip() else "")
