"""A handful of samples can be learnt by heart: the surest sign that data, model, loss and optimizer are connected."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from ...guards.nonfinite import NotFinite
from ...observers.tensors import map_tensors, tensors_of
from ...step import Step, places
from . import layers
from .fitting import fit
from .result import CannotTell, Check, counted, rounded
from .subject import Subject

NAME = "a few samples are learnt"
SAMPLES, SEQUENCES = 16, 4  # so few that a small model can know them by heart, so many that a constant cannot
STEPS, SECONDS = 400, 4.0
ENOUGH = 100  # steps after which a loss that stands still is a finding
LOOK_FOR = "look for a saturated output, a target out of the output's range, or x and y that do not belong together"
LEARNT, RIGHT = 0.1, 0.95  # of the first loss; share of right answers


class Course(Callback):
    """The loss of every step; ends the training when it has fallen to a tenth, or when the time is up."""

    def __init__(self, start: list[float]) -> None:
        self.losses = start
        self.steps = 0
        self._until = time.monotonic() + SECONDS

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        if loss is not None:
            self.losses.append(float(loss))
        self.steps = batch_idx + 1
        trainer.should_stop = fallen(self.losses) or time.monotonic() > self._until


def fallen(losses: list[float]) -> bool:
    """Whether the loss is down to a tenth of its start."""
    return bool(losses) and losses[0] - losses[-1] >= (1 - LEARNT) * abs(losses[0]) > 0


@dataclass(frozen=True)
class Try:
    """How one training on a few samples went.

    Attributes:
        right: share of right answers at its end, where the targets are classes.
        wrong: the number that was not finite, in words.
    """

    samples: int
    steps: int
    losses: list[float]
    right: float | None = None
    wrong: str = ""

    @property
    def learnt(self) -> bool:
        return not self.wrong and (fallen(self.losses) or (self.right is not None and self.right >= RIGHT))

    @property
    def told(self) -> str:
        if self.wrong:
            return f"{counted(self.samples, 'sample')}: {self.wrong}"
        right = f", {self.right:.0%} right" if self.right is not None else ""
        first, last = rounded(self.losses[0]), rounded(self.losses[-1])
        return f"{counted(self.samples, 'sample')}: loss {first} to {last} in {counted(self.steps, 'step')}{right}"


Optimizer = Callable[[list[dict[str, Any]]], torch.optim.Optimizer]


def a_few_samples_are_learnt(subject: Subject) -> Check:
    """With the configured optimizer first; if that does not do, with AdamW, and then on two samples alone.

    Dropout is off, since it works against learning by heart. Learnt: the loss falls to a tenth of its start, or 95 %
    of the answers are right.
    """
    configured = _try(subject, _samples(subject, SAMPLES))
    if configured.learnt:
        return Check(NAME, True, configured.told, "data, model, loss and the configured optimizer are connected")
    if not isinstance(subject.parts.module, Step):
        return _unlearnt(subject, [configured])
    adamw = _try(subject, _samples(subject, SAMPLES), _adamw)
    tries = [configured, adamw] if adamw.learnt else [configured, adamw, _try(subject, _samples(subject, 2), _adamw)]
    if not tries[-1].learnt:
        return _unlearnt(subject, tries)
    saw = f"{configured.told}; with AdamW {tries[-1].told}"
    if configured.wrong or configured.losses[-1] > configured.losses[0]:
        return Check(NAME, False, saw, "AdamW can, the configured optimizer only makes it worse: lower optimizer.lr")
    hint = (
        "the configured optimizer is slow: a larger optimizer.lr?"
        if adamw.learnt
        else "for more samples the model may be too small"
    )
    return Check(NAME, True, saw, f"hint: {hint}")


def _unlearnt(subject: Subject, tries: list[Try]) -> Check:
    last = tries[-1]
    saw = f"{tries[0].told}; with AdamW {last.told}" if len(tries) > 1 else last.told
    fell = bool(last.losses) and not last.wrong and last.losses[-1] < last.losses[0]
    if fell and last.steps < ENOUGH:
        raise CannotTell(f"{saw}: it falls, but {SECONDS:g} s are too short to tell")
    if fell and not subject.plain and last.losses[-1] < 0.95 * last.losses[0]:
        raise CannotTell(f"{saw}: it falls; how far the own loss of {subject.name} can fall is not known")
    blind = _is_blind(subject)
    reason = "the model's output is the same whatever its input" if blind else LOOK_FOR
    return Check(NAME, False, saw, f"even these cannot be learnt by heart: {reason}")


def _try(subject: Subject, batch: Any, optimizer: Optimizer | None = None) -> Try:
    module = subject.copy()
    _without_dropout(module)
    course = Course(_start(subject, module, batch))
    if optimizer is not None and isinstance(module, Step):
        module._optimizer = optimizer
    size = len(tensors_of(batch)[0])
    try:
        fit(subject, module, [batch], STEPS, course)
    except NotFinite as error:
        return Try(size, course.steps, course.losses, wrong=str(error).partition(";")[0])
    if not course.losses or not course.steps:
        raise CannotTell(f"{subject.name} gives no loss to Lightning: it optimizes by itself")
    last = course.losses[-1]
    return Try(
        size, course.steps, course.losses, _right(subject, module, batch), "" if math.isfinite(last) else f"loss {last}"
    )


def _start(subject: Subject, module: pl.LightningModule, batch: Any) -> list[float]:
    """The loss before the first step, where it can be had without a trainer: LBFGS tells Lightning the one after it."""
    try:
        with torch.no_grad():
            return [float(subject.loss(module.train(), batch))]
    except CannotTell:
        return []


def _adamw(groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    return torch.optim.AdamW([{**group, "weight_decay": 0.0} for group in groups], lr=3e-3)


def _without_dropout(module: nn.Module) -> None:
    for part in module.modules():
        if isinstance(part, _DropoutNd):
            part.p = 0.0
        elif layers.known(part) and isinstance(getattr(part, "dropout", None), float):
            setattr(part, "dropout", 0.0)  # noqa: B010 (recurrent layers and attention; no Module declares it)


@torch.no_grad()
def _right(subject: Subject, module: pl.LightningModule, batch: Any) -> float | None:
    """The share of right answers where outputs are scores of classes; in training mode, as they were learnt."""
    if not subject.plain:
        return None
    x, y = batch
    module.train()
    scores, target = places(module(map_tensors(x, torch.clone)), y)
    if not isinstance(target, Tensor) or target.is_floating_point() or scores.ndim != target.ndim + 1:
        return None
    return float((scores.argmax(1) == target).double().mean())


def _samples(subject: Subject, most: int) -> Any:
    """Some samples of the first batch, with different targets among them; all of a batch that is not tensors (x, y)."""
    batch = subject.batch
    if not isinstance(batch, tuple | list) or len(batch) != 2 or not isinstance(batch[1], Tensor):
        return batch
    y = batch[1]
    n = len(y)
    if any(not t.ndim or len(t) != n for t in tensors_of(batch)):
        return batch
    sequences = y.ndim >= 2 and not y.is_floating_point()
    rows = _different(y)[: min(most, SEQUENCES) if sequences else most]
    if n > 1 and bool((y[rows] == y[rows[0]]).all()):
        raise CannotTell("all targets of the first batch are the same: a constant would know them")
    return map_tensors(batch, lambda t: t[rows])


def _different(y: Tensor) -> list[int]:
    """All rows, those with a target not seen before first."""
    seen: set[bytes] = set()
    new: list[int] = []
    known: list[int] = []
    for row, target in enumerate(y):
        key = target.cpu().numpy().tobytes()
        (known if key in seen else new).append(row)
        seen.add(key)
    return new + known


def _is_blind(subject: Subject) -> bool:
    """Whether a fresh model gives every sample the same output."""
    try:
        outputs = subject.repeated(subject.copy().eval(), subject.x)
    except CannotTell:
        return False
    return bool(outputs) and all(t.ndim > 0 and bool((t == t[0]).all()) for t in outputs)
