"""Everything that answers to torch's SummaryWriter, through the logger's `experiment`."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.tensorboard import SummaryWriter as TorchWriter

from stepkit.loggers.summary_writer import SummaryWriter
from stepkit.loggers.tensorboard import TensorBoardLogger

Image = pytest.importorskip("PIL.Image")
Found = Callable[[Path], Any]


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.fixture
def experiment(run_dir: Path) -> SummaryWriter:
    return TensorBoardLogger(str(run_dir)).experiment  # type: ignore[no-any-return]


def pixels(blob: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(io.BytesIO(blob[2])))


def test_scalars(experiment: SummaryWriter, run_dir: Path, found: Found) -> None:
    experiment.add_scalar("a", torch.tensor([1.5]), global_step=3, walltime=100.0)
    experiment.add_scalar("a", np.float64(2.5), torch.tensor(4), double_precision=True)
    experiment.add_scalar("b", 1)
    experiment.add_scalars("both", {"train": 1.0, "val": torch.tensor(2.0)}, 5)
    shown = found(run_dir)
    assert shown.scalars("a") == [(3, 1.5), (4, 2.5)]
    assert shown.reader.Scalars("a")[0].wall_time == 100.0
    assert shown.scalars("b") == [(0, 1.0)]
    assert shown.scalars("both/train") == [(5, 1.0)]
    assert shown.scalars("both/val") == [(5, 2.0)]


def test_tensor(experiment: SummaryWriter, run_dir: Path, found: Found) -> None:
    experiment.add_tensor("t", torch.ones(2, 3, dtype=torch.bfloat16, requires_grad=True), 1)
    ((step, value),) = found(run_dir).tensors("t")
    assert step == 1
    assert np.array_equal(value, np.ones((2, 3)))


@pytest.mark.parametrize("values", [torch.linspace(-1, 1, 100), np.linspace(-1, 1, 100), torch.ones(4, 25)])
def test_histogram_counts_all(experiment: SummaryWriter, run_dir: Path, found: Found, values: Any) -> None:
    experiment.add_histogram("h", values, 1)
    ((_, rows),) = found(run_dir).tensors("h")
    assert rows[:, 2].sum() == 100
    assert rows[0, 0] <= float(values.min()) < rows[0, 1]
    assert rows[-1, 0] <= float(values.max()) <= rows[-1, 1]


def test_histogram_leaves_out_what_is_not_finite(experiment: SummaryWriter, run_dir: Path, found: Found) -> None:
    experiment.add_histogram("h", torch.tensor([float("nan"), 1.0, float("inf"), 2.0]), 1, bins=3)
    experiment.add_histogram("h", torch.full((3,), float("nan")), 2)
    ((step, rows),) = found(run_dir).tensors("h")
    assert step == 1
    assert rows[:, 2].tolist() == [1, 0, 1]


def test_histogram_of_doubles_that_differ_in_the_last_bit(
    experiment: SummaryWriter, run_dir: Path, found: Found
) -> None:
    experiment.add_histogram("h", np.array([1.0, np.nextafter(1.0, 2.0)]), 1)
    ((_, rows),) = found(run_dir).tensors("h")
    assert rows[:, 2].sum() == 2


RGB = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)  # [H, W, C]


@pytest.mark.parametrize(
    ("picture", "dataformats", "wanted"),
    [
        (RGB.transpose(2, 0, 1), "CHW", RGB),
        (torch.from_numpy(RGB).permute(2, 0, 1), "CHW", RGB),
        (RGB, "HWC", RGB),
        (RGB[..., 0], "HW", RGB[..., 0]),
        (RGB[..., :1], "hwc", RGB[..., 0]),
        (torch.tensor([[0.0, 1.0], [0.5, 7.0]]), "HW", [[0, 255], [127, 255]]),
        (torch.tensor([[float("nan"), -1.0]]), "HW", [[0, 0]]),
        (torch.tensor([[True, False]]), "HW", [[255, 0]]),
        (torch.tensor([[300, -3]]), "HW", [[255, 0]]),
        (torch.tensor([[0.0, 1.0]], dtype=torch.bfloat16), "HW", [[0, 255]]),
    ],
)
def test_image(
    experiment: SummaryWriter, run_dir: Path, found: Found, picture: Any, dataformats: str, wanted: Any
) -> None:
    experiment.add_image("i", picture, 1, dataformats=dataformats)
    ((_, blob),) = found(run_dir).tensors("i")
    assert np.array_equal(pixels(blob), wanted)


@pytest.mark.parametrize(("shape", "dataformats"), [((2, 2), "CHW"), ((3, 2, 2), "HW"), ((3, 2, 2), "CHX")])
def test_an_image_of_other_axes_is_refused(experiment: SummaryWriter, shape: tuple[int, ...], dataformats: str) -> None:
    with pytest.raises(ValueError, match=f"dataformats '{dataformats}' does not fit"):
        experiment.add_image("i", torch.zeros(shape), 1, dataformats=dataformats)


@pytest.mark.parametrize("dataformats", ["NCHW", "NHWC"])
def test_images_are_one_grid(experiment: SummaryWriter, run_dir: Path, found: Found, dataformats: str) -> None:
    pictures = np.arange(1, 6, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 3, 1), np.uint8)
    experiment.add_images(
        "i", pictures if dataformats == "NHWC" else pictures.transpose(0, 3, 1, 2), 1, None, dataformats
    )
    ((_, blob),) = found(run_dir).tensors("i")
    grid = pixels(blob)
    assert grid.shape == (4, 9)
    assert grid[::2, ::3].tolist() == [[1, 2, 3], [4, 5, 0]]
    assert grid[1::2, 2::3].tolist() == [[1, 2, 3], [4, 5, 0]]


def test_text(experiment: SummaryWriter, run_dir: Path, found: Found) -> None:
    experiment.add_text("note", "*größe*", 2)
    ((step, value),) = found(run_dir).tensors("note")
    assert (step, value.tolist()) == (2, ["*größe*".encode()])


class Figure:
    """What of matplotlib's Figure is used (matplotlib is no dependency)."""

    def savefig(self, file: io.BytesIO, format: str) -> None:
        Image.fromarray(RGB).save(file, format=format)


