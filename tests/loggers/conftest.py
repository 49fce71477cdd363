"""What TensorBoard's own reader finds in a run's directory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util import tensor_util


class Found:
    """The values of a directory by their tags, as (step, value)."""

    def __init__(self, directory: Path) -> None:
        self.reader = EventAccumulator(str(directory), size_guidance={"scalars": 0, "tensors": 0}).Reload()

    def tags(self) -> set[str]:
        tags = self.reader.Tags()
        return {*tags["scalars"], *tags["tensors"]}

    def scalars(self, tag: str) -> list[tuple[int, float]]:
        return [(event.step, event.value) for event in self.reader.Scalars(tag)]

    def tensors(self, tag: str) -> list[tuple[int, np.ndarray[Any, Any]]]:
        return [(event.step, tensor_util.make_ndarray(event.tensor_proto)) for event in self.reader.Tensors(tag)]

    def plugin(self, tag: str) -> str:
        return str(self.reader.SummaryMetadata(tag).plugin_data.plugin_name)


@pytest.fixture
def found() -> Callable[[Path], Found]:
    return Found
