"""Linear warm-up, then half a cosine down."""

from __future__ import annotations

import math

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler


class WarmupCosine(LRScheduler):
    """Raises the learning rate linearly to the optimizer's own, then lowers it along half a cosine; stepped every step.

    Step t (from 0) trains with lr · (t + 1) / (w + 1) while t < w, the warm-up; after it with
    lr · (m + (1 - m) · (1 + cos π·p) / 2), where p = (t - w) / (total_steps - w) and m = min_lr_factor
    (Loshchilov and Hutter 2017, "SGDR", equation 5, without restarts). So no step is lost on a learning rate of
    zero: the lowest is reached when the last step is done, and kept.

    Args:
        total_steps: optimizer steps of the whole training.
        warmup_steps: steps of the warm-up; by default the fraction below.
        warmup_fraction: warm-up as a fraction of total_steps.
        min_lr_factor: the last learning rate, as a fraction of the optimizer's.

    Raises:
        ValueError: a number of steps or a fraction out of range.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        total_steps: int,
        warmup_steps: int | None = None,
        warmup_fraction: float = 0.05,
        min_lr_factor: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        if total_steps < 1:
            raise ValueError(f"total_steps={total_steps}: give 1 or more")
        if not 0.0 <= warmup_fraction <= 1.0:
            raise ValueError(f"warmup_fraction={warmup_fraction}: give a number from 0 to 1")
        if not 0.0 <= min_lr_factor <= 1.0:
            raise ValueError(f"min_lr_factor={min_lr_factor}: give a number from 0 to 1")
        self.total_steps = total_steps
        self.warmup_steps = round(warmup_fraction * total_steps) if warmup_steps is None else warmup_steps
        self.min_lr_factor = min_lr_factor
        if not 0 <= self.warmup_steps <= total_steps:
            raise ValueError(f"warmup_steps={warmup_steps}: give 0 to {total_steps}, the steps of the whole training")
        super().__init__(optimizer, last_epoch)

    def factor(self, step: int) -> float:
        """What the optimizer's learning rate is multiplied with at a step (from 0)."""
        if step < self.warmup_steps:
            return (step + 1) / (self.warmup_steps + 1)
        if step >= self.total_steps:
            return self.min_lr_factor
        progress = (step - self.warmup_steps) / (self.total_steps - self.warmup_steps)
        return self.min_lr_factor + (1 - self.min_lr_factor) * (1 + math.cos(math.pi * progress)) / 2

    def get_lr(self) -> list[float | Tensor]:
        """The learning rate of each parameter group for the step that comes."""
        factor = self.factor(self.last_epoch)
        return [base * factor for base in self.base_lrs]
