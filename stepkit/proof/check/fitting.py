"""A few steps of training through the run's own trainer: on one device, told to no logger, written nowhere."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from omegaconf import OmegaConf
from pytorch_lightning.callbacks import Callback

from ...build import build_trainer
from ...config.hydra import Composed
from ...observers.tensors import map_tensors
from ...step import Step
from .subject import Subject


@dataclass
class Repeated:
    """Batches over and over: `steps` in all. Each is a copy: a model may work in place."""

    batches: Sequence[Any]
    steps: int

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[Any]:
        for number in range(self.steps):
            yield map_tensors(self.batches[number % len(self.batches)], torch.clone)


def trainer_for(subject: Subject, *callbacks: Callback) -> pl.Trainer:
    """The run's trainer, but for one device and one pass, without the config's callbacks and loggers."""
    alone = replace(subject.parts, loaders={}, callbacks=[])
    with tempfile.TemporaryDirectory() as folder:  # a name that the trainer wants; without loggers it writes nothing
        return build_trainer(_quiet(subject.composed), alone, Path(folder), callbacks)


def fit(
    subject: Subject, module: pl.LightningModule, batches: Sequence[Any], steps: int, watch: Callback
) -> pl.Trainer:
    """Train `module` on these batches, at the configured learning rate from the first step: without its scheduler.

    Raises NotFinite for a loss or gradient that is not finite.
    """
    if isinstance(module, Step):
        module._scheduler = None
    trainer = trainer_for(subject, watch)
    trainer.fit(module, Repeated(batches, steps))
    return trainer


def _quiet(composed: Composed) -> Composed:
    cfg = copy.deepcopy(composed.cfg)
    cfg.logger = {}
    changes: dict[str, Any] = {
        "trainer.max_epochs": 1,
        "trainer.max_steps": -1,
        "trainer.devices": 1,
        "trainer.num_nodes": 1,
        "trainer.strategy": "auto",
        "trainer.enable_checkpointing": False,
        "trainer.limit_train_batches": 1.0,
        "trainer.limit_val_batches": 1,
        "trainer.limit_test_batches": 1,
        "step.accumulate": 1,
        "step.nonfinite": "raise",
        "observe.statistics_every": 0,
        "observe.histograms": 0,
        "observe.whole_model_every": 0,
        "observe.activations": False,
    }
    for key, value in changes.items():
        OmegaConf.update(cfg, key, value, force_add=True)
    return replace(composed, cfg=cfg)
