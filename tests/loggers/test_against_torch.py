"""Pictures equal those of torch's own SummaryWriter, for all that it takes."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter as TorchWriter

from stepkit import plugins
from stepkit.loggers.tensorboard import TensorBoardLogger

Image = pytest.importorskip("PIL.Image")

SHAPES = {"CHW": (3, 4, 5), "HWC": (4, 5, 3), "HW": (4, 5)}
KINDS = {
    "uint8": np.arange(256, dtype=np.uint8),
    "float32": np.linspace(-0.2, 1.2, 256, dtype=np.float32),
    "float64": np.linspace(-0.2, 1.2, 256),
    "float16": np.linspace(-0.2, 1.2, 256).astype(np.float16),
    "bool": np.arange(256) % 3 == 0,
}


def decoded(encoded: bytes) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB"))


@pytest.mark.parametrize("dataformats", ["CHW", "HWC", "HW"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("source", [np.asarray, torch.from_numpy])
def test_a_picture_is_the_one_torch_writes(tmp_path: Path, dataformats: str, kind: str, source: Any) -> None:
    picture = source(np.resize(KINDS[kind], SHAPES[dataformats]))
    TensorBoardLogger(str(tmp_path / "ours")).experiment.add_image("i", picture, 3, dataformats=dataformats)
    with TorchWriter(str(tmp_path / "torch")) as theirs:
        theirs.add_image("i", picture, 3, dataformats=dataformats)

    (image,) = EventAccumulator(str(tmp_path / "torch")).Reload().Images("i")
    (tensor,) = EventAccumulator(str(tmp_path / "ours")).Reload().Tensors("i")

    assert (tensor.step, image.step) == (3, 3)
    assert np.array_equal(decoded(tensor.tensor_proto.string_val[2]), decoded(image.encoded_image_string))


def test_what_is_no_number_is_black_and_says_nothing(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        picture = torch.tensor([[float("nan"), float("-inf"), float("inf")]])
        TensorBoardLogger(str(tmp_path)).experiment.add_image("i", picture, dataformats="HW")
    (tensor,) = EventAccumulator(str(tmp_path)).Reload().Tensors("i")
    assert decoded(tensor.tensor_proto.string_val[2])[0, :, 0].tolist() == [0, 0, 255]


def test_the_logger_is_reached_by_its_entry_point() -> None:
    assert plugins.find("logger", "tensorboard").load() is TensorBoardLogger
