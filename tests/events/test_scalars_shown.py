"""Scalars as the Scalars dashboard gets them, whatever their names and values."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.data.provider import RunTagFilter

from stepkit.events import EventWriter


def dashboard(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What the dashboard draws: it takes rank-0 values only, and drops any other without a word."""
    multiplexer = EventMultiplexer().AddRun(str(folder), "run").Reload()
    provider = MultiplexerDataProvider(multiplexer, str(folder))
    shown = provider.read_scalars(
        RequestContext(), experiment_id="", plugin_name="scalars", downsample=1000, run_tag_filter=RunTagFilter()
    )
    return {tag: [(one.step, one.value) for one in series] for tag, series in shown["run"].items()}


@pytest.mark.parametrize("value", [0.5, 3, np.float64(0.5), np.array(0.5), np.int64(2)])
def test_a_number_of_any_kind_is_drawn(run_dir: Path, value: Any) -> None:
    EventWriter(run_dir).scalars(7, {"loss": value})
    assert dashboard(run_dir) == {"loss": [(7, float(value))]}


def test_nan_and_infinities_reach_the_dashboard(run_dir: Path) -> None:
    EventWriter(run_dir).scalars(1, {"nan": math.nan, "up": math.inf, "down": -math.inf})
    shown = dashboard(run_dir)
    assert math.isnan(shown["nan"][0][1])
    assert (shown["up"], shown["down"]) == ([(1, math.inf)], [(1, -math.inf)])


def test_an_array_is_no_scalar(run_dir: Path) -> None:
    """A value of rank 1 would be dropped by TensorBoard in silence."""
    with pytest.raises(ValueError, match="1 tags"):
        EventWriter(run_dir).scalars(1, {"loss": np.array([0.5, 0.25])})  # type: ignore[dict-item]


tags = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)


@settings(deadline=None, max_examples=50)
@given(values=st.dictionaries(tags, st.floats(width=32, allow_nan=False), min_size=1, max_size=5))
def test_any_tag_and_value_comes_back_through_tensorboards_reader(values: dict[str, float]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        EventWriter(folder).scalars(3, values)
        reader = EventAccumulator(folder).Reload()
        assert {tag: [one.value for one in reader.Scalars(tag)] for tag in reader.Tags()["scalars"]} == {
            tag: [value] for tag, value in values.items()
        }


def test_a_table_of_ten_thousand_steps_is_read_whole(run_dir: Path, read: Callable[[Path], Any]) -> None:
    writer = EventWriter(run_dir)
    values = np.random.default_rng(0).standard_normal((10_000, 4)).astype(np.float32)
    for start in range(0, 10_000, 100):
        writer.table(["a", "b", "c", "d"], range(start, start + 100), values[start : start + 100])
    found = read(run_dir)
    for column, tag in enumerate("abcd"):
        series = found.Scalars(tag)
        assert [one.step for one in series] == list(range(10_000))
        assert np.array_equal(np.array([one.value for one in series], np.float32), values[:, column])
