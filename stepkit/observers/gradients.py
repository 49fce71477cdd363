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

from .measures import total_norm

TAGS = ("loss/train", "gradient/norm", "lr")


class Watch(Callback):
    """Loss, gradient norm (of the accumulated gradient, before clipping) and learning rate of every optimizer step.

    Args:
        every: optimizer steps between two observations.
        flush_every: optimizer steps after which they are written to all loggers.
    """

    def __init__(self, every: int = 1, flush_every: int = 100) -> None:
        self.every, self.flush_every = every, flush_every
        self._loss: Tensor | None = None
        self._norm: Tensor | None = None
        self._lr = float("nan")
        self._seen = 0
        self._rows: list[tuple[int, float, float, Tensor, Tensor]] = []

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._seen = trainer.global_step

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        # LBFGS evaluates its closure several times a step: the first gradient is the one at the parameters.
        if self._norm is not None or (trainer.global_step + 1) % self.every:
            return
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        self._norm = total_norm(gradients) if gradients else None
        self._lr = float(optimizer.param_groups[0]["lr"])

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        loss = outputs["loss"].detach() if isinstance(outputs, dict) and "loss" in outputs else None
        if loss is not None:  # Lightning has divided it by the number of micro-batches: their sum is the step's loss
            self._loss = loss if self._loss is None else self._loss + loss
        if trainer.global_step == self._seen:
            return
        self._seen = trainer.global_step
        if self._norm is not None and self._loss is not None:
            self._rows.append((self._seen, time.time(), self._lr, self._loss, self._norm))
        self._loss = self._norm = None
        if len(self._rows) >= self.flush_every:
            self.flush(trainer)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.flush(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.flush(trainer)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self.flush(trainer)

    def flush(self, trainer: pl.Trainer) -> None:
        """Fetch what was seen, in one transfer, and write it."""
        rows, self._rows = self._rows, []
        if not rows:
            return
        steps, times, rates, losses, gradient_norms = zip(*rows, strict=True)
        loss = torch.stack(losses).float()
        if trainer.world_size > 1:  # each rank saw its own share; the gradient was averaged already
            loss = trainer.strategy.reduce(loss, reduce_op="mean")
        seen = torch.stack([loss, torch.stack(gradient_norms).float()]).cpu()
        table = torch.cat([seen, torch.tensor([rates])]).T.numpy()
        for logger in trainer.loggers:
            if hasattr(logger, "log_table"):
                logger.log_table(TAGS, steps, table, times)
            else:
                for step, values in zip(steps, table.tolist(), strict=True):
                    logger.log_metrics(dict(zip(TAGS, values, strict=True)), step)
