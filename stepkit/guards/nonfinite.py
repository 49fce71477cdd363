"""A loss or gradient that is NaN or infinite: the run ends before the optimizer step, or the step is skipped.

A sum of squares is finite only if every term is: the norm of all gradients, which is observed anyway, tells at the
cost of one comparison. On the CPU that is read before every step. On an accelerator reading it would wait for the
device, so it is read with the observations, and no checkpoint is written before that; `nonfinite_sync` reads it always.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from torch import Tensor

from ..errors import RunFailed

SHOWN = 5  # names and numbers in a message


class NotFinite(RunFailed):
    """A number went wrong in training."""


class Guard:
    """Decides at each optimizer step whether its numbers may be used.

    Attributes:
        skipped: steps that were skipped so far.
    """

    def __init__(
        self, mode: Literal["raise", "skip", "ignore"] = "raise", limit: int = 10, *, sync: bool | None = None
    ) -> None:
        self.mode, self.limit, self.sync = mode, limit, sync
        self.skipped = self._in_a_row = 0

    def reads_now(self, device: torch.device) -> bool:
        """Whether the numbers are read before the step."""
        return self.mode == "skip" or (self.mode == "raise" and (device.type == "cpu" if not self.sync else True))

    def before_step(
        self,
        trainer: pl.Trainer,
        module: pl.LightningModule,
        optimizer: torch.optim.Optimizer,
        norm: Tensor,
        loss: Tensor | None,
    ) -> None:
        """Raises NotFinite, or takes the gradients away, which every optimizer of torch takes as "not this one"."""
        if not self.reads_now(norm.device) or scaled(trainer):
            return
        good = math.isfinite(norm.item()) and (loss is None or math.isfinite(loss.item()))
        if not good and self.mode == "raise" and (overflowed := _only_the_sum(optimizer, loss)):
            good = overflowed
        if self.mode == "skip":
            good = bool(trainer.strategy.reduce_boolean_decision(good))  # every rank decides alike
        if good:
            self._in_a_row = 0
        elif self.mode == "raise":
            raise NotFinite(told(trainer, module, trainer.global_step + 1, loss))
        else:
            self._skip(trainer, module, optimizer, loss)

    def _skip(
        self, trainer: pl.Trainer, module: pl.LightningModule, optimizer: torch.optim.Optimizer, loss: Tensor | None
    ) -> None:
        self.skipped += 1
        self._in_a_row += 1
        if self._in_a_row >= self.limit:
            raise NotFinite(
                f"{self.limit} steps in a row were not finite; {told(trainer, module, trainer.global_step + 1, loss)}"
            )
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    def when_read(self, trainer: pl.Trainer, steps: Sequence[int], losses: Tensor, norms: Tensor) -> None:
        """What was not read before the step is read with the observations. Raises NotFinite: the first bad step."""
        if self.mode != "raise" or scaled(trainer):
            return
        bad = ~(torch.isfinite(losses) & torch.isfinite(norms))
        if bad.any():
            number = int(bad.nonzero()[0])
            what = f"loss {losses[number].item():.4g}, gradient norm {norms[number].item():.4g}"
            raise NotFinite(f"step {steps[number]}: not finite: {what}; {_samples(trainer, steps[number])}")


def scaled(trainer: pl.Trainer) -> bool:
    """Under 16-mixed the scaler itself skips steps whose scaled gradients overflow: that is how it finds its scale."""
    return getattr(trainer.precision_plugin, "scaler", None) is not None


def _only_the_sum(optimizer: torch.optim.Optimizer, loss: Tensor | None) -> bool:
    """Whether each gradient is finite and only the sum of their squares is not."""
    gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    return (loss is None or bool(torch.isfinite(loss))) and all(
        bool(torch.isfinite(_values(g)).all()) for g in gradients
    )


def _values(gradient: Tensor) -> Tensor:
    return gradient._values() if gradient.is_sparse else gradient


def told(trainer: pl.Trainer, module: pl.LightningModule, step: int, loss: Tensor | None) -> str:
    """One line: the step, the loss, the first parameters hit, the batch's samples."""
    named = [(name, p.grad) for name, p in module.named_parameters() if p.grad is not None]
    hit = [name for name, gradient in named if not torch.isfinite(_values(gradient)).all()]
    where = f"the gradient of {_few(hit)}" if hit else "the loss"
    value = "" if loss is None else f" (loss {loss.item():.4g})"
    return f"step {step}: {where} is not finite{value}; {_samples(trainer, step)}"


def _samples(trainer: pl.Trainer, step: int) -> str:
    """The samples of a step's batches, or the batches' numbers for a loader of the plugin's own."""
    loader: Any = trainer.train_dataloader
    per_epoch = int(trainer.num_training_batches)
    k = trainer.accumulate_grad_batches
    steps_an_epoch = -(-per_epoch // k)
    epoch, number = divmod(step - 1, steps_an_epoch)
    batches = range(number * k, min((number + 1) * k, per_epoch))
    if not hasattr(loader, "indices"):
        return f"batch {_few(list(batches))} of epoch {epoch + 1}"
    samples = [int(index) for batch in batches for index in loader.indices(epoch, batch)]
    return f"samples {_few(samples)} of epoch {epoch + 1}"


def _few(items: Sequence[Any]) -> str:
    shown = ", ".join(str(item) for item in items[:SHOWN])
    return shown + (f" and {len(items) - SHOWN} more" if len(items) > SHOWN else "")
