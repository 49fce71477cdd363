"""A run's row in TensorBoard's HParams: the same keys in every run, numbers as numbers, the true status."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from ..config.hydra import Composed
from ..events import EventWriter
from ..plugins import GROUPS, SEVERAL
from ..record.record import Record
from .written import event_writers

END = ".end"  # the suffix of the file with the end record: only the first end of a run counts, so a resume deletes it


def hyperparameters(composed: Composed, values: dict[str, Any]) -> dict[str, object]:
    """The plugins by name, their plain options, stepkit's own settings and the seed, by full key.

    Args:
        values: the config as it may be written anywhere.
    """
    found: dict[str, object] = {"seed": values["seed"], "experiment": composed.choices.get("experiment")}
    for group in GROUPS:
        if group == "logger":
            continue
        if group in SEVERAL:
            found[group] = ", ".join(sorted(values.get(group) or {})) or None
            continue
        plugin = composed.plugins.get(group)
        found[group] = plugin.name if plugin else None
        found.update(_plain(group, values.get(group) or {}))
    for section in ("step", "trainer"):
        found.update(_plain(section, values.get(section) or {}))
    return found


def _plain(prefix: str, options: dict[str, Any]) -> dict[str, object]:
    """Numbers, texts and truth values; lists of them as text."""
    found: dict[str, object] = {}
    for name, value in options.items():
        if name.startswith("_"):
            continue
        if isinstance(value, bool | int | float | str):
            found[f"{prefix}.{name}"] = value
        elif isinstance(value, list) and all(isinstance(item, int | float | str) for item in value):
            found[f"{prefix}.{name}"] = ", ".join(map(str, value))
    return found


def write_start(trainer: pl.Trainer, params: dict[str, object]) -> None:
    for writer in event_writers(trainer):
        writer.hparams_start(params, time.time())


def write_best(trainer: pl.Trainer, record: Record) -> None:
    """HParams show the last value of a scalar: the best one is a scalar of its own."""
    if record.best is not None:
        for writer in event_writers(trainer):
            writer.scalars(trainer.global_step, {f"best/{record.best['metric']}": record.best["value"]})


def write_end(directory: Path, finished: bool) -> None:
    """How the run ended, in a file of its own."""
    writer = EventWriter(directory, suffix=END)
    writer.hparams_end("success" if finished else "failure", time.time())
    writer.close()
