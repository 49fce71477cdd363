"""Scalars of a run's event files, read without torch or TensorBoard's own reader."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from google.protobuf.message import DecodeError
from rich.console import Console
from tensorboard.compat.proto.event_pb2 import Event

from ..events import records
from .row import Row
from .sparkline import ASCII, BLOCKS, extent, sparkline
from .tables import number, plain

LOSS = ("loss/train", "loss/val")
WIDTH = 32
Curve = dict[int, float]  # step -> value
_FILE = re.compile(r"tfevents\.(\d+)")


def curves(run: Path, tags: Sequence[str]) -> dict[str, Curve]:
    """The scalars of a run by tag, in the order of their steps; of a step written twice the later attempt's."""
    found: dict[str, Curve] = {tag: {} for tag in tags}
    for file in sorted(run.glob("*tfevents*"), key=_began):
        try:
            _read(file, found)
        except (OSError, DecodeError, MemoryError, OverflowError):  # the last two: a forged length of a record
            continue  # what cannot be read has no curve to show; the others have
    return {tag: dict(sorted(curve.items())) for tag, curve in found.items()}


def _began(file: Path) -> tuple[int, str]:
    """The second in its name: a later attempt has a later one."""
    match = _FILE.search(file.name)
    return (int(match[1]) if match else 0, file.name)


def _read(file: Path, found: dict[str, Curve]) -> None:
    names = {tag: tag.encode() for tag in found}
    for _, payload in records(file):
        wanted = [tag for tag, name in names.items() if name in payload]
        if not wanted:  # most events of a large run: told without taking them apart
            continue
        event = Event.FromString(payload)
        for value in event.summary.value:
            if value.tag in found and value.HasField("simple_value"):
                found[value.tag][event.step] = value.simple_value


def loss_lines(console: Console, rows: Sequence[Row], indent: int = 12) -> Iterator[str]:
    """A line a run for the loss in training and one for that in validation; the runs of a split on one scale.

    `indent` characters are left for the tag.
    """
    marks = BLOCKS if console.encoding.startswith("utf") else ASCII
    read = [(row.id, curves(row.path, LOSS)) for row in rows]
    width = max((len(name) for name, _ in read), default=0) if len(read) > 1 else 0
    for tag in LOSS:
        drawn = [(name, list(found[tag].values())) for name, found in read if found[tag]]
        low, high = extent(values for _, values in drawn)
        for name, values in drawn:
            label = f"{tag:{indent}}{plain(name):{width}}" if width else f"{tag:{indent}}"
            line = sparkline(values, WIDTH, low=low, high=high, marks=marks)
            yield f"{label}  {line:{WIDTH}}  {number(values[0])} → {number(values[-1])}"