def test_figures(experiment: SummaryWriter, run_dir: Path, found: Found) -> None:
    experiment.add_figure("one", Figure(), 1, close=False)
    experiment.add_figure("many", [Figure(), Figure()], 1, close=False)
    assert found(run_dir).tags() == {"one", "many/0", "many/1"}
    ((_, blob),) = found(run_dir).tensors("one")
    assert np.array_equal(pixels(blob), RGB)


def test_a_figure_of_matplotlib(experiment: SummaryWriter, run_dir: Path, found: Found) -> None:
    figure = pytest.importorskip("matplotlib.figure").Figure(figsize=(2, 1), dpi=50)
    figure.subplots().plot([1, 2])
    experiment.add_figure("plot", figure, 1)
    ((_, blob),) = found(run_dir).tensors("plot")
    assert pixels(blob).shape[:2] == (50, 100)


def test_custom_scalars(experiment: SummaryWriter, run_dir: Path, found: Found) -> None:
    experiment.add_custom_scalars({"loss": {"both": ["Multiline", ["loss/train", "loss/val"]]}})
    assert found(run_dir).plugin("custom_scalars__config__") == "custom_scalars"


def test_graph(experiment: SummaryWriter, run_dir: Path, found: Found) -> None:
    experiment.add_graph(nn.Sequential(nn.Linear(4, 3), nn.ReLU()), torch.zeros(1, 4))
    assert any("Linear" in node.name for node in found(run_dir).reader.Graph().node)


class Untraceable(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("not this way\nsecond line")


def test_a_graph_that_cannot_be_traced_is_told_in_one_line(
    experiment: SummaryWriter, run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.warns(UserWarning) as told:
        experiment.add_graph(Untraceable(), torch.zeros(1))
    assert capsys.readouterr().out == ""
    assert [str(one.message) for one in told] == [
        "logger.experiment.add_graph no graph was written: RuntimeError: not this way"
    ]
    assert not run_dir.exists()


def test_hparams_keep_their_metrics_and_say_why_no_more(experiment: SummaryWriter, run_dir: Path, found: Found) -> None:
    with pytest.warns(UserWarning, match="add_hparams wrote the metrics only"):
        experiment.add_hparams({"lr": 0.1}, {"hp/accuracy": 0.9}, run_name="sub")
    assert found(run_dir).scalars("hp/accuracy") == [(0, pytest.approx(0.9))]
    assert len(list(run_dir.iterdir())) == 1


UNSUPPORTED = ["add_audio", "add_embedding", "add_mesh", "add_pr_curve", "add_video"]


@pytest.mark.parametrize("method", UNSUPPORTED)
def test_what_is_not_offered_warns_once_and_does_nothing(experiment: SummaryWriter, run_dir: Path, method: str) -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for step in range(3):
            getattr(experiment, method)("tag", torch.zeros(2, 2), global_step=step)
    assert [str(one.message) for one in told] == [f"logger.experiment.{method} is not supported and wrote nothing"]
    assert not run_dir.exists()


def test_every_method_of_torchs_writer_answers(experiment: SummaryWriter) -> None:
    methods = [name for name in dir(TorchWriter) if name.startswith("add_")]
    assert {"add_scalar", "add_image", *UNSUPPORTED} <= set(methods)
    assert all(callable(getattr(experiment, name)) for name in methods)


def test_a_method_nobody_has_is_an_attribute_error(experiment: SummaryWriter) -> None:
    with pytest.raises(AttributeError, match="no 'ad_scalar'"):
        experiment.ad_scalar("a", 1.0)


def test_writing_goes_on_after_flush_and_close(experiment: SummaryWriter, run_dir: Path, found: Found) -> None:
    experiment.add_scalar("a", 1.0, 0)
    experiment.flush()
    experiment.close()
    experiment.add_scalar("a", 2.0, 1)
    assert found(run_dir).scalars("a") == [(0, 1.0), (1, 2.0)]
