"""Lightning's logger interface over stepkit's own event writer: one run directory is one TensorBoard run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lightning_fabric.loggers.logger import rank_zero_experiment
from numpy.typing import ArrayLike
from pytorch_lightning.loggers.logger import Logger
from pytorch_lightning.utilities import rank_zero_only

from stepkit import EventWriter

from .summary_writer import SummaryWriter, by_path


class TensorBoardLogger(Logger):
    """Writes a run's numbers and pictures into one event file, right in the run's directory.

    The file is created by the first value, on rank zero only. Hyperparameters and the model's graph are stepkit's
    own, written once with the run's resolved config; what Lightning offers of them is left out.

    Args:
        save_dir: the run's directory, filled by stepkit; the current directory if nobody gives one.
    """

    def __init__(self, save_dir: str | None = None) -> None:
        super().__init__()
        self._save_dir = save_dir
        self._restart()

    def _restart(self) -> None:
        self.writer = EventWriter(self._save_dir or ".")
        self._experiment = SummaryWriter(self.writer)

    @property
    def name(self) -> str:
        """Empty: a run directory has no folders of a logger's."""
        return ""

    @property
    def version(self) -> str:
        """Empty: a run directory has no folders of a logger's."""
        return ""

    @property
    def save_dir(self) -> str | None:
        return self._save_dir

    @property
    @rank_zero_experiment
    def experiment(self) -> SummaryWriter:
        """What answers torch's SummaryWriter methods (`add_image`, …); on other ranks it takes all and does nothing."""
        return self._experiment

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Scalars of one step, a dict's by path; Lightning's `epoch` is not a metric."""
        values = by_path({tag: value for tag, value in metrics.items() if tag != "epoch"})
        if values:
            self.writer.scalars(step or 0, values)

    @rank_zero_only
    def log_table(
        self, tags: Sequence[str], steps: ArrayLike, values: ArrayLike, wall_times: ArrayLike | None = None
    ) -> None:
        """Scalars of K steps at once: tags [n], steps [K], values [K, n], wall_times [K] in seconds."""
        self.writer.table(tags, steps, values, wall_times)

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Nothing: stepkit writes the run's own, whatever the module saved."""

    def offset(self) -> int:
        """Bytes written so far: where a resume may cut the file."""
        return self.writer.offset()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Free the file. A test after the fit goes on in it."""
        self.writer.close()

    def __getstate__(self) -> dict[str, Any]:
        """A copy in another process is another attempt: it gets a file of its own."""
        return {"_save_dir": self._save_dir}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["_save_dir"])  # type: ignore[misc]
