"""A training that looks at itself: the doctor's rules at validations 1, 2, 4, 8, … and at the end.

What is new in the event file since the last look is read, so a whole run reads it once; a very long one stops looking
at some size, and leaves the rest to `stepkit doctor`.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from rich.console import Console

from ..diagnosis import Evidence, examine
from ..diagnosis.evidence import CHANCE, TOTAL
from ..events.reading import Reader
from .cadence import Doubling
from .chance import Chance
from .written import event_writers

LARGEST = 32 << 20  # bytes of event files; 10,000 steps of 150 parameters are some 15 MB, read in a second
log = logging.getLogger("stepkit")


class Warnings(Callback):
    """Says what is wrong, each kind of fault once.

    Args:
        directory: the run's, with its event files. Without any, nothing is said.
        console: where it is said; it stands in log.txt too.
    """

    def __init__(self, directory: Path, console: Console) -> None:
        self.directory, self.console = directory, console
        self.due = Doubling(24)
        self._reader = Reader(directory)
        self._said: set[str] = set()
        self._validations = 0
        self._chance: Chance | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._chance = Chance(getattr(pl_module, "loss", None))
        total = trainer.estimated_stepping_batches * max(1, len(trainer.optimizers))
        if trainer.is_global_zero and total != float("inf"):
            _write(trainer, TOTAL, total)

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if self._chance is not None and isinstance(batch, tuple | list) and len(batch) == 2:
            self._chance.add(batch[1])

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.sanity_checking:
            return
        if self._chance is not None:
            value, self._chance = self._chance.value, None  # the targets are the same at every validation
            if trainer.is_global_zero and value is not None:
                _write(trainer, CHANCE, value)
        self._validations += 1
        if self.due(self._validations):
            self._look(trainer, ended=False)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._look(trainer, ended=not trainer.interrupted)

    def _look(self, trainer: pl.Trainer, *, ended: bool) -> None:
        if (
            not trainer.is_global_zero
            or sum(file.stat().st_size for file in self.directory.glob("*tfevents*")) > LARGEST
        ):
            return
        best: Any = trainer.checkpoint_callback
        known = {"metric": best.monitor, "mode": best.mode} if getattr(best, "monitor", None) else {}
        found = examine(Evidence(self._reader.read(), **known, ended=ended)).findings
        new = [finding for finding in found if finding.kind not in self._said]
        self._said |= {finding.kind for finding in new}
        for finding in new:
            log.warning("%s: %s; try %s", finding.kind, finding.what, finding.advice)
        if new:  # causes come first: the rest is named
            also = f"; also: {', '.join(dict.fromkeys(f.kind for f in new[1:]))}" if len(new) > 1 else ""
            told = f"doctor: {new[0].kind}: {new[0].what}; try {new[0].advice}{also}"
            self.console.print(told, markup=False, highlight=False, soft_wrap=True)


def _write(trainer: pl.Trainer, tag: str, value: float) -> None:
    """A number about the training itself, in no dashboard."""
    for writer in event_writers(trainer):
        writer.tensor(tag, value, trainer.global_step)
