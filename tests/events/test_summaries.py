"""What each of TensorBoard's dashboards gets, read back through TensorBoard's own readers and plugins."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.custom_scalar.custom_scalars_plugin import CustomScalarsPlugin
from tensorboard.plugins.hparams import api_pb2
from tensorboard.plugins.hparams.backend_context import Context
from tensorboard.plugins.hparams.list_session_groups import Handler
from tensorboard.util import tensor_util

from stepkit.events import EventWriter, png


@pytest.fixture
def writer(run_dir: Path) -> EventWriter:
    return EventWriter(run_dir)


Read = Callable[[Path], Any]


def tensors(found: Any, tag: str) -> list[np.ndarray]:
    return [tensor_util.make_ndarray(event.tensor_proto) for event in found.Tensors(tag)]


def test_scalars_are_read_as_scalars(writer: EventWriter, run_dir: Path, read: Read) -> None:
    writer.scalars(2, {"loss/train": 0.5, "größe/层": math.nan}, wall_time=123.0)
    found = read(run_dir)
    (loss,) = found.Scalars("loss/train")
    assert (loss.step, loss.value, loss.wall_time) == (2, 0.5, 123.0)
    assert math.isnan(found.Scalars("größe/层")[0].value)


def test_a_tensor_is_float32_with_its_description(writer: EventWriter, run_dir: Path, read: Read) -> None:
    block = np.arange(6.0).reshape(2, 3)
    writer.tensor("gradient/norms", block, 63, content=b"names")
    writer.tensor("gradient/norms", block + 1, 127, content=b"names")
    writer.tensor("alone", np.float64(2.5), 0)
    found = read(run_dir)
    first, second = tensors(found, "gradient/norms")
    assert first.dtype == np.float32
    assert np.array_equal(first, block)
    assert np.array_equal(second, block + 1)
    assert tensors(found, "alone")[0].shape == ()
    assert found.SummaryMetadata("gradient/norms").plugin_data.plugin_name == "stepkit"
    assert found.SummaryMetadata("gradient/norms").plugin_data.content == b"names"


def test_only_the_first_value_of_a_tag_bears_metadata(writer: EventWriter, events: Callable[[Any], list[Any]]) -> None:
    for step in range(3):
        writer.tensor("t", [1.0], step)
        writer.histogram("h", [0, 1], [2], step)
        writer.image("i", np.zeros((2, 2), np.uint8), step)
        writer.text("x", "words", step)
    values = [event.summary.value[0] for event in events(writer.path)[1:]]
    assert [value.tag for value in values if value.HasField("metadata")] == ["t", "h", "i", "x"]
    assert len(values) == 12


def test_every_file_describes_its_tags_anew(run_dir: Path, read: Read) -> None:
    """A resume may cut the file before the first value of a tag, and with it the description."""
    for step in range(2):
        EventWriter(run_dir).histogram("h", [0, 1], [2], step)
    first, second = sorted(run_dir.iterdir())
    first.unlink()
    assert second.exists()
    assert read(run_dir).SummaryMetadata("h").plugin_data.plugin_name == "histograms"


def test_a_histogram_loses_its_empty_ends_and_keeps_its_gaps(writer: EventWriter, run_dir: Path, read: Read) -> None:
    writer.histogram("h", [-3, -2, -1, 0, 1, 2], [0, 4, 0, 5, 0], 1)
    writer.histogram("h", [-3, -2, -1], [0, 0], 2)
    full, empty = tensors(read(run_dir), "h")
    assert full.tolist() == [[-2, -1, 4], [-1, 0, 0], [0, 1, 5]]
    assert empty.tolist() == [[-3, -2, 0]]


@pytest.mark.parametrize(
    ("edges", "counts", "why"),
    [
        ([0, math.nan], [1], "not finite"),
        ([-math.inf, 0], [1], "not finite"),
        ([0, 1], [1, 2], "fit"),
        ([0], [], "fit"),
    ],
)
def test_a_histogram_that_would_not_be_drawn_is_refused(
    writer: EventWriter, edges: list[float], counts: list[int], why: str
) -> None:
    with pytest.raises(ValueError, match=why):
        writer.histogram("h", edges, counts, 0)


def test_an_image_bears_its_size(writer: EventWriter, run_dir: Path, read: Read) -> None:
    pixels = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    writer.image("grid", pixels, 1)
    writer.image("grid", png(pixels), 2)
    first, second = tensors(read(run_dir), "grid")
    assert first.tolist() == second.tolist() == [b"5", b"4", png(pixels)]


def test_text_is_read_as_text(writer: EventWriter, run_dir: Path, read: Read) -> None:
    writer.text("config", "**größe**: 3")
    found = read(run_dir)
    assert tensors(found, "config")[0].tolist() == ["**größe**: 3".encode()]
    assert found.SummaryMetadata("config").plugin_data.plugin_name == "text"


def test_the_graph_is_read_as_the_graph(writer: EventWriter, run_dir: Path, read: Read) -> None:
    graph = GraphDef()
    graph.node.add(name="net/fc", op="Linear")
    writer.graph(graph.SerializeToString())
    assert read(run_dir).Graph() == graph


def provider(folder: Path) -> MultiplexerDataProvider:
    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(folder)).Reload()
    return MultiplexerDataProvider(multiplexer, str(folder))


def test_layouts_add_up_to_the_last_one(writer: EventWriter, run_dir: Path) -> None:
    writer.custom_scalars_layout({"loss": {"both": ("Multiline", ["loss/train", "loss/val"])}})
    writer.custom_scalars_layout({"update": {"band": ("Margin", ["ratio", "low", "high"])}})
    plugin = CustomScalarsPlugin(TBContext(data_provider=provider(run_dir)))
    layout = plugin.layout_impl(RequestContext(), "")
    loss, update = json.loads(layout)["category"]
    assert (loss["title"], loss["chart"][0]["title"]) == ("loss", "both")
    assert loss["chart"][0]["multiline"]["tag"] == ["loss/train", "loss/val"]
    assert update["chart"][0]["margin"]["series"] == [{"value": "ratio", "lower": "low", "upper": "high"}]


@pytest.mark.parametrize("chart", [("Margin", ["ratio", "low"]), ("Lines", ["a", "b", "c"])])
def test_a_chart_of_another_kind_is_refused(writer: EventWriter, chart: tuple[Any, list[str]]) -> None:
    with pytest.raises(ValueError, match="Multiline with tags, or Margin with 3"):
        writer.custom_scalars_layout({"update": {"band": chart}})


def session_groups(folder: Path) -> list[Any]:
    context = Context(TBContext(data_provider=provider(folder)))
    statuses = [api_pb2.STATUS_SUCCESS, api_pb2.STATUS_FAILURE, api_pb2.STATUS_RUNNING, api_pb2.STATUS_UNKNOWN]
    request = api_pb2.ListSessionGroupsRequest(allowed_statuses=statuses, start_index=0, slice_size=100)
    return list(Handler(RequestContext(), context, "", request).run().session_groups)


def test_each_run_directory_is_one_row_of_hparams(run_dir: Path) -> None:
    params = {"lr": 0.1, "layers": 3, "bias": True, "name": "mlp", "top": math.inf, "none": None, "size": np.float32(2)}
    for number, status in enumerate(["success", "failure"]):
        run = EventWriter(run_dir / str(number))
        run.hparams_start(params, start_time=100.0)
        run.scalars(1, {"loss/val": 0.5})
        run.scalars(2, {"loss/val": 0.25})
        EventWriter(run_dir / str(number), suffix=".end").hparams_end(status, end_time=200.0)  # type: ignore[arg-type]

    rows = session_groups(run_dir)

    assert len(rows) == 2
    for row in rows:
        kinds = {key: value.WhichOneof("kind") for key, value in row.hparams.items()}
        assert kinds == {
            "lr": "number_value",
            "layers": "number_value",
            "bias": "bool_value",
            "name": "string_value",
            "top": "string_value",
            "size": "number_value",
        }
        assert row.hparams["lr"].number_value == 0.1
        metrics = {(metric.name.group, metric.name.tag): metric.value for metric in row.metric_values}
        assert metrics == {("", "loss/val"): 0.25}
    ended = {row.sessions[0].name: (row.sessions[0].status, row.sessions[0].end_time_secs) for row in rows}
    assert ended == {"0": (api_pb2.STATUS_SUCCESS, 200.0), "1": (api_pb2.STATUS_FAILURE, 200.0)}
