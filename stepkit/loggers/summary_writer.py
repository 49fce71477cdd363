"""torch's SummaryWriter, as far as a LightningModule uses it, over stepkit's event writer."""

from __future__ import annotations

import contextlib
import io
import math
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from stepkit import EventWriter


class SummaryWriter:
    """Answers the `add_*` methods of `torch.utils.tensorboard.SummaryWriter`, with the same arguments.

    Everything goes into the run's one event file; nothing opens a run beside it. A method that is not offered
    warns once and does nothing, so that a training does not die of a picture.
    """

    def __init__(self, writer: EventWriter) -> None:
        self._writer = writer
        self._told: set[str] = set()

    @property
    def log_dir(self) -> str:
        return str(self._writer.directory)

    def get_logdir(self) -> str:
        return self.log_dir

    def add_scalar(
        self, tag: str, scalar_value: Any, global_step: Any = None, walltime: float | None = None, **_: Any
    ) -> None:
        """One number; in float32, whatever `double_precision` says."""
        self._writer.scalars(_step(global_step), {tag: _number(scalar_value)}, walltime)

    def add_scalars(
        self, main_tag: str, tag_scalar_dict: Mapping[str, Any], global_step: Any = None, walltime: float | None = None
    ) -> None:
        """Numbers under `main_tag/…` in this run, where torch opens a run for each."""
        self._writer.scalars(_step(global_step), by_path(tag_scalar_dict, f"{main_tag}/"), walltime)

    def add_tensor(self, tag: str, tensor: Any, global_step: Any = None, walltime: float | None = None) -> None:
        self._writer.tensor(tag, _array(tensor), _step(global_step), plugin="tensor", wall_time=walltime)

    def add_histogram(
        self,
        tag: str,
        values: Any,
        global_step: Any = None,
        bins: Any = "tensorflow",
        walltime: float | None = None,
        max_bins: int | None = None,
    ) -> None:
        """Values of any shape; those that are not finite are left out, and nothing is written if none is left."""
        with np.errstate(over="ignore"):
            flat = _array(values).astype(np.float32).ravel()
        flat = flat[np.isfinite(flat)].astype(np.float64)  # between float32 neighbours there is room for any bins
        if len(flat):
            counts, edges = np.histogram(
                flat, (max_bins or 64) if isinstance(bins, str) and bins == "tensorflow" else bins
            )
            self._writer.histogram(tag, edges, counts, _step(global_step), wall_time=walltime)

    def add_image(
        self,
        tag: str,
        img_tensor: Any,
        global_step: Any = None,
        walltime: float | None = None,
        dataformats: str = "CHW",
    ) -> None:
        """One picture: uint8, or floats from 0 to 1; dataformats names its axes (CHW, HWC, HW)."""
        pixels = _axes(img_tensor, dataformats, "HWC")
        self._writer.image(tag, _uint8(pixels), _step(global_step), wall_time=walltime)

    def add_images(
        self,
        tag: str,
        img_tensor: Any,
        global_step: Any = None,
        walltime: float | None = None,
        dataformats: str = "NCHW",
    ) -> None:
        """Pictures of one size as one square grid; dataformats names their axes (NCHW, NHWC)."""
        pictures = _axes(img_tensor, dataformats, "NHWC")
        self._writer.image(tag, _uint8(_grid(pictures)), _step(global_step), wall_time=walltime)

    def add_figure(
        self, tag: str, figure: Any, global_step: Any = None, close: bool = True, walltime: float | None = None
    ) -> None:
        """A matplotlib figure, or several as `tag/0`, `tag/1`, …"""
        several = isinstance(figure, Sequence)
        for number, one in enumerate(figure if several else [figure]):
            file = io.BytesIO()
            one.savefig(file, format="png")
            name = f"{tag}/{number}" if several else tag
            self._writer.image(name, file.getvalue(), _step(global_step), wall_time=walltime)
            if close and "matplotlib.pyplot" in sys.modules:
                sys.modules["matplotlib.pyplot"].close(one)

    def add_text(self, tag: str, text_string: str, global_step: Any = None, walltime: float | None = None) -> None:
        self._writer.text(tag, text_string, _step(global_step), wall_time=walltime)

    def add_custom_scalars(self, layout: Mapping[str, Mapping[str, Any]]) -> None:
        self._writer.custom_scalars_layout(layout)

    def add_hparams(
        self,
        hparam_dict: Mapping[str, Any],
        metric_dict: Mapping[str, Any],
        *_: Any,
        global_step: Any = None,
        **__: Any,
    ) -> None:
        """The metrics as scalars. The hyperparameters are left out: the run's row has those of its config."""
        self._tell("add_hparams", "wrote the metrics only: the run's row in HParams has the options of its config")
        self._writer.scalars(_step(global_step), by_path(metric_dict))

    def add_graph(self, model: Any, input_to_model: Any = None, *_: Any, **__: Any) -> None:
        """The model's graph by torch's own tracer; where that fails, a warning says why."""
        from torch.utils.tensorboard._pytorch_graph import graph

        try:
            with warnings.catch_warnings(), contextlib.redirect_stdout(None):  # the tracer's own, several lines each
                warnings.simplefilter("ignore")
                definition, _profile = graph(model, input_to_model)  # type: ignore[no-untyped-call]
        except Exception as error:  # whatever tracing a stranger's model raises
            self._tell(
                "add_graph", f"no graph was written: {type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
            )
        else:
            self._writer.graph(definition.SerializeToString())

    def flush(self) -> None:
        """Nothing is buffered."""

    def close(self) -> None:
        self._writer.close()

    def __getattr__(self, name: str) -> Callable[..., None]:
        """`add_audio`, `add_embedding`, … : told once a kind."""
        if not name.startswith("add_"):
            raise AttributeError(f"TensorBoardLogger.experiment has no '{name}'")
        return lambda *_, **__: self._tell(name, "is not supported and wrote nothing")

    def _tell(self, method: str, what: str) -> None:
        if method not in self._told:
            self._told.add(method)
            warnings.warn(f"logger.experiment.{method} {what}", stacklevel=3)


