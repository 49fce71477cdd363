"""TensorBoard's fast data server reads the same as its Python loader."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorboard.context import RequestContext
from tensorboard.data.provider import RunTagFilter
from tensorboard.data.server_ingester import NoDataServerError, SubprocessServerDataIngester, get_server_binary
from tensorboard.util.grpc_util import ChannelCredsType

from stepkit.events import EventWriter, png

PIXELS = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)


@pytest.fixture
def provider(run_dir: Path) -> Iterator[Any]:
    """The server over two runs of every kind of value."""
    try:
        binary = get_server_binary()
    except NoDataServerError as error:
        pytest.skip(str(error))
    for run in ("a", "b"):
        writer = EventWriter(run_dir / run)
        writer.table(["loss", "nan"], range(300), np.stack([np.arange(300), np.full(300, np.nan)], axis=1))
        writer.histogram("weights", [0, 1, 2], [3, 4], 5)
        writer.tensor("norms", [[1, 2]], 5)
        writer.image("grid", PIXELS, 5)
        writer.text("config", "lr: 0.1")
    server = SubprocessServerDataIngester(
        binary,
        str(run_dir),
        reload_interval=0,
        channel_creds_type=ChannelCredsType.LOCAL,
        samples_per_plugin={"scalars": 0},
    )
    server.start()
    yield server.data_provider
    server._stdin_handle.close()  # it ends with its standard input


def test_every_kind_of_value_is_read(provider: Any) -> None:
    context, everything = RequestContext(), RunTagFilter()
    asked: dict[str, Any] = {"experiment_id": "", "downsample": 1000, "run_tag_filter": everything}

    scalars = provider.read_scalars(context, plugin_name="scalars", **asked)
    assert sorted(scalars) == ["a", "b"]
    assert [(one.step, one.value) for one in scalars["a"]["loss"]] == [(step, step) for step in range(300)]
    assert all(np.isnan(one.value) for one in scalars["b"]["nan"])

    histograms = provider.read_tensors(context, plugin_name="histograms", **asked)
    assert histograms["a"]["weights"][0].numpy.tolist() == [[0, 1, 3], [1, 2, 4]]
    assert provider.read_tensors(context, plugin_name="stepkit", **asked)["a"]["norms"][0].numpy.tolist() == [[1, 2]]
    assert provider.read_tensors(context, plugin_name="text", **asked)["a"]["config"][0].numpy.tolist() == [b"lr: 0.1"]

    images = provider.read_blob_sequences(context, plugin_name="images", **asked)
    blobs = [provider.read_blob(context, blob_key=blob.blob_key) for blob in images["b"]["grid"][0].values]
    assert blobs == [b"5", b"4", png(PIXELS)]
