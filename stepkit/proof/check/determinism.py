"""The same seed gives the same start."""

from __future__ import annotations

from collections.abc import Sequence

import pytorch_lightning as pl
import torch
from torch import Tensor

from ...observers.tensors import map_tensors, tensors_of
from .data import first
from .result import Check, few
from .subject import Subject

NAME = "same seed, same loss"


def same_seed_same_loss(subject: Subject) -> Check:
    """Data, model and first loss built twice from the config are equal to the last bit."""
    subject.check_finite()
    seed = int(subject.composed.cfg.seed)
    pl.seed_everything(seed, verbose=False)
    one = first(subject.parts.loaders["train"])
    pl.seed_everything(seed, verbose=False)
    two = first(subject.data_again())
    if not _equal(tensors_of(one), tensors_of(two)):
        return Check(
            NAME,
            False,
            "the first batch differs when the data is built again",
            "the data draws from a source of random numbers that no seed sets: use the seed it is given, or torch's",
        )
    modules = [subject.built_again() for _ in range(2)]
    weights = [dict(module.state_dict()) for module in modules]
    if different := [name for name, value in weights[0].items() if not _equal([value], [weights[1].get(name)])]:
        names = few([name.removeprefix("network.") for name in different])
        return Check(NAME, False, f"{names} differ when the model is built again", _unseeded(subject))
    losses = [_loss(subject, module, two) for module in modules]
    if losses[0] != losses[1]:
        return Check(NAME, False, f"first loss {losses[0]:.9g}, then {losses[1]:.9g}", _unseeded(subject))
    return Check(NAME, True, f"first loss {losses[0]:.9g}, twice", "the run can be repeated")


def _unseeded(subject: Subject) -> str:
    return (
        f"{subject.name} draws from a source of random numbers that no seed sets: use torch's, or register a seeded one"
    )


def _loss(subject: Subject, module: pl.LightningModule, batch: object) -> float:
    pl.seed_everything(int(subject.composed.cfg.seed), verbose=False)
    with torch.no_grad():
        return float(subject.loss(module.train(), map_tensors(batch, torch.clone)))


def _equal(one: Sequence[Tensor], two: Sequence[Tensor | None]) -> bool:
    return len(one) == len(two) and all(
        isinstance(b, Tensor) and a.shape == b.shape and a.dtype == b.dtype and bool(torch.equal(a, b))
        for a, b in zip(one, two, strict=True)
    )
