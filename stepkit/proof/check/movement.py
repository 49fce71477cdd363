"""Every trainable parameter moves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor

from ...guards.nonfinite import NotFinite
from .fitting import fit
from .result import CannotTell, Check, counted, few
from .subject import Subject

NAME = "parameters move"
LEAST, MOST = 3, 10  # steps: what starts at zero lets the gradient through to what lies before it one step later


@dataclass
class Moved:
    """A short training and what it did.

    Attributes:
        got: parameters that got a gradient.
        pulled: parameters whose gradient was not zero throughout.
        moved: parameters that are not what they were.
        names: all trainable ones, in order.
        wrong: the number that was not finite, in words; then there was no training to speak of.
    """

    trainer: pl.Trainer | None
    module: pl.LightningModule
    names: list[str]
    got: set[str] = field(default_factory=set)
    pulled: set[str] = field(default_factory=set)
    moved: set[str] = field(default_factory=set)
    wrong: str = ""

    @property
    def done(self) -> pl.Trainer:
        """The trainer, once it has trained. Raises CannotTell."""
        if self.trainer is None:
            raise CannotTell("a few steps of training went wrong; see 'parameters move'")
        return self.trainer


class Movement(Callback):
    """Notes for each parameter whether it got a gradient, whether it was ever other than zero, and whether it moved."""

    def __init__(self) -> None:
        self.got: set[str] = set()
        self.pulled: set[str] = set()
        self.moved: set[str] = set()
        self._start: dict[str, Tensor] = {}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._start = {name: p.detach().clone() for name, p in pl_module.named_parameters() if p.requires_grad}

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        for name, parameter in pl_module.named_parameters():
            if parameter.grad is not None:
                self.got.add(name)
                gradient = parameter.grad.coalesce().values() if parameter.grad.is_sparse else parameter.grad
                if name not in self.pulled and bool((gradient != 0).any()):
                    self.pulled.add(name)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.moved |= {
            name
            for name, p in pl_module.named_parameters()
            if name in self._start and not torch.equal(p.detach(), self._start[name])
        }
        if batch_idx + 1 >= LEAST and self._start.keys() <= self.moved & self.pulled:
            trainer.should_stop = True


def train_a_little(subject: Subject) -> Moved:
    """At most ten steps on the first batches."""
    subject.check_finite()
    module, watch = subject.copy(), Movement()
    names = [name for name, parameter in module.named_parameters() if parameter.requires_grad]
    try:
        trainer = fit(subject, module, subject.batches, MOST, watch)
    except NotFinite as error:
        return Moved(None, module, names, wrong=str(error).partition(";")[0])
    return Moved(trainer, module, names, watch.got, watch.pulled, watch.moved)


def parameters_move(subject: Subject, trained: Moved) -> Check:
    """Each gets a gradient that is not zero, and the optimizer moves it."""
    if trained.wrong:
        return Check(
            NAME, False, trained.wrong, "training would end here: a smaller optimizer.lr, or a loss that stays finite"
        )
    names, steps = trained.names, trained.done.global_step
    faults = [
        (_of(names, lambda n: n not in trained.got), "get no gradient: they have no part in the loss"),
        (
            _of(names, lambda n: n in trained.got and n not in trained.pulled),
            "get a gradient of exactly 0: a factor of 0, dead units, or a saturated function stands before the loss",
        ),
        (
            _of(names, lambda n: n in trained.pulled and n not in trained.moved),
            "get a gradient but do not move: the optimizer does not hold them, or its learning rate is 0",
        ),
    ]
    still = len({name for found, _ in faults for name in found})
    frozen = sum(not p.requires_grad for p in trained.module.parameters())
    saw = f"{len(names) - still} of {len(names)} trainable moved in {counted(steps, 'step')}"
    saw += f" ({frozen} frozen)" if frozen else ""
    told = [f"{few(_short(found))} {what}" for found, what in faults if found]
    return Check(NAME, not told, saw, "; ".join(told) or "all of the model learns")


def _of(names: Iterable[str], is_so: Any) -> list[str]:
    return [name for name in names if is_so(name)]


def _short(names: list[str]) -> list[str]:
    return [name.removeprefix("network.") for name in names]
