"""What is checked: the built experiment, its first batches, and copies of its module to work on."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from ...build import Parts, build_data, build_loaders, build_module
from ...config.hydra import Composed
from ...observers.tensors import map_tensors, tensors_of
from ...step import Step
from ..replay import Randomness
from .result import CannotTell

SAMPLES, BATCHES = 64, 16  # enough to judge a loss by, whatever the batch size


class Subject:
    """The experiment under check. Its own module is never run: every check works on a copy.

    Attributes:
        batches: the first training batches, together at least 64 samples where there are so many.
    """

    def __init__(self, composed: Composed, parts: Parts) -> None:
        self.composed, self.parts = composed, parts
        self.batches = first_batches(parts.loaders["train"])

    @property
    def name(self) -> str:
        """The model's class."""
        module = self.parts.module
        return type(module.network if type(module) is Step else module).__name__

    @property
    def plain(self) -> bool:
        """Whether the loss of a batch (x, y) is loss(model(x), y), as in a Step that overrides nothing."""
        module = self.parts.module
        return isinstance(module, Step) and type(module).training_step is Step.training_step

    @cached_property
    def finite(self) -> bool:
        """Whether the first batches hold numbers only."""
        return all(bool(torch.isfinite(t).all()) for batch in self.batches for t in tensors_of(batch))

    def check_finite(self) -> None:
        """Raises CannotTell where the first batches' numbers would spoil every answer."""
        if not self.finite:
            raise CannotTell("the first batches hold numbers that are not finite; see 'data'")

    @property
    def batch(self) -> Any:
        """The first batch, a copy. Raises CannotTell where it is not finite."""
        self.check_finite()
        return map_tensors(self.batches[0], torch.clone)

    @property
    def x(self) -> Any:
        """The inputs of the first batch. Raises CannotTell for a batch that is not (x, y)."""
        batch = self.batch
        if not isinstance(batch, tuple | list) or len(batch) != 2:
            raise CannotTell(f"a batch is a {type(batch).__name__} of the model's own, not (x, y)")
        return batch[0]

    @property
    def size(self) -> int:
        """Samples in the first batch."""
        return len(tensors_of(self.batches[0])[0])

    def copy(self) -> pl.LightningModule:
        """The module as it was built, to do anything with."""
        try:
            return copy.deepcopy(self.parts.module)
        except RuntimeError:  # a module that holds a tensor of a graph, as the old weight_norm does, cannot be copied
            return self.built_again()

    def built_again(self, shift: int = 0) -> pl.LightningModule:
        """The module built anew from the config, with the run's seed or one beside it."""
        pl.seed_everything(int(self.composed.cfg.seed) + shift, verbose=False)
        return build_module(self.composed)

    def data_again(self) -> Iterable[Any]:
        """The training loader built anew, data and all."""
        data, settings = build_data(self.composed)
        return build_loaders(data, settings, int(self.composed.cfg.seed))["train"]

    def output(self, module: pl.LightningModule, x: Any) -> list[Tensor]:
        """All tensors that the model gives for x, in order. Raises CannotTell for a foreign `forward` of other kind."""
        try:
            given = module(map_tensors(x, torch.clone))  # the model may work in place
        except Exception as error:
            if self.plain:
                raise
            raise CannotTell(f"forward of {self.name} does not take x alone ({first_line(error)})") from error
        return [t for t in tensors_of(given) if t.is_floating_point()]

    def loss(self, module: pl.LightningModule, batch: Any) -> Tensor:
        """What `training_step` gives for a batch. Raises CannotTell for one that needs a trainer."""
        try:
            given = module.training_step(map_tensors(batch, torch.clone), 0)
        except Exception as error:
            if isinstance(module, Step):
                raise
            raise CannotTell(f"training_step of {self.name} needs its trainer ({first_line(error)})") from error
        loss = given.get("loss") if isinstance(given, dict) else given
        if not isinstance(loss, Tensor):
            raise CannotTell(f"{self.name} gives no loss to Lightning: it optimizes by itself")
        return loss

    def check_repeatable(self, module: pl.LightningModule, x: Any) -> None:
        """Raises CannotTell if the same call with the same random state gives two answers: nothing can be compared."""
        one, two = (self.repeated(module, x) for _ in range(2))
        if not same(one, two):
            raise CannotTell("two identical calls of the model give different outputs; see 'same seed, same loss'")

    @torch.no_grad()
    def repeated(self, module: pl.LightningModule, x: Any) -> list[Tensor]:
        """The output, from the same random state each time."""
        with same_randomness():
            return self.output(module, x)


def first_batches(loader: Iterable[Any]) -> list[Any]:
    """The first batches of a loader, copied, until they hold 64 samples."""
    batches: list[Any] = []
    seen = 0
    for batch in loader:
        batches.append(map_tensors(batch, torch.clone))
        seen += len(tensors_of(batch)[0])
        if seen >= SAMPLES or len(batches) == BATCHES:
            break
    return batches


@contextmanager
def same_randomness() -> Any:
    """Whatever is drawn inside is drawn again the next time."""
    before = Randomness.now()
    try:
        yield
    finally:
        before.put_back()


def same(one: list[Tensor], two: list[Tensor], tolerance: float = 1e-4) -> bool:
    """Whether two outputs agree, up to rounding: within `tolerance` of the largest value."""
    return len(one) == len(two) and all(
        a.shape == b.shape and distance(a, b) <= tolerance * scale(a) for a, b in zip(one, two, strict=True)
    )


def distance(one: Tensor, two: Tensor) -> float:
    """The largest difference; infinite where only one of them is a number."""
    difference = (one.detach().double() - two.detach().double()).abs()
    return float(torch.where(one == two, 0.0, difference).nan_to_num(nan=torch.inf).max()) if one.numel() else 0.0


def scale(values: Tensor) -> float:
    """The largest absolute value."""
    return float(values.detach().abs().max()) if values.numel() else 0.0


def first_line(error: BaseException) -> str:
    """An exception in one line."""
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0]}" if text else type(error).__name__


def module_names(module: nn.Module) -> dict[nn.Module, str]:
    """Each part by its name, as a user wrote it: without the Step around a plain model."""
    return {
        part: f"{name.removeprefix('network.')} ({type(part).__name__})" if name not in ("", "network") else "forward"
        for name, part in module.named_modules()
    }
