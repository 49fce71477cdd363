"""The hook between backward and the optimizer step: what every step shows of itself.

A step costs one fused call over all gradients. Values stay on the device where they were computed, and are fetched
all at once when a hundred steps (observe.flush_every) are written; nothing here changes a bit of the training.
"""

from __future__ import annotations

import time
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor, nn

from ..config.settings import Observe
from ..guards.nonfinite import Guard
from .cadence import Every
from .layers import ForwardOrder
from .measures import norms, total
from .statistics import Statistics
from .written import Written


class Watch(Callback):
    """Loss, learning rate and the gradient norm of every parameter at every optimizer step; more at some of them.

    The gradient is the accumulated one, unscaled, before clipping.

    Args:
        observe: what is looked at, and when.
        guard: decides whether a step's numbers may be used.
    """

    def __init__(self, observe: Observe | None = None, guard: Guard | None = None) -> None:
        self.observe, self.guard = observe or Observe(), guard or Guard("ignore")
        self.due = Every(self.observe.every)
        self.statistics = Statistics(self.observe)
        self.written = Written(self.observe)
        self._order: ForwardOrder | None = None
        self._parameters: list[tuple[str, nn.Parameter]] = []
        self._loss: Tensor | None = None  # of the step so far
        self._norms: Tensor | None = None  # [P]
        self._lr = float("nan")
        self._seen = 0

    @property
    def parameters(self) -> list[tuple[str, nn.Parameter]]:
        """The trainable parameters by name, in forward order once a first batch has shown it."""
        return self._parameters

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._seen = trainer.global_step
        self._order = ForwardOrder(pl_module)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self.statistics.before_forward(trainer, pl_module, batch)

    def on_before_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor) -> None:
        # Lightning has divided it by the number of micro-batches: their sum is the step's loss. LBFGS evaluates its
        # closure several times a step: the first loss and gradient are those at the parameters.
        if self._norms is None:
            self._loss = loss.detach() if self._loss is None else self._loss + loss.detach()

    def on_after_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._order is not None:
            self._order.stop()
            self._parameters, self._order = self._order.parameters(), None
        if self._norms is None:
            self.statistics.after_backward(trainer, self._parameters)

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        found = [(number, p.grad) for number, (_, p) in enumerate(self._parameters) if p.grad is not None]
        if not found:
            return
        measured = norms([gradient for _, gradient in found]) * unscale(trainer, optimizer)
        whole = total(measured)
        if self._norms is None:
            self._norms = self._placed(measured, [number for number, _ in found])
            self._lr = float(optimizer.param_groups[0]["lr"])
            self.statistics.before_step(trainer, self._parameters)
        self.guard.before_step(trainer, pl_module, optimizer, whole, self._loss)

    def _placed(self, measured: Tensor, numbers: list[int]) -> Tensor:
        """[P] with NaN for parameters that have no gradient."""
        if len(numbers) == len(self._parameters):
            return measured
        placed = measured.new_full((len(self._parameters),), float("nan"))
        placed[torch.tensor(numbers, device=measured.device)] = measured
        return placed

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step == self._seen:
            return
        self._seen = step = trainer.global_step
        if self._norms is not None and self._loss is not None and self.due(step):
            self.written.step(step, time.time(), self._lr, self._loss, self._norms)
        self.written.statistics(step, self.statistics.after_step(step, self._parameters))
        self._loss = self._norms = None
        if self.written.full:
            self.flush(trainer)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.flush(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.flush(trainer)
        self.written.finish(trainer, [name for name, _ in self._parameters])

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self.statistics.stop()
        if self._order is not None:
            self._order.stop()
        self.flush(trainer, judge=False)

    def flush(self, trainer: pl.Trainer, *, judge: bool = True) -> None:
        """Fetch what was seen, and write it. Raises NotFinite for what was not read before."""
        names = [name for name, _ in self._parameters]
        steps, losses, whole = self.written.flush(trainer, names, self.guard.skipped, together=judge)
        if judge and steps:
            self.guard.when_read(trainer, steps, losses, whole)


def unscale(trainer: pl.Trainer, optimizer: torch.optim.Optimizer) -> float:
    """Under 16-mixed a fused optimizer unscales inside its own step: its gradients are still scaled here."""
    scaler = getattr(trainer.precision_plugin, "scaler", None)
    if scaler is None or not getattr(optimizer, "_step_supports_amp_scaling", False):
        return 1.0
    return 1.0 / float(scaler.get_scale())