def by_path(values: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Numbers (or tensors of one element) by their path: {"a": {"b": 1}} is {"a/b": 1.0}."""
    flat: dict[str, float] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= by_path(value, f"{prefix}{name}/")
        else:
            flat[f"{prefix}{name}"] = _number(value)
    return flat


def _number(value: Any) -> float:
    """A number, or an array of one element (`float` of a tensor that requires a gradient would warn)."""
    return float(value.item() if hasattr(value, "item") else value)


def _step(global_step: Any) -> int:
    return 0 if global_step is None else int(global_step)


def _array(values: Any) -> NDArray[Any]:
    """A torch tensor (of any device and type, bfloat16 too), a numpy array or a nested list, as a numpy array."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        values = values.float() if values.is_floating_point() else values
    return np.asarray(values)


def _axes(picture: Any, given: str, wanted: str) -> NDArray[Any]:
    """Order the axes as wanted; one that is not given (the channel of HW, the number of CHW) becomes 1 long."""
    array = _array(picture)
    order = [axis for axis in wanted if axis in given.upper()]
    if array.ndim != len(given) or sorted(order) != sorted(given.upper()):
        raise ValueError(f"dataformats '{given}' does not fit a picture of shape {list(array.shape)}")
    array = array.transpose([given.upper().index(axis) for axis in order])
    return array.reshape([array.shape[order.index(axis)] if axis in order else 1 for axis in wanted])


def _uint8(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """[H, W, C] with 0 … 1 (floats, bools) or 0 … 255 (integers), as uint8; NaN is black."""
    if pixels.dtype.kind in "fb":
        pixels = np.nan_to_num(pixels.astype(np.float32)).clip(0, 1) * 255
    return pixels.clip(0, 255).astype(np.uint8)


def _grid(pictures: NDArray[Any]) -> NDArray[Any]:
    """[N, H, W, C] as one picture of ceil(sqrt(N)) columns, the last places black."""
    number, height, width, channels = pictures.shape
    columns = math.ceil(math.sqrt(number))
    rows = math.ceil(number / max(columns, 1))
    places = np.zeros((rows * columns, height, width, channels), pictures.dtype)
    places[:number] = pictures
    places = places.reshape(rows, columns, height, width, channels)
    return places.swapaxes(1, 2).reshape(rows * height, columns * width, channels)
