"""A run's observations, read back from its event files: scalars, every parameter's gradient norm, distributions.

Neither torch nor TensorBoard's own reader is imported: ten thousand steps are read in a fraction of a second. A
reader remembers how far it came, so that a training that looks at itself reads nothing twice.
"""

from __future__ import annotations

import json
import re
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary

from .record_file import FOOTER, HEADER, records

NORMS, HPARAMS, BY_LAYER = "gradient/norms", "_hparams_/session_start_info", "gradient/norm/"
KINDS = ("gradient", "weight", "update")  # of distributions, and of their tags' first word
ZEROS_BELOW = -40.0  # log2 magnitude left of which zeros are counted: observers.measures.LOWEST, held by a test
Floats = NDArray[np.float64]
_STARTED = re.compile(r"tfevents\.(\d+)")


@dataclass(frozen=True)
class Series:
    """One tag's numbers: steps [K], rising, and values [K]. Of a step that was written twice, the later value."""

    steps: NDArray[np.int64]
    values: Floats


@dataclass(frozen=True)
class Norms:
    """The gradient norms of parameters in forward order, NaN where one has no gradient.

    Attributes:
        names: of the P parameters.
        steps: [T].
        values: [T, P].
        of_layers: names and norms are those of layers, and one without a gradient has 0.
    """

    names: tuple[str, ...]
    steps: NDArray[np.int64]
    values: Floats
    of_layers: bool = False


@dataclass(frozen=True)
class Magnitudes:
    """How many entries of one tensor had which magnitude at one step.

    Attributes:
        lowest: log2 of the magnitudes at the left edge of each bin [B]; rising.
        counts: entries in each bin [B].
        zeros: entries that are zero (they stand in the bin left of all others).
    """

    step: int
    lowest: Floats
    counts: Floats
    zeros: float

    @property
    def norm(self) -> float:
        """About |x|: an entry of [2^k, 2^(k+1)) counts as 1.5 · 2^k."""
        return float(np.sqrt(np.sum(self.counts * (1.5 * np.exp2(self.lowest)) ** 2)))

    @property
    def zero_share(self) -> float:
        return self.zeros / max(1.0, self.zeros + float(self.counts.sum()))


@dataclass
class Observations:
    """All that a run's event files tell.

    Attributes:
        scalars: by tag.
        norms: of every parameter; of layers where no block of parameters was written; None without either.
        magnitudes: by kind (gradient, weight, update), then by parameter, in the order of the steps.
        tensors: other numbers of stepkit's own, by tag: the last one written.
        hyperparameters: what the run was started with, by full key.
    """

    scalars: dict[str, Series] = field(default_factory=dict)
    norms: Norms | None = None
    magnitudes: dict[str, dict[str, list[Magnitudes]]] = field(default_factory=dict)
    tensors: dict[str, Floats] = field(default_factory=dict)
    hyperparameters: dict[str, Any] = field(default_factory=dict)


