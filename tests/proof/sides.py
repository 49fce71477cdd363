"""One cell on both sides: as stepkit runs it, and by hand."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau, StepLR

from stepkit import plugins
from stepkit.build import Parts, build, build_trainer
from stepkit.config.prepare import prepare
from stepkit.engine.quiet import hush

from . import hand
from .cells import CLIP_AT, SCHEDULER_OPTIONS, STEPS, Cell
from .problems import BATCH_SIZE, PROBLEMS, SEED

State = dict[str, Tensor]


@dataclass
class Trained:
    """What a side is left with: the model's parameters and buffers, the loss of each micro-batch, the last rates."""

    state: State
    losses: list[float]
    rates: list[float]


class Losses(Callback):
    """Notes the loss of each micro-batch. Lightning hands it out divided by the number of them in a step."""

    def __init__(self, accumulate: int) -> None:
        self.accumulate, self.seen = accumulate, list[float]()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.seen.append(outputs["loss"].item() * self.accumulate)


def fit(overrides: Sequence[str], *callbacks: Callback) -> tuple[Parts, pl.Trainer]:
    """Train as `stepkit` with these overrides does, in this process."""
    hush()
    composed = prepare([*overrides, "trainer=cpu"])
    parts = build(composed)
    with tempfile.TemporaryDirectory() as folder:
        trainer = build_trainer(composed, parts, Path(folder), callbacks)
        trainer.fit(parts.module, parts.loaders["train"], parts.loaders.get("val"))
    return parts, trainer


def by_stepkit(cell: Cell) -> Trained:
    """The real thing: overrides to config, config to parts, parts to a trainer, trained."""
    losses = Losses(cell.accumulate)
    if cell.row.optimizer == "Muon":
        plugins.hand_over("optimizer", torch.optim.Muon)
    typed = [*PROBLEMS[cell.row.problem].overrides(), *cell.overrides()]
    parts, trainer = fit([*typed, "trainer.max_epochs=-1", f"trainer.max_steps={STEPS}", "logger=null"], losses)
    assert trainer.global_step == STEPS
    network: Any = parts.module.network
    rates = [group["lr"] for group in trainer.optimizers[0].param_groups]
    return Trained(copied(network), losses.seen, rates)


def by_hand(cell: Cell) -> Trained:
    """The same written out in plain PyTorch."""
    problem = PROBLEMS[cell.row.problem]
    model = problem.fresh()
    (x, y), (val_x, val_y) = problem.data.parts()
    if cell.precision == "64-true":
        model.double()
        x, val_x = (part.double() if part.is_floating_point() else part for part in (x, val_x))
    optimizers = hand_made_optimizers(cell, model)
    loop = hand.Loop(
        model=model,
        loss=nn.CrossEntropyLoss(),
        batches=lambda epoch: hand.shuffled(x, y, BATCH_SIZE, SEED, epoch),
        validation=(val_x, val_y),
        optimizers=optimizers,
        steps=STEPS,
        accumulate=cell.accumulate,
        clip=clipping(cell),
        schedulers=schedulers(cell, optimizers),
        plateaus=plateaus(cell, optimizers),
        autocast=partial(torch.autocast, "cpu", torch.bfloat16) if cell.precision == "bf16-mixed" else nullcontext,
    )
    losses = (hand.train_with_closure if cell.row.optimizer == "lbfgs" else hand.train)(loop)
    return Trained(copied(model), losses, [group["lr"] for optimizer in optimizers for group in optimizer.param_groups])


def copied(model: nn.Module) -> State:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


TORCH = {
    "adadelta": torch.optim.Adadelta,
    "adafactor": torch.optim.Adafactor,
    "adagrad": torch.optim.Adagrad,
    "adam": torch.optim.Adam,
    "adamax": torch.optim.Adamax,
    "adamw": torch.optim.AdamW,
    "asgd": torch.optim.ASGD,
    "lbfgs": torch.optim.LBFGS,
    "Muon": torch.optim.Muon,
    "nadam": torch.optim.NAdam,
    "radam": torch.optim.RAdam,
    "rmsprop": torch.optim.RMSprop,
    "rprop": torch.optim.Rprop,
    "sgd": torch.optim.SGD,
    "sparse_adam": torch.optim.SparseAdam,
}


def hand_made_optimizers(cell: Cell, model: nn.Module) -> list[torch.optim.Optimizer]:
    """torch's own, with the row's options; where stepkit's muon stands, torch's Muon and AdamW, as it promises."""
    options = dict(cell.row.options)
    if cell.row.optimizer != "muon":
        made: Callable[..., torch.optim.Optimizer] = TORCH[cell.row.optimizer]
        return [made(model.parameters(), **options)]
    matrices = [p for p in model.parameters() if p.ndim == 2]
    others = [p for p in model.parameters() if p.ndim != 2]
    lr = options.pop("lr")
    muon = torch.optim.Muon(matrices, lr=lr, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    adamw_lr = options.pop("adamw_lr", lr)
    return [muon, torch.optim.AdamW(others, lr=adamw_lr, weight_decay=0.1)] if others else [muon]


def clipping(cell: Cell) -> hand.Clip:
    if cell.clip == "norm":
        return lambda parameters: nn.utils.clip_grad_norm_(parameters, CLIP_AT["norm"])
    if cell.clip == "value":
        return lambda parameters: nn.utils.clip_grad_value_(parameters, CLIP_AT["value"])
    return hand.no_clipping


def schedulers(cell: Cell, optimizers: Sequence[torch.optim.Optimizer]) -> list[LRScheduler]:
    options = SCHEDULER_OPTIONS["step"]
    return [StepLR(optimizer, **options) for optimizer in optimizers] if cell.scheduler == "step" else []


def plateaus(cell: Cell, optimizers: Sequence[torch.optim.Optimizer]) -> list[ReduceLROnPlateau]:
    if cell.scheduler != "reduce_lr_on_plateau":
        return []
    return [ReduceLROnPlateau(optimizer, **SCHEDULER_OPTIONS[cell.scheduler]) for optimizer in optimizers]
