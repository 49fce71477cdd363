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
from .layers import ABSENT, ForwardOrder
from .measures import norms, total
from .statistics import Statistics, samples
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
        self._held: dict[int, tuple[int, list[tuple[int, nn.Parameter]]]] = {}
        self._stepped: set[int] = set()  # the optimizers that were seen in the step so far
        self._loss: Tensor | None = None  # of the step so far
        self._norms: Tensor | None = None  # [P], ABSENT where there is no gradient
        self._lr = float("nan")
        self._seen = self._number = self._samples = 0

    @property
    def parameters(self) -> list[tuple[str, nn.Parameter]]:
        """The trainable parameters by name, in forward order once a first batch has shown it."""
        return self._parameters

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._seen = trainer.global_step
        # Lightning counts every optimizer's step; with several of them a step of ours is one batch of theirs.
        self._number = trainer.global_step // max(1, len(trainer.optimizers))
        self.statistics.expect(self._number + 1)
        self._order, self._held = ForwardOrder(pl_module), {}

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._samples += samples(batch)
        self.statistics.before_forward(pl_module, batch)

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
            self.statistics.after_backward(self._parameters, trainer.accumulate_grad_batches, unscale(trainer))

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        found = {number: p.grad for number, p in self._of(optimizer) if p.grad is not None}
        if not found:
            return
        factor = unscale(trainer) if still_scaled(trainer, optimizer) else 1.0
        measured = norms(list(found.values())) * factor
        if id(optimizer) not in self._stepped:
            self._stepped.add(id(optimizer))
            if self._norms is None:
                self._lr = float(optimizer.param_groups[0]["lr"])
            self._norms = self._placed(measured, list(found))
            by_value = trainer.gradient_clip_val if trainer.gradient_clip_algorithm == "value" else None
            self.statistics.before_step(self._parameters, found, measured, factor, by_value)
        self.guard.before_step(trainer, pl_module, optimizer, total(measured), self._loss)

    def _of(self, optimizer: torch.optim.Optimizer) -> list[tuple[int, nn.Parameter]]:
        """The parameters that an optimizer holds, with their numbers in forward order."""
        groups = len(optimizer.param_groups)  # a callback may add some, to thaw layers
        known = self._held.get(id(optimizer))
        if known is None or known[0] != groups:
            ids = {id(p) for group in optimizer.param_groups for p in group["params"]}
            held = [(number, p) for number, (_, p) in enumerate(self._parameters) if id(p) in ids]
            known = self._held[id(optimizer)] = groups, held
        return known[1]

    def _placed(self, measured: Tensor, numbers: list[int]) -> Tensor:
        """[P], beside what other optimizers' parameters showed in this step."""
        if len(numbers) == len(self._parameters):
            return measured
        placed = measured.new_full((len(self._parameters),), ABSENT) if self._norms is None else self._norms
        placed[torch.tensor(numbers, device=measured.device)] = measured
        return placed

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step == self._seen:
            return
        self._seen = step = trainer.global_step
        if self._norms is not None and self._loss is not None and self.due(step):
            self.written.step(step, time.time(), self._lr, self._samples, self._loss, self._norms)
            self._samples = 0
        accumulate, world = trainer.accumulate_grad_batches, trainer.world_size
        self.written.statistics(step, self.statistics.after_step(self._parameters, accumulate, world))
        self._loss = self._norms = None
        self._stepped.clear()
        self._number += 1
        self.statistics.expect(self._number + 1)
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
        self.written.finish(trainer, [name for name, _ in self._parameters])

    def flush(self, trainer: pl.Trainer, *, judge: bool = True) -> None:
        """Fetch what was seen, and write it. Raises NotFinite for what was not read before."""
        names = [name for name, _ in self._parameters]
        steps, losses, whole = self.written.flush(trainer, names, self.guard.skipped, together=judge)
        if judge and steps:
            self.guard.when_read(trainer, steps, losses, whole)


def unscale(trainer: pl.Trainer) -> float | Tensor:
    """What a scaled gradient is to be multiplied with under 16-mixed; it stays on the device."""
    scaler = getattr(trainer.precision_plugin, "scaler", None)
    return 1.0 if scaler is None else scaler._get_scale_async().reciprocal()  # get_scale() would wait for the device


def still_scaled(trainer: pl.Trainer, optimizer: torch.optim.Optimizer) -> bool:
    """Under 16-mixed a fused optimizer unscales inside its own step: its gradients are still scaled at the hook."""
    return bool(getattr(optimizer, "_step_supports_amp_scaling", False))
