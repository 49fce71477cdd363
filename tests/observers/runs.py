"""Short trainings in this process, watched by stepkit and, beside it, by slow and obvious code."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util import tensor_util
from torch import Tensor, nn

from stepkit.config.settings import Observe
from stepkit.guards.nonfinite import Guard
from stepkit.loggers.tensorboard import TensorBoardLogger
from stepkit.observers.gradients import Watch
from stepkit.step import Step

ALL = Observe(statistics_every=1, histograms=20, whole_model_every=1)
Batch = tuple[Tensor, Tensor]
Optimizer = Callable[[Iterable[Any]], torch.optim.Optimizer]


class Batches:
    """Ready batches: x [size, 6] and classes of 3."""

    def __init__(self, count: int, size: int = 8, make: Callable[[int], Tensor] = lambda size: torch.randn(size, 6)):
        torch.manual_seed(1)
        self.made = [(make(size), torch.randint(3, (size,))) for _ in range(count)]

    def __len__(self) -> int:
        return len(self.made)

    def __iter__(self) -> Iterator[Batch]:
        return iter(self.made)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3))


def step(model: nn.Module, optimizer: Optimizer) -> Step:
    return Step(model).attach(loss=nn.CrossEntropyLoss(), metrics={}, optimizer=optimizer)


def fit(
    folder: Path,
    module: pl.LightningModule,
    batches: Any,
    observe: Observe | None = ALL,
    callbacks: Iterable[Callback] = (),
    loggers: Iterable[Any] = (),
    **options: Any,
) -> pl.Trainer:
    """Train; with `observe` watched, into event files in `folder`."""
    watch = [] if observe is None else [Watch(observe, Guard("ignore"))]
    trainer = pl.Trainer(
        **{"accelerator": "cpu", "max_epochs": 1, "log_every_n_steps": 1, **options},
        callbacks=[*watch, *callbacks],
        logger=[TensorBoardLogger(str(folder)), *loggers],
        default_root_dir=str(folder),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, batches)
    for logger in trainer.loggers:
        logger.finalize("success")
    return trainer


class Spy(Callback):
    """What a slow reader sees of each step: gradients before and after clipping, parameters before and after it.

    An optimizer's first closure of a step counts.
    """

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.gradients: list[dict[str, Tensor]] = []
        self.clipped: list[dict[str, Tensor]] = []
        self.before: list[dict[str, Tensor]] = []
        self.after: list[dict[str, Tensor]] = []
        self._now: dict[str, Tensor] = {}
        self._parameters: dict[str, Tensor] = {}

    def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Any) -> None:
        held = {id(p) for group in optimizer.param_groups for p in group["params"]}
        self._parameters = self._parameters or values(pl_module)
        for name, gradient in gradients(pl_module, held).items():
            self._now.setdefault(name, gradient)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        if self._now:
            self.steps.append(trainer.global_step)
            self.gradients.append(self._now)
            self.clipped.append(gradients(pl_module))  # as they were left for the optimizer
            self.before.append(self._parameters)
            self.after.append(values(pl_module))
        self._now, self._parameters = {}, {}


def values(module: nn.Module) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in module.named_parameters() if p.requires_grad}


def gradients(module: nn.Module, held: set[int] | None = None) -> dict[str, Tensor]:
    return {
        name: p.grad.detach().to_dense().clone()
        for name, p in module.named_parameters()
        if p.grad is not None and (held is None or id(p) in held)
    }


def length(tensors: Iterable[Tensor]) -> float:
    """The norm of all tensors as one vector, in double precision."""
    return math.sqrt(sum(t.detach().abs().double().square().sum().item() for t in tensors))


def difference(a: dict[str, Tensor], b: dict[str, Tensor]) -> float:
    """|a - b| of all tensors as one vector, in double precision."""
    wide = torch.complex128
    return length(a[name].to(wide) - b[name].to(wide) for name in a)


class Read:
    """A run's event files as TensorBoard's own reader gives them."""

    def __init__(self, folder: Path) -> None:
        everything = {kind: 0 for kind in ("scalars", "tensors", "histograms", "images", "compressedHistograms")}
        self.reader = EventAccumulator(str(folder), size_guidance=everything)
        self.reader.Reload()

    def tags(self) -> dict[str, Any]:
        found: dict[str, Any] = self.reader.Tags()
        return found

    def scalars(self, tag: str) -> dict[int, float]:
        return {event.step: event.value for event in self.reader.Scalars(tag)}

    def histogram(self, tag: str) -> dict[int, list[list[float]]]:
        """By step: lower edge, upper edge and count of each bin."""
        return {e.step: tensor_util.make_ndarray(e.tensor_proto).tolist() for e in self.reader.Tensors(tag)}

    def norms(self) -> tuple[list[str], dict[int, np.ndarray[Any, Any]]]:
        """The parameters' names, and their norms [P] by step, from the blocked tensor summary."""
        metadata = self.reader.SummaryMetadata("gradient/norms")
        blocks = [tensor_util.make_ndarray(event.tensor_proto) for event in self.reader.Tensors("gradient/norms")]
        return json.loads(metadata.plugin_data.content), {int(row[0]): row[1:] for block in blocks for row in block}