class Reader:
    """Reads the event files of a run's directory, each time from where it stopped.

    Args:
        run: the directory. A file that cannot be read, or its end that is torn, is left out.
    """

    def __init__(self, run: Path) -> None:
        self.run = run
        self._offsets: dict[Path, int] = {}
        self._scalars: dict[str, tuple[array[int], array[float]]] = {}
        self._blocks: list[Floats] = []
        self._names: tuple[str, ...] = ()
        self._rest = Observations()

    def read(self) -> Observations:
        """Everything up to now."""
        for file in sorted(self.run.glob("*tfevents*"), key=_began):
            try:
                self._go_on(file)
            except (OSError, DecodeError, MemoryError, OverflowError, ValueError, RecursionError):  # forged or damaged
                continue
        scalars = {tag: _series(steps, values) for tag, (steps, values) in self._scalars.items()}
        norms = self._norms() or _by_layer(scalars)
        return Observations(scalars, norms, self._rest.magnitudes, self._rest.tensors, self._rest.hyperparameters)

    def _go_on(self, file: Path) -> None:
        offset = self._offsets.get(file, 0)
        for start, payload in records(file, offset):
            self._offsets[file] = start + HEADER + len(payload) + FOOTER
            event = Event.FromString(payload)
            step = event.step
            for value in event.summary.value:
                if value.HasField("simple_value"):
                    steps, values = self._scalars.setdefault(value.tag, (array("q"), array("d")))
                    steps.append(step)
                    values.append(value.simple_value)
                else:
                    self._other(step, value)

    def _other(self, step: int, value: Summary.Value) -> None:
        tag, plugin = value.tag, value.metadata.plugin_data
        kind, _, name = tag.partition("/")
        if tag == NORMS:
            if plugin.content:
                self._names = tuple(map(str, json.loads(plugin.content)))
            self._blocks.append(_floats(value))
        elif tag == HPARAMS:
            self._rest.hyperparameters = _hyperparameters(plugin.content)
        elif plugin.plugin_name == "stepkit" or tag in self._rest.tensors:
            self._rest.tensors[tag] = _floats(value)
        elif kind in KINDS and len(value.tensor.tensor_shape.dim) == 2 and tag != "gradient/log2_norms":
            by_name = self._rest.magnitudes.setdefault(kind, {})
            by_name.setdefault(name, []).append(_magnitudes(step, _floats(value)))

    def _norms(self) -> Norms | None:
        blocks = [block for block in self._blocks if block.ndim == 2 and block.shape[1] == 1 + len(self._names)]
        if not blocks:
            return None
        table = np.concatenate(blocks)
        steps, places = _latest(table[:, 0].astype(np.int64))
        return Norms(self._names, steps, table[places, 1:])


def _began(file: Path) -> tuple[int, str]:
    """The second in its name: a later attempt has a later one."""
    match = _STARTED.search(file.name)
    return (int(match[1]) if match else 0, file.name)


def _latest(steps: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """The steps, rising, each once; and the last place at which each stands."""
    unique, places = np.unique(steps[::-1], return_index=True)
    return unique, len(steps) - 1 - places


def _series(steps: Sequence[int], values: Sequence[float]) -> Series:
    unique, places = _latest(np.array(steps, np.int64))
    return Series(unique, np.array(values, np.float64)[places])


def _by_layer(scalars: dict[str, Series]) -> Norms | None:
    """From the layers' own charts: a run that ended within its first block of steps has these alone."""
    found = {tag.removeprefix(BY_LAYER): series for tag, series in scalars.items() if tag.startswith(BY_LAYER)}
    if not found:
        return None
    steps = np.unique(np.concatenate([series.steps for series in found.values()]))
    table = np.full((len(steps), len(found)), np.nan)
    for column, series in enumerate(found.values()):
        table[np.searchsorted(steps, series.steps), column] = series.values
    return Norms(tuple(found), steps, table, of_layers=True)


def _floats(value: Summary.Value) -> Floats:
    """A tensor's numbers, in its shape. Raises ValueError if they do not fit."""
    kind = "<f8" if value.tensor.dtype == 2 else "<f4"  # DT_DOUBLE, DT_FLOAT
    shape = [dim.size for dim in value.tensor.tensor_shape.dim]
    return np.frombuffer(value.tensor.tensor_content, kind).astype(np.float64).reshape(shape)


def _magnitudes(step: int, rows: Floats) -> Magnitudes:
    """From a histogram's rows (left, right, count); zeros stand one bin to the left of all."""
    zeros = rows[:, 0] < ZEROS_BELOW
    return Magnitudes(step, rows[~zeros, 0], rows[~zeros, 2], float(rows[zeros, 2].sum()))


def _hyperparameters(content: bytes) -> dict[str, Any]:
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    listed = HParamsPluginData.FromString(content).session_start_info.hparams
    return {key: getattr(value, kind) for key, value in listed.items() if (kind := value.WhichOneof("kind"))}
