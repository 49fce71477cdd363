"""Shapes and ranges of what the model gets."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ...observers.tensors import map_tensors, tensors_of
from .result import Check, counted, few, rounded
from .subject import Subject

NAME = "data"
SCANNED_BYTES = 2**30  # whole tensors up to here are looked through; beyond, the first batches
FAR, LARGE = 10.0, 100.0  # an input whose mean is 10 deviations from 0, or that passes 100, was never scaled


def data(subject: Subject) -> Check:
    """The first batch's shapes and ranges; that everything at hand is finite."""
    saw = "; ".join(f"{name} {_described(part)}" for name, part in _parts(subject.batches[0]))
    if wrong := [told for told in (_not_finite(subject, split) for split in ("train", "val", "test")) if told]:
        return Check(NAME, False, saw, f"{'; '.join(wrong)}: leave these samples out, or fill them in")
    hints = _hints(subject)
    return Check(NAME, True, saw, "hint: " + "; ".join(hints) if hints else "finite and in a range that trains well")


def _parts(batch: Any) -> list[tuple[str, Tensor]]:
    """The tensors of a batch with names: x and y where it is a pair of them."""
    tensors = tensors_of(batch)
    if isinstance(batch, tuple | list) and len(batch) == 2:
        xs = len(tensors_of(batch[0]))
        names = [f"x{n or ''}" for n in range(xs)] + [f"y{n or ''}" for n in range(len(tensors) - xs)]
    else:
        names = [f"tensor {n}" for n in range(len(tensors))]
    return list(zip(names, tensors, strict=True))


def _described(values: Tensor) -> str:
    kind = str(values.dtype).removeprefix("torch.")
    shape = f"{list(values.shape)} {kind}"
    if not values.numel():
        return f"{shape} empty"
    if not values.is_floating_point():
        found, counts = torch.unique(values, return_counts=True)
        spread = f"{int(counts.min())} to {int(counts.max())} of each"
        return f"{shape} {int(found[0])} to {int(found[-1])}, {counted(len(found), 'value')}, {spread}"
    good = values[torch.isfinite(values)].double()
    if not len(good):
        return f"{shape} no finite value"
    spread = f"mean {rounded(float(good.mean()))} std {rounded(float(good.std(correction=0)))}"
    return f"{shape} {rounded(float(good.min()))} to {rounded(float(good.max()))}, {spread}"


def _not_finite(subject: Subject, split: str) -> str:
    """Where a split holds NaN or Inf: sample and how many; empty if nowhere that was looked."""
    if split not in subject.parts.loaders:
        return ""
    whole = getattr(subject.parts.data, split, None)
    if isinstance(whole, tuple) and sum(t.nbytes for t in whole) <= SCANNED_BYTES:
        return _told([whole], f"of {split}")
    batches = subject.batches if split == "train" else [first(subject.parts.loaders[split])]
    return _told(batches, f"of the first {'batches' if split == 'train' else 'batch'} of {split}")


def _told(batches: list[Any], where: str) -> str:
    for batch in batches:
        for name, values in _parts(batch):
            bad = ~torch.isfinite(values)
            if bad.any():
                samples = (
                    bad.flatten(1).any(1).nonzero().flatten().tolist()
                    if bad.ndim > 1
                    else bad.nonzero().flatten().tolist()
                )
                return f"{name} {where} is NaN or Inf in sample {few([str(n) for n in samples])}"
    return ""


def first(loader: Any) -> Any:
    """The first batch of a loader, copied."""
    return map_tensors(next(iter(loader)), torch.clone)


def _hints(subject: Subject) -> list[str]:
    hints = []
    for name, values in _parts(subject.batches[0]):
        if name.startswith("x") and values.is_floating_point():
            hints += _scaling(name, values.double())
    targets = [t for batch in subject.batches for name, t in _parts(batch) if name == "y"]
    if (
        targets
        and sum(len(t) for t in targets) > 8
        and all(bool((t == targets[0].flatten()[0]).all()) for t in targets)
    ):
        hints.append("all targets seen are the same: is the training data sorted and not shuffled?")
    return hints


def _scaling(name: str, values: Tensor) -> list[str]:
    mean, std, largest = float(values.mean()), float(values.std(correction=0)), float(values.abs().max())
    if std == 0:
        return [f"{name} is {rounded(mean)} everywhere: the model can learn nothing from it"]
    if abs(mean) > FAR * std:
        return [f"{name} is far from 0 against its spread: subtract the mean, divide by the deviation"]
    return [f"{name} is as large as {rounded(largest)}: bring it to about -1 to 1"] if largest > LARGE else []
