"""The writer of one event file."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from io import FileIO
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary

from . import summaries
from .images import png
from .record_file import record
from .summaries import Chart, Charts
from .table import encode_table

PREFIX = "events.out.tfevents."  # TensorBoard knows its files by "tfevents"


class EventWriter:
    """Writes one event file of a run's directory; one process, one thread.

    The file is created by the first write and never by an attempt before. Nothing is buffered here: when a method
    returns, its records are the operating system's, and a SIGKILL afterwards cannot take them. `close` frees the
    file handle; a later write goes on in the same file.

    Args:
        directory: the run's directory, created if need be.
        suffix: what the file's name ends with, for a file of its own kind.
        clock: seconds since the epoch, for events without a `wall_time`.

    Every method that writes raises OSError, with the file's name, if the system cannot take the bytes; the file
    then ends with the last whole record before them.
    """

    def __init__(
        self, directory: str | os.PathLike[str], *, suffix: str = "", clock: Callable[[], float] = time.time
    ) -> None:
        self.directory = Path(directory)
        self._suffix = suffix
        self._clock = clock
        self._path: Path | None = None
        self._file: FileIO | None = None
        self._offset = 0
        self._described: set[str] = set()
        self._categories: dict[str, dict[str, Chart]] = {}

    @property
    def path(self) -> Path | None:
        """The file; None before the first write."""
        return self._path

    def offset(self) -> int:
        """Bytes handed to the operating system, always the end of a whole record: where `cut` may cut."""
        return self._offset

    def close(self) -> None:
        """Free the file handle, as often as wanted."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def scalars(self, step: int, values: Mapping[str, float], wall_time: float | None = None) -> None:
        """One event with all scalars of a step; NaN and infinities as they are."""
        self.table(tuple(values), [step], [list(values.values())], [self._time(wall_time)])

    def table(
        self, tags: Sequence[str], steps: ArrayLike, values: ArrayLike, wall_times: ArrayLike | None = None
    ) -> None:
        """The scalars of K steps in one go, one event a step.

        Args:
            tags: n names; the layout of a set of them is kept, so a few sets may take turns at no cost.
            steps: [K] integers.
            values: [K, n] numbers, stored as float32.
            wall_times: [K] seconds since the epoch; now, if left out.
        """
        times = np.full(len(np.atleast_1d(steps)), self._clock()) if wall_times is None else wall_times
        if data := encode_table(tags, steps, values, times):
            self._append(data)

    def tensor(
        self,
        tag: str,
        array: ArrayLike,
        step: int,
        *,
        plugin: str = "stepkit",
        content: bytes = b"",
        wall_time: float | None = None,
    ) -> None:
        """Numbers of any shape, as float32, for the dashboard `plugin`; `content` describes them, once a tag."""
        self._value(summaries.tensor(tag, array, plugin, content), step, wall_time)

    def histogram(
        self, tag: str, edges: ArrayLike, counts: ArrayLike, step: int, *, wall_time: float | None = None
    ) -> None:
        """Counts [k] of the bins between edges [k + 1] (finite, rising). Raises ValueError if they do not fit."""
        self._value(summaries.histogram(tag, edges, counts), step, wall_time)

    def image(self, tag: str, picture: bytes | NDArray[np.uint8], step: int, *, wall_time: float | None = None) -> None:
        """A PNG file, or pixels as `png` takes them: uint8 [H, W], [H, W, 3] or [H, W, 4]."""
        encoded = picture if isinstance(picture, bytes) else png(picture)
        self._value(summaries.image(tag, encoded), step, wall_time)

    def text(self, tag: str, markdown: str, step: int = 0, *, wall_time: float | None = None) -> None:
        """Text, shown as Markdown."""
        self._value(summaries.text(tag, markdown), step, wall_time)

    def graph(self, graph_def: bytes, *, wall_time: float | None = None) -> None:
        """The model's graph, as a serialised GraphDef."""
        self._event(Event(wall_time=self._time(wall_time), graph_def=graph_def))

    def custom_scalars_layout(self, categories: Charts, *, wall_time: float | None = None) -> None:
        """Charts of the Custom Scalars dashboard, added to those given before: {category: {chart: (kind, tags)}}.

        kind is "Multiline" (any number of tags, as regular expressions) or "Margin" (value, lower, upper).
        """
        # Only the last layout of a run counts, so it must hold all.
        whole = self._categories | {
            title: {**self._categories.get(title, {}), **charts} for title, charts in categories.items()
        }
        self._value(summaries.custom_scalars(whole), 0, wall_time)
        self._categories = whole

    def hparams_start(self, params: Mapping[str, object], start_time: float) -> None:
        """The run's row in the HParams dashboard, whose metrics are the last value of each scalar. The first counts."""
        self._value(summaries.session_start(params, start_time), 0, start_time)

    def hparams_end(self, status: Literal["success", "failure"], end_time: float) -> None:
        """How the run ended. The first counts: write it into a file of its own (`suffix`), which a resume deletes."""
        self._value(summaries.session_end(status, end_time), 0, end_time)

    def _value(self, value: Summary.Value, step: int, wall_time: float | None) -> None:
        if value.tag in self._described:
            value.ClearField("metadata")
        self._event(Event(wall_time=self._time(wall_time), step=step, summary=Summary(value=[value])))
        self._described.add(value.tag)

    def _event(self, event: Event) -> None:
        self._append(record(event.SerializeToString()))

    def _append(self, data: bytes) -> None:
        file = self._file = self._file or self._open()
        if self._offset == 0:
            data = record(Event(wall_time=self._clock(), file_version="brain.Event:2").SerializeToString()) + data
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[file.write(rest) :]
        except BaseException as error:
            file.truncate(self._offset)  # a torn record would hide all that is written after it
            if isinstance(error, OSError):
                error.filename = str(self._path)
            raise
        self._offset += len(data)

    def _open(self) -> FileIO:
        """The file, created by the first write, opened again after a `close`."""
        if self._path is not None:
            return _append_to(self._path, 0)
        self.directory.mkdir(parents=True, exist_ok=True)
        stem = f"{PREFIX}{self._stamp():010d}.{socket.gethostname()}.{os.getpid()}"
        for number in itertools.count():
            path = self.directory / f"{stem}.{number}{self._suffix}"
            with contextlib.suppress(FileExistsError):  # another writer's: never append to it
                file = _append_to(path, os.O_CREAT | os.O_EXCL)
                break
        self._path = path
        return file

    def _stamp(self) -> int:
        """Now in seconds, but later than every file of the directory, even if the clock went backwards.

        TensorBoard reads a run's files in the order of their names and never turns back to an earlier one.
        """
        names = (file.name.removeprefix(PREFIX) for file in self.directory.glob(f"{PREFIX}*"))
        stamps = (name.partition(".")[0] for name in names)
        return max([int(self._clock()), *(int(stamp) + 1 for stamp in stamps if stamp.isdecimal())])

    def _time(self, wall_time: float | None) -> float:
        return self._clock() if wall_time is None else wall_time


def _append_to(path: Path, flags: int) -> FileIO:
    return FileIO(path, "ab", opener=lambda name, _: os.open(name, os.O_WRONLY | os.O_APPEND | flags, 0o666))
