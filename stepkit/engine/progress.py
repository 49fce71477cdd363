"""How far a run is: a bar on a terminal, one in a notebook's cell, a plain line an epoch in a pipe or a file."""

from __future__ import annotations

import html
import time
from collections.abc import Callable
from typing import Any, Protocol

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

REDRAW = 0.1  # seconds: a bar drawn at every step costs more than the step of a small model


class Face(Protocol):
    """What shows the progress."""

    def draw(self, step: int, seen: str) -> None: ...

    def validated(self, trainer: pl.Trainer, seen: str) -> None: ...

    def close(self) -> None: ...


class Terminal:
    """One bar over all epochs, taken away at the end."""

    def __init__(self, console: Console, total: int | None) -> None:
        seen = TextColumn("{task.fields[seen]}")
        columns = (TextColumn("training"), BarColumn(bar_width=20), MofNCompleteColumn(), TimeRemainingColumn(), seen)
        self._progress = Progress(*columns, console=console, auto_refresh=False, transient=True)
        self._task = self._progress.add_task("training", total=total, seen="")
        self._progress.start()

    def draw(self, step: int, seen: str) -> None:
        self._progress.update(self._task, completed=step, seen=seen)
        self._progress.refresh()

    def validated(self, trainer: pl.Trainer, seen: str) -> None:
        self.draw(trainer.global_step, seen)

    def close(self) -> None:
        self._progress.stop()


class Notebook:
    """One HTML bar, drawn anew in its cell."""

    def __init__(self, total: int | None) -> None:
        from IPython import display

        self._total = total
        self._html: Callable[[str], Any] = display.HTML
        self._cell: Any = display.display(self._html(""), display_id=True)  # type: ignore[no-untyped-call]

    def draw(self, step: int, seen: str) -> None:
        bar = f'<progress value="{step}" max="{self._total}"></progress>' if self._total else ""
        self._cell.update(self._html(f"{bar} step {step} <code>{html.escape(seen)}</code>"))

    def validated(self, trainer: pl.Trainer, seen: str) -> None:
        self.draw(trainer.global_step, seen)

    def close(self) -> None:
        return


class Lines:
    """A line a validation."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def draw(self, step: int, seen: str) -> None:
        return

    def validated(self, trainer: pl.Trainer, seen: str) -> None:
        epochs = f"/{trainer.max_epochs}" if trainer.max_epochs and trainer.max_epochs > 0 else ""
        line = f"epoch {trainer.current_epoch + 1}{epochs}  step {trainer.global_step}  {seen}"
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def close(self) -> None:
        return


class Bar(Callback):
    """Shows how far training is, ten times a second at most, and the metrics after each validation."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._face: Face | None = None
        self._drawn = 0.0
        self._seen = ""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        steps = trainer.estimated_stepping_batches
        total = None if steps == float("inf") else int(steps)
        if self.console.is_jupyter:
            self._face = Notebook(total)
        elif self.console.is_terminal:
            self._face = Terminal(self.console, total)
        else:
            self._face = Lines(self.console)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if (now := time.monotonic()) - self._drawn > REDRAW and self._face is not None:
            self._drawn = now
            self._face.draw(trainer.global_step, self._seen)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.sanity_checking or self._face is None:
            return
        metrics = trainer.callback_metrics
        self._seen = "  ".join(f"{name} {value:.4g}" for name, value in metrics.items() if name.endswith("/val"))
        self._face.validated(trainer, self._seen)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._close()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self._close()

    def _close(self) -> None:
        """Take the bar away, whichever way training ended."""
        if self._face is not None:
            self._face.close()
            self._face = None
