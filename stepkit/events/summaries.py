"""One value for each of TensorBoard's dashboards, as its protobuf message.

Every value carries the metadata that tells its dashboard; only the first of a (run, tag) is ever looked at, and
the writer leaves the others out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from tensorboard.compat.proto import summary_pb2, types_pb2
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto

from .images import size

TENSOR, BLOBS = summary_pb2.DATA_CLASS_TENSOR, summary_pb2.DATA_CLASS_BLOB_SEQUENCE
Chart = tuple[Literal["Multiline", "Margin"], Sequence[str]]
Charts = Mapping[str, Mapping[str, Chart]]


def tensor(tag: str, array: ArrayLike, plugin: str, content: bytes) -> Summary.Value:
    """Numbers of any shape, as float32."""
    return _numbers(tag, np.asarray(array, "<f4"), types_pb2.DT_FLOAT, _metadata(plugin, content=content))


def histogram(tag: str, edges: ArrayLike, counts: ArrayLike) -> Summary.Value:
    """Counts [k] of the bins between edges [k + 1], as [k, 3] rows (left, right, count); empty end bins are left out.

    Raises:
        ValueError: if the shapes do not fit or an edge is not finite (TensorBoard then draws no histogram at all).
    """
    borders, heights = np.asarray(edges, "<f8"), np.asarray(counts, "<f8")
    if heights.ndim != 1 or len(heights) == 0 or borders.shape != (len(heights) + 1,):
        raise ValueError(f"histogram '{tag}': {borders.shape} edges do not fit {heights.shape} counts")
    if not np.isfinite(borders).all():
        raise ValueError(f"histogram '{tag}': an edge is not finite")
    rows = np.stack([borders[:-1], borders[1:], heights], axis=1)
    filled = np.flatnonzero(heights)
    rows = rows[filled[0] : filled[-1] + 1] if len(filled) else rows[:1]
    return _numbers(tag, rows, types_pb2.DT_DOUBLE, _metadata("histograms"))


def image(tag: str, picture: bytes) -> Summary.Value:
    """A PNG file."""
    width, height = size(picture)
    return _strings(tag, [str(width).encode(), str(height).encode(), picture], _metadata("images", BLOBS))


def text(tag: str, markdown: str) -> Summary.Value:
    return _strings(tag, [markdown.encode()], _metadata("text"))


def custom_scalars(categories: Charts) -> Summary.Value:
    """The layout of the Custom Scalars dashboard: {category: {chart: (kind, tags)}}.

    A "Multiline" chart draws every tag that one of its regular expressions matches; a "Margin" chart takes three
    tags: a value, its lower and its upper bound.
    """
    from tensorboard.plugins.custom_scalar.layout_pb2 import Category, Layout

    layout = Layout(
        category=[
            Category(title=title, chart=[_chart(name, *chart) for name, chart in charts.items()])
            for title, charts in categories.items()
        ]
    )
    value = _strings("custom_scalars__config__", [layout.SerializeToString()], _metadata("custom_scalars"))
    value.tensor.tensor_shape.Clear()  # a rank-0 string, as TensorBoard's own writer has it
    return value


def _chart(title: str, kind: str, tags: Sequence[str]) -> Any:
    from tensorboard.plugins.custom_scalar import layout_pb2

    if kind == "Multiline":
        return layout_pb2.Chart(title=title, multiline=layout_pb2.MultilineChartContent(tag=tags))
    if kind != "Margin" or len(tags) != 3:
        raise ValueError(f"chart '{title}': Multiline with tags, or Margin with 3 of them, not {kind} with {len(tags)}")
    series = layout_pb2.MarginChartContent.Series(value=tags[0], lower=tags[1], upper=tags[2])
    return layout_pb2.Chart(title=title, margin=layout_pb2.MarginChartContent(series=[series]))


def session_start(params: Mapping[str, object], start_time: float) -> Summary.Value:
    """One row of the HParams dashboard.

    Numbers and bools keep their type; NaN and infinities become strings (as numbers they are dropped), None an
    empty cell. The group name stays empty: a run is then a row of its own.
    """
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionStartInfo

    info = SessionStartInfo(start_time_secs=start_time)
    for key, value in params.items():
        if isinstance(value, bool | np.bool_):
            info.hparams[key].bool_value = bool(value)
        elif isinstance(value, Real) and math.isfinite(value):
            info.hparams[key].number_value = float(value)
        elif value is not None:
            info.hparams[key].string_value = str(value)
    return _hparams("_hparams_/session_start_info", HParamsPluginData(session_start_info=info))


def session_end(status: Literal["success", "failure"], end_time: float) -> Summary.Value:
    """How the run of that row ended."""
    from tensorboard.plugins.hparams.api_pb2 import Status
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo

    info = SessionEndInfo(status=Status.Value(f"STATUS_{status.upper()}"), end_time_secs=end_time)
    return _hparams("_hparams_/session_end_info", HParamsPluginData(session_end_info=info))


def _hparams(tag: str, data: Any) -> Summary.Value:
    """HParams keeps its data in the metadata; the value itself is a zero."""
    metadata = _metadata("hparams", content=data.SerializeToString())
    return _numbers(tag, np.zeros((), "<f4"), types_pb2.DT_FLOAT, metadata)


def _metadata(plugin: str, data_class: Any = TENSOR, content: bytes = b"") -> SummaryMetadata:
    plugin_data = SummaryMetadata.PluginData(plugin_name=plugin, content=content)
    return SummaryMetadata(plugin_data=plugin_data, data_class=data_class)


def _numbers(tag: str, array: np.ndarray[Any, Any], dtype: Any, metadata: SummaryMetadata) -> Summary.Value:
    proto = TensorProto(dtype=dtype, tensor_shape=_shape(*array.shape), tensor_content=array.tobytes())
    return Summary.Value(tag=tag, tensor=proto, metadata=metadata)


def _strings(tag: str, strings: Sequence[bytes], metadata: SummaryMetadata) -> Summary.Value:
    proto = TensorProto(dtype=types_pb2.DT_STRING, tensor_shape=_shape(len(strings)), string_val=strings)
    return Summary.Value(tag=tag, tensor=proto, metadata=metadata)


def _shape(*sizes: int) -> TensorShapeProto:
    return TensorShapeProto(dim=[TensorShapeProto.Dim(size=size) for size in sizes])
