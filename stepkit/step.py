"""The step: what happens to one batch. It is declared here and nowhere else.

Who calls whom, since control turns round inside: Lightning's epoch loop calls `optimizer.step(closure)`; inside it
the closure runs, in this order,

    optimizer.zero_grad()              at the first micro-batch of an optimizer step only
    loss = training_step(batch)        forward, then loss: below
    (loss / accumulate).backward()
    observers see the gradient, then it is clipped

and then the optimizer updates the parameters. Under accumulation the closure runs alone for all micro-batches but the
last. Under 16-bit floats with a gradient scaler the closure runs before `optimizer.step`, so that the gradient can be
unscaled in between. Everything is Lightning's automatic optimization; nothing here calls backward or step.

Where loops that people write differ, this holds (tests/proof/test_rules.py has the numbers): each micro-batch's loss is
divided by k = step.accumulate, also in an epoch's last, incomplete window, which is a step of its own; no window
crosses an epoch; micro-batches count alike whatever their size. The accumulated gradient is clipped once, before the
step, in the order of the model's parameters; LBFGS's at each evaluation of its closure. A scheduler by step counts
optimizer steps; one by epoch, and ReduceLROnPlateau, steps at the epoch's end, after validation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.precision import MixedPrecision, Precision
from pytorch_lightning.utilities import GradClipAlgorithmType
from torch import Tensor, nn
from torchmetrics import MeanMetric, Metric


class Step(pl.LightningModule):
    """The loss of a batch, its metrics, its optimizer and scheduler.

    A plain `nn.Module` is wrapped in one. A subclass builds its network in `__init__` (as `self.network`, or with a
    `forward` of its own) and may override `training_step`, for batches other than (x, y).
    """

    def __init__(self, network: nn.Module | None = None) -> None:
        super().__init__()
        if network is not None:
            self.network = network

    def attach(
        self,
        *,
        loss: nn.Module | Callable[..., Tensor] | None,
        metrics: Mapping[str, Metric],
        optimizer: Callable[[list[dict[str, Any]]], torch.optim.Optimizer] | None,
        scheduler: Callable[[torch.optim.Optimizer], dict[str, Any]] | None = None,
        decay: str = "all",
    ) -> Step:
        """Give it what the config chose. A loss with parameters joins the optimizer, as a part of this module."""
        self.loss = loss
        self._optimizer, self._scheduler, self._decay = optimizer, scheduler, decay
        for split in ("val", "test"):
            tracked: dict[str, nn.Module] = {"loss": MeanMetric()}
            tracked.update({name: metric.clone() for name, metric in metrics.items()})
            setattr(self, f"{split}_metrics", nn.ModuleDict(tracked))
        return self

    def forward(self, *inputs: Any) -> Any:
        return self.network(*inputs)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """(x, y) -> the batch's loss, a scalar."""
        x, y = batch
        return self.compare(self(x), y)

    def compare(self, output: Tensor, target: Tensor) -> Tensor:
        """The loss of the model's output against the target; sequences of class scores count each place as a sample."""
        assert self.loss is not None
        return self.loss(*places(output, target))

    def validation_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Counts the batch's loss and metrics; returns the model's output, for callbacks to look at."""
        return self._evaluate(batch, "val")

    def test_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self._evaluate(batch, "test")

    def on_validation_epoch_end(self) -> None:
        self._log_metrics("val")

    def on_test_epoch_end(self) -> None:
        self._log_metrics("test")

    def _evaluate(self, batch: Any, split: str) -> Tensor:
        x, y = batch
        output: Tensor = self(x)
        metrics = getattr(self, f"{split}_metrics")
        metrics["loss"].update(self.compare(output, y).detach(), weight=len(y))
        scores, target = numbers(*places(output, y))
        for name, metric in metrics.items():
            if name != "loss":
                metric.update(scores, target)
        return output

    def _log_metrics(self, split: str) -> None:
        """Logged once an epoch, not once a batch: a torchmetrics metric already sums over batches and ranks.

        Written at the number of optimizer steps done, as the training's own curves are; Lightning counts from 0.
        """
        values = {}
        for name, metric in getattr(self, f"{split}_metrics").items():
            if metric.update_called:
                values[f"{name}/{split}"] = metric.compute()
                metric.reset()
        self.log_dict(values, logger=False)
        if not self.trainer.sanity_checking:
            for logger in self.trainer.loggers:
                logger.log_metrics({name: float(value) for name, value in values.items()}, self.trainer.global_step)

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip in the order of the model's parameters, as `clip_grad_norm_(model.parameters(), …)` by hand does.

        The last bits of a norm depend on the order of its sum, and an optimizer may hold the parameters in another:
        muon, and any with decay "matrices".
        """
        if gradient_clip_val is None:
            return
        plugin, groups = self.trainer.precision_plugin, optimizer.param_groups
        held = {id(p) for group in groups for p in group["params"]}
        optimizer.param_groups = [{"params": [p for p in self.parameters() if id(p) in held]}]
        try:
            if isinstance(plugin, MixedPrecision) and plugin.scaler is None:
                # It refuses a fused optimizer, which may unscale gradients itself; in bf16 there is no scale.
                how = GradClipAlgorithmType(gradient_clip_algorithm or "norm")
                Precision.clip_gradients(plugin, optimizer, gradient_clip_val, how)
            else:
                super().configure_gradient_clipping(optimizer, gradient_clip_val, gradient_clip_algorithm)
        finally:
            optimizer.param_groups = groups

    def configure_optimizers(self) -> Any:
        assert self._optimizer is not None
        optimizer = self._optimizer(parameter_groups(self, self._decay))
        if self._scheduler is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": self._scheduler(optimizer)}


def places(output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """[N, T, C] scores against [N, T] class numbers -> [N*T, C] and [N*T]; all else is left as it is."""
    if (
        output.ndim == target.ndim + 1
        and target.ndim >= 2
        and not target.is_floating_point()
        and output.shape[:-1] == target.shape
    ):
        return output.flatten(0, -2), target.flatten()
    return output, target


def numbers(output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """[N, 1] against [N, 1] -> [N] and [N], as metrics want single numbers; all else is left as it is."""
    if output.shape == target.shape and output.ndim == 2 and output.shape[1] == 1:
        return output.squeeze(1), target.squeeze(1)
    return output, target


def parameter_groups(module: nn.Module, decay: str) -> list[dict[str, Any]]:
    """The trainable parameters; with decay "matrices", biases and norms (fewer than two dimensions) are not decayed."""
    parameters = [p for p in module.parameters() if p.requires_grad]
    if decay == "all":
        return [{"params": parameters}]
    matrices = [p for p in parameters if p.ndim >= 2]
    others = [p for p in parameters if p.ndim < 2]
    groups: list[dict[str, Any]] = [{"params": matrices}, {"params": others, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]
