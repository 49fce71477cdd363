"""What is looked at every n-th step: weights, updates, gradients in comparison, activations, distributions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from ..config.settings import Observe
from . import measures
from .activations import Activations
from .cadence import Doubling, Every

Named = Sequence[tuple[str, nn.Parameter]]


@dataclass
class Seen:
    """What one step showed.

    Attributes:
        scalars: by tag, 0-dim tensors on the device.
        distributions: by kind, counts [P, bins] of `measures.exponents` over the parameters that were there.
    """

    scalars: dict[str, Tensor] = field(default_factory=dict)
    distributions: dict[str, Tensor] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)


class Statistics:
    """Measures the due steps; at all others it does nothing."""

    def __init__(self, observe: Observe) -> None:
        self.often, self.spread = Every(observe.statistics_every), Doubling(observe.histograms)
        self.activations = Activations() if observe.activations else None
        self._before: list[Tensor] = []  # parameters before the step
        self._last: list[Tensor] = []  # the gradient of the step before a due one
        self._micro: list[Tensor] = []  # squared norms of the micro-batches' gradients
        self._so_far: list[Tensor] = []  # the gradient accumulated so far
        self._batch = 0
        self._seen: Seen | None = None

    def _due(self, step: int) -> bool:
        return self.often(step) or self.spread(step)

    def before_forward(self, trainer: pl.Trainer, module: pl.LightningModule, batch: object) -> None:
        if self.often(trainer.global_step + 1):
            self._batch = _samples(batch)
            if self.activations is not None:
                self.activations.start(module)

    def after_backward(self, trainer: pl.Trainer, parameters: Named) -> None:
        """Under accumulation: how long each micro-batch's own gradient is."""
        if self.activations is not None:
            self.activations.stop()
        k = trainer.accumulate_grad_batches
        if k == 1 or not self.often(trainer.global_step + 1):
            return
        now = [p.grad for _, p in parameters if p.grad is not None]
        own = torch._foreach_sub(now, self._so_far) if len(self._so_far) == len(now) else now
        self._micro.append((measures.total(measures.norms(own)) * k).square())  # the loss was divided by k
        self._so_far = [gradient.clone() for gradient in now]

    def before_step(self, trainer: pl.Trainer, parameters: Named) -> None:
        step = trainer.global_step + 1
        with_gradient = [(name, p, p.grad) for name, p in parameters if p.grad is not None]
        gradients = [gradient for _, _, gradient in with_gradient]
        if self._due(step):
            self._seen = Seen(names=[name for name, _, _ in with_gradient])
            self._before = [p.detach().clone() for _, p in parameters]
        if self.often(step) and self._seen is not None:
            self._seen.scalars.update(self._compare(trainer, gradients))
        if self.spread(step) and self._seen is not None:
            self._seen.distributions["gradient"] = measures.exponents(gradients)
        self._last = [gradient.detach().clone() for gradient in gradients] if self.often(step + 1) else []

    def _compare(self, trainer: pl.Trainer, gradients: list[Tensor]) -> dict[str, Tensor]:
        found = {
            "gradient/zero_share": measures.zero_share(gradients),
            "gradient/nonfinite_share": measures.nonfinite_share(gradients),
        }
        if len(self._last) == len(gradients):
            found["gradient/cosine"] = measures.cosine(gradients, self._last)
        k = len(self._micro)
        if k > 1 and self._batch:
            large = measures.total(measures.norms(gradients)).square()
            small = torch.stack(self._micro).mean()
            found["gradient/noise_scale"] = measures.noise_scale(small, large, self._batch, self._batch * k)
        return found

    def after_step(self, step: int, parameters: Named) -> Seen | None:
        """Everything of this step, if it was due."""
        seen, before = self._seen, self._before
        self._seen, self._before, self._micro, self._so_far = None, [], [], []
        if seen is None:
            return None
        now = [p.detach() for _, p in parameters]
        updates = list(torch._foreach_sub(now, before))
        if self.often(step):
            weights, moved = measures.total(measures.norms(before)), measures.total(measures.norms(updates))
            seen.scalars.update({"weight/norm": weights, "update/norm": moved, "update/ratio": moved / weights})
            if self.activations is not None:
                seen.scalars.update(self.activations.take())
        if self.spread(step):
            seen.names = [name for name, _ in parameters]
            seen.distributions["weight"] = measures.exponents(now)
            seen.distributions["update"] = measures.exponents(updates)
        return seen

    def stop(self) -> None:
        if self.activations is not None:
            self.activations.stop()


def _samples(batch: object) -> int:
    """Samples in a batch (x, y); 0 if it does not tell."""
    first = batch[0] if isinstance(batch, tuple | list) and batch else batch
    return len(first) if isinstance(first, Tensor) and first.ndim else 0
