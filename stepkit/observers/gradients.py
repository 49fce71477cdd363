"""The hook between backward and the optimizer step: what every step shows of itself.

Nothing waits for the device in a step: values stay where they were computed and are fetched all at once when a
hundred steps (observe.flush_every) are written.
"""

from __future__ import annotations

import time
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor

from ..guards.nonfinite import Guard
from .measures import total_norm

TAGS = ("loss/train", "gradient/norm", "lr")


class Watch(Callback):
    """Loss, gradient norm (of the accumulated gradient, before clipping) and learning rate of every optimizer step.

    Args:
        every: optimizer steps between two observations.
        flush_every: optimizer steps after which they are written to all loggers.
        guard: decides whether a step's numbers may be used.
    """

    def __init__(self, every: int = 1, flush_every: int = 100, guard: Guard | None = None) -> None:
        self.every, self.flush_every, self.guard = every, flush_every, guard or Guard("ignore")
        self._loss: Tensor | None = None  # of the step so far
        self._norm: Tensor | None = None
        self._lr = float("nan")
        self._seen = 0
        self._skipped = 0
        self._rows: list[tuple[int, float, float, Tensor, Tensor]] = []

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._seen = trainer.global_step

    def on_before_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor) -> None:
        # Lightning has divided it by the number of micro-batches: their sum is the step's loss. LBFGS evaluates its
        # closure several times a step: the first loss and gradient are those at the parameters.
        if self._norm is None:
            self._loss = loss.detach() if self._loss is None else self._loss + loss.detach()

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if not gradients:
            return
        norm = total_norm(gradients)
        if self._norm is None:
            self._norm, self._lr = norm, float(optimizer.param_groups[0]["lr"])
        self.guard.before_step(trainer, pl_module, optimizer, norm, self._loss)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step == self._seen:
            return
        self._seen = trainer.global_step
        if self._norm is not None and self._loss is not None and self._seen % self.every == 0:
            self._rows.append((self._seen, time.time(), self._lr, self._loss, self._norm))
        self._loss = self._norm = None
        if len(self._rows) >= self.flush_every:
            self.flush(trainer)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.flush(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.flush(trainer)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self.flush(trainer, judge=False)

    def flush(self, trainer: pl.Trainer, *, judge: bool = True) -> None:
        """Fetch what was seen, in one transfer, and write it. Raises NotFinite for what was not read before."""
        rows, self._rows = self._rows, []
        if not rows:
            return
        steps, times, rates, losses, norms = zip(*rows, strict=True)
        loss = torch.stack(losses).float()
        if trainer.world_size > 1 and judge:  # each rank saw its own share; the gradient was averaged already
            loss = trainer.strategy.reduce(loss, reduce_op="mean")
        seen = torch.stack([loss, torch.stack(norms).float()]).cpu()
        self._write(trainer, steps, torch.cat([seen, torch.tensor([rates])]).T, times)
        if judge:
            self.guard.when_read(trainer, steps, seen[0], seen[1])

    def _write(self, trainer: pl.Trainer, steps: tuple[int, ...], table: Tensor, times: tuple[float, ...]) -> None:
        for logger in trainer.loggers:
            if hasattr(logger, "log_table"):
                logger.log_table(TAGS, steps, table.numpy(), times)
            else:
                for step, values in zip(steps, table.tolist(), strict=True):
                    logger.log_metrics(dict(zip(TAGS, values, strict=True)), step)
            if self.guard.skipped != self._skipped:
                logger.log_metrics({"step/skipped": float(self.guard.skipped)}, steps[-1])
        self._skipped = self.guard.skipped
