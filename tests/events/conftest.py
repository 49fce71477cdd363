"""What TensorBoard itself reads of an event file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.event_pb2 import Event

from stepkit.events import records


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """An empty directory for one run."""
    directory = tmp_path / "run"
    directory.mkdir()
    return directory


@pytest.fixture
def read() -> Callable[[Path], EventAccumulator]:
    """TensorBoard's own reader over a directory, with no sample left out."""

    def accumulate(directory: Path) -> EventAccumulator:
        sizes = {"scalars": 0, "tensors": 0, "histograms": 0, "images": 0}
        return EventAccumulator(str(directory), size_guidance=sizes).Reload()

    return accumulate


@pytest.fixture
def events() -> Callable[[Any], list[Event]]:
    """Every event of a file, in order."""
    return lambda path: [Event.FromString(payload) for _, payload in records(path)]
