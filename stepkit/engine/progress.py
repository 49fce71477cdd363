"""How far a run is: a bar on a terminal, a plain line an epoch in a pipe or a file."""

from __future__ import annotations

import time
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

REDRAW = 0.1  # seconds: a bar drawn at every step costs more than the step of a small model


class Bar(Callback):
    """One bar over all epochs, redrawn ten times a second at most; a line of metrics after each validation."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._bar: Progress | None = None
        self._drawn = 0.0
        self._epoch_loss: list[Any] = []

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not self.console.is_terminal:
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[seen]}"),
        )
        self._bar = Progress(*columns, console=self.console, auto_refresh=False, transient=True)
        total = trainer.estimated_stepping_batches
        self._task = self._bar.add_task("training", total=None if total == float("inf") else int(total), seen="")
        self._bar.start()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._bar is not None and (now := time.monotonic()) - self._drawn > REDRAW:
            self._drawn = now
            self._bar.update(self._task, completed=trainer.global_step)
            self._bar.refresh()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.sanity_checking:
            return
        seen = "  ".join(
            f"{name} {value:.4g}" for name, value in trainer.callback_metrics.items() if name.endswith("/val")
        )
        if self._bar is not None:
            self._bar.update(self._task, completed=trainer.global_step, seen=seen)
            self._bar.refresh()
        else:
            epochs = f"/{trainer.max_epochs}" if trainer.max_epochs and trainer.max_epochs > 0 else ""
            self.console.print(
                f"epoch {trainer.current_epoch + 1}{epochs}  step {trainer.global_step}  {seen}",
                highlight=False,
                soft_wrap=True,
            )

    def close(self) -> None:
        """Take the bar away. Called at the end, whichever it is."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.close()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self.close()
