"""The fast path writes what one protobuf message a step would."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from stepkit.events import EventWriter, records
from stepkit.events.record_file import record
from stepkit.events.table import encode_table


def naive(tags: Sequence[str], step: int, values: Sequence[float], wall_time: float) -> Event:
    summary = Summary(
        value=[Summary.Value(tag=tag, simple_value=value) for tag, value in zip(tags, values, strict=True)]
    )
    return Event(wall_time=wall_time, step=step, summary=summary)


def decoded(data: bytes, folder: Path) -> list[Event]:
    (folder / "table").write_bytes(data)
    found = list(records(folder / "table"))
    assert sum(len(payload) + 16 for _, payload in found) == len(data), "a record is damaged"
    return [Event.FromString(payload) for _, payload in found]


def test_ten_thousand_steps_equal_a_message_a_step(run_dir: Path) -> None:
    tags = [f"gradient/norm/layers.{i}" for i in range(20)]
    values = np.random.default_rng(0).standard_normal((10_000, 20)).astype(np.float32)
    steps, times = np.arange(10_000), 1.7e9 + np.arange(10_000) / 3

    found = decoded(encode_table(tags, steps, values, times), run_dir)

    assert len(found) == 10_000
    for event, step, row, time in zip(found, steps, values, times, strict=True):
        assert event == naive(tags, int(step), row.tolist(), float(time))


def test_the_form_is_the_smallest_one() -> None:
    table = encode_table(["loss/train", "lr"], [300], [[0.5, 0.25]], [1.7e9])
    assert table == record(naive(["loss/train", "lr"], 300, [0.5, 0.25], 1.7e9).SerializeToString())


def test_records_are_those_of_tensorboards_own_record_writer(run_dir: Path) -> None:
    payload = naive(["loss"], 7, [1.5], 1.7e9).SerializeToString()
    with open(run_dir / "theirs", "wb") as file:
        RecordWriter(file).write(payload)
    assert (run_dir / "theirs").read_bytes() == record(payload)


names = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
floats = st.floats(width=32, allow_nan=False)


@given(
    tags=st.lists(names, min_size=1, max_size=6),
    steps=st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=8),
    data=st.data(),
)
def test_any_tags_steps_and_values_come_back(tags: list[str], steps: list[int], data: st.DataObject) -> None:
    row = st.lists(floats, min_size=len(tags), max_size=len(tags))
    values = data.draw(st.lists(row, min_size=len(steps), max_size=len(steps)))
    times = data.draw(st.lists(st.floats(0, 1e11), min_size=len(steps), max_size=len(steps)))

    with tempfile.TemporaryDirectory() as folder:
        found = decoded(encode_table(tags, steps, values, times), Path(folder))

    assert found == [naive(tags, *event) for event in zip(steps, values, times, strict=True)]


def test_nan_and_infinities_are_written_as_they_are(run_dir: Path) -> None:
    (event,) = decoded(encode_table("abcd", [1], [[math.nan, math.inf, -math.inf, 1e300]], [0.0]), run_dir)
    nan, *others = [value.simple_value for value in event.summary.value]
    assert math.isnan(nan)
    assert others == [math.inf, -math.inf, math.inf]


@pytest.mark.parametrize(
    ("steps", "values", "times"),
    [
        ([1, 2], [[1.0], [2.0]], [0.0, 0.0]),  # one column for two tags would be broadcast
        ([1], [[1.0, 2.0], [3.0, 4.0]], [0.0]),
        ([1, 2], [[1.0, 2.0], [3.0, 4.0]], [0.0]),
        (1, [1.0, 2.0], 0.0),
    ],
)
def test_shapes_that_do_not_fit_are_refused(steps: object, values: object, times: object) -> None:
    with pytest.raises(ValueError, match="2 tags"):
        encode_table(["a", "b"], steps, values, times)  # type: ignore[arg-type]


def test_nothing_to_write_makes_no_file(run_dir: Path) -> None:
    writer = EventWriter(run_dir)
    writer.scalars(3, {})
    writer.table(["a"], [], np.empty((0, 1)), [])
    assert writer.path is None
    assert list(run_dir.iterdir()) == []


def test_sets_of_tags_may_take_turns(run_dir: Path) -> None:
    writer = EventWriter(run_dir)
    for step in range(4):
        writer.scalars(step, {"a": step} if step % 2 else {"b": step, "a": -step})
    assert writer.path is not None
    found = [Event.FromString(payload) for _, payload in records(writer.path)][1:]
    told = [{value.tag: value.simple_value for value in event.summary.value} for event in found]
    assert told == [{"b": 0, "a": 0}, {"a": 1}, {"b": 2, "a": -2}, {"a": 3}]
