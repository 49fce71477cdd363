"""The step as stepkit takes it: through the same trainer as a run's, for one optimizer step, written nowhere."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from omegaconf import OmegaConf
from pytorch_lightning.callbacks import Callback
from torch import Tensor

from ..build import Parts, build_trainer
from ..config.hydra import Composed
from ..observers.tensors import map_tensors
from ..step import Step
from .replay import Randomness

NEVER = 2**31  # epochs or steps between two calls of a scheduler


@dataclass
class Taken:
    """What went into the step and what came out.

    Attributes:
        batches: each micro-batch as the model got it.
        randomness: just before each micro-batch.
        after: the parameters after the step, on the CPU.
    """

    precision: str = "32-true"
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    batches: list[Any] = field(default_factory=list)
    randomness: list[Randomness] = field(default_factory=list)
    after: dict[str, Tensor] = field(default_factory=dict)


class Witness(Callback):
    """Notes what goes into the first optimizer step and what comes out."""

    def __init__(self) -> None:
        self.taken = Taken()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.taken.precision, self.taken.device = str(trainer.precision), trainer.strategy.root_device

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self.taken.batches.append(map_tensors(batch, torch.clone))
        self.taken.randomness.append(Randomness.now())

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step:
            self.taken.after = {name: p.detach().cpu().clone() for name, p in pl_module.named_parameters()}


def take(composed: Composed, parts: Parts) -> Taken:
    """One optimizer step of the run that the config declares; the parts' module is used up by it."""
    assert isinstance(parts.module, Step)
    witness = Witness()
    parts.module._scheduler = resting(parts.module._scheduler)
    alone = replace(parts, loaders={"train": parts.loaders["train"]}, callbacks=[])
    with tempfile.TemporaryDirectory() as folder:
        trainer = build_trainer(one_step(composed), alone, Path(folder), [witness])
        trainer.fit(parts.module, parts.loaders["train"], parts.loaders.get("val"))
    return witness.taken


def one_step(composed: Composed) -> Composed:
    """The config of one step on one device, told to no logger; a number that is not finite is looked at, not raised."""
    cfg = copy.deepcopy(composed.cfg)
    cfg.logger = {}
    changes: dict[str, Any] = {"max_steps": 1, "max_epochs": 1, "limit_val_batches": 0}
    changes |= {"devices": 1, "num_nodes": 1, "strategy": "auto"}
    for key, value in changes.items():
        OmegaConf.update(cfg, f"trainer.{key}", value, force_add=True)
    cfg.step.nonfinite = "ignore"
    return replace(composed, cfg=cfg)


def resting(
    scheduler: Callable[[torch.optim.Optimizer], dict[str, Any]] | None,
) -> Callable[[torch.optim.Optimizer], dict[str, Any]] | None:
    """A scheduler that sets the first step's learning rate and is not called afterwards: one may wait for a metric."""
    if scheduler is None:
        return None
    make = scheduler
    return lambda optimizer: {**make(optimizer), "frequency": NEVER, "strict": False}
