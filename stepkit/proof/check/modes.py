"""Training and evaluation give the same output, but for the layers that are meant to differ."""

from __future__ import annotations

import pytorch_lightning as pl
import torch
from torch import Tensor

from ..replay import Randomness
from . import layers
from .result import CannotTell, Check, few, rounded
from .subject import Subject, distance, module_names, same

NAME = "train and eval mode agree"


def modes_agree(subject: Subject) -> Check:
    """Where the model's own code takes another way in training, that is told with its place."""
    module = subject.copy()
    layers.set_mode(module, training=False, layers=False)
    evaluated = subject.repeated(module, subject.x)
    subject.check_repeatable(module, subject.x)
    layers.set_mode(module, training=True, layers=False)
    subject.check_repeatable(module, subject.x)
    before = Randomness.now()
    with torch.no_grad():
        own = subject.output(module, subject.x)
    drawn = before.moved()
    before.put_back()
    layers.set_mode(module, training=True, layers=True)
    full = subject.repeated(module, subject.x)
    if not same(evaluated, own) and not drawn:
        return _fault(subject, module, evaluated, own)
    if not same(evaluated, own):
        return Check(
            NAME,
            True,
            f"they differ by {_apart(evaluated, own)}",
            "the model draws random numbers of its own in training, as a dropout does",
        )
    if not same(evaluated, full):
        return Check(
            NAME,
            True,
            f"they differ by {_apart(evaluated, full)}",
            f"because of {layers.named(module) or 'layers of torch'}, and of nothing else",
        )
    return Check(NAME, True, "the outputs are equal", "what is validated is what is trained")


def _apart(one: list[Tensor], two: list[Tensor]) -> str:
    return rounded(max(distance(a, b) for a, b in zip(one, two, strict=True)))


def _fault(subject: Subject, module: pl.LightningModule, evaluated: list[Tensor], own: list[Tensor]) -> Check:
    shapes = [[list(t.shape) for t in output] for output in (evaluated, own)]
    if shapes[0] != shapes[1]:
        raise CannotTell(f"the model gives {shapes[1]} in training and {shapes[0]} in evaluation, by its own choice")
    where = few(_culprits(subject, module, evaluated)) or subject.name
    return Check(
        NAME,
        False,
        f"they differ by {_apart(evaluated, own)}, and no dropout or normalization is the reason",
        f"{where} asks self.training and does something else: what is validated is not what is trained",
    )


def _culprits(subject: Subject, module: pl.LightningModule, evaluated: list[Tensor]) -> list[str]:
    """The parts that change the output by their own flag alone."""
    names, found = module_names(module), []
    layers.set_mode(module, training=False, layers=False)
    for part in module.modules():
        if layers.known(part):
            continue
        part.training = True
        if not same(evaluated, subject.repeated(module, subject.x)):
            found.append(names[part])
        part.training = False
    return found
