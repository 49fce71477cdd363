"""What one sample's output depends on: its own input, and no other's."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from ...observers.tensors import map_tensors, tensors_of
from . import layers
from .result import CannotTell, Check, rounded
from .subject import Subject, distance, module_names, same_randomness, scale

NAME = "samples are independent"
GRADIENT = 1e-6  # of a sample's own gradient
OUTPUT = 1e-5  # of the outputs' largest value: above what rounding leaves


def samples_are_independent(subject: Subject) -> Check:
    """In eval mode; then in training, where BatchNorm alone may look at the other samples."""
    if subject.size < 2:
        raise CannotTell("the batch holds one sample: give data.batch_size=2 or more")
    module = subject.copy()
    layers.set_mode(module, training=False, layers=False)
    subject.check_repeatable(module, subject.x)
    if told := _reached(subject, module):
        return Check(NAME, False, f"in eval mode {told}", _where(subject, module))
    layers.set_mode(module, training=True, layers=False)
    if told := _reached(subject, module):
        means = f"{_where(subject, module)}; it is no BatchNorm layer, which would be meant so"
        return Check(NAME, False, f"in training {told}", means)
    for part in module.modules():
        part.training = True if layers.mixes(part) else part.training
    mixing = [type(part).__name__ for part in module.modules() if layers.mixes(part)]
    if mixing and _reached(subject, module):
        means = f"each sample is judged alone; in training {mixing[0]} looks at the whole batch, as it is meant to"
        return Check(NAME, True, "no other sample's input reaches an output", means)
    return Check(NAME, True, "no other sample's input reaches an output", "each sample is judged alone")


def _reached(subject: Subject, module: pl.LightningModule) -> str:
    """How another sample reaches the first one's or the last one's output; empty if none does."""
    return next(
        (
            told
            for i in (0, subject.size - 1)
            if (told := _by_gradient(subject, module, i) or _by_exchange(subject, module, i))
        ),
        "",
    )


def _by_gradient(subject: Subject, module: pl.LightningModule, i: int) -> str:
    """The gradient of sample i's output, projected at random (a softmax's sum would be constant)."""
    x = map_tensors(subject.x, lambda t: t.requires_grad_() if t.is_floating_point() else t)
    inputs = [t for t in tensors_of(x) if t.requires_grad]
    with torch.enable_grad(), same_randomness():
        rows = [t[i] for t in _per_sample(subject.output(module, x), subject.size) if t.requires_grad]
        if not inputs or not rows:
            return ""
        draw = torch.Generator().manual_seed(0)
        total = sum((row * torch.randn(row.shape, generator=draw).to(row)).sum() for row in rows)
        gradients = torch.autograd.grad(total, inputs, allow_unused=True)  # type: ignore[arg-type]
    for gradient in gradients:
        if gradient is None or len(gradient) != subject.size:
            continue
        strength = gradient.abs().flatten(1).amax(1)  # [N]
        own, others = float(strength[i]), strength.clone()
        others[i] = 0
        if float(others.max()) > GRADIENT * own:
            j = int(others.argmax())
            there = f"{rounded(float(others[j]))} at sample {j}, {rounded(own)} at its own input"
            return f"the gradient of sample {i}'s output is {there}"
    return ""


def _by_exchange(subject: Subject, module: pl.LightningModule, i: int) -> str:
    """The same for inputs without a gradient, as tokens, and ways that a gradient does not take, as a detached mean."""
    before, after = (
        _per_sample(subject.repeated(module, x), subject.size) for x in (subject.x, _exchanged(subject, i))
    )
    for one, two in zip(before, after, strict=False):
        moved = distance(one[i], two[i])
        if moved > OUTPUT * scale(one):
            return f"sample {i}'s output moves by {rounded(moved)} when only other samples' inputs change"
    return ""


def _exchanged(subject: Subject, i: int) -> Any:
    """The batch with every sample but i replaced by one and the same other: means, ranks and sums all change."""
    n = subject.size
    rows = torch.full((n,), (i + 1) % n)
    rows[i] = i
    return map_tensors(subject.x, lambda t: t[rows] if t.ndim and len(t) == n else t)


def _per_sample(outputs: list[Tensor], n: int) -> list[Tensor]:
    found = [t for t in outputs if t.ndim and len(t) == n]
    if not found:
        raise CannotTell(f"the output has no row for each of the {n} samples")
    return found


def _where(subject: Subject, module: pl.LightningModule) -> str:
    """The innermost part whose input rows are untouched and whose output is not."""
    seen: dict[nn.Module, list[tuple[list[Tensor], list[Tensor]]]] = {}

    def note(part: nn.Module, inputs: Any, output: Any) -> None:
        seen.setdefault(part, []).append(
            ([t.clone() for t in tensors_of(inputs)], [t.clone() for t in tensors_of(output)])
        )

    hooks = [part.register_forward_hook(note) for part in module.modules()]
    try:
        for x in (subject.x, _exchanged(subject, 0)):
            subject.repeated(module, x)
    finally:
        for hook in hooks:
            hook.remove()
    names = module_names(module)
    parts = (
        part for part, calls in seen.items() if len(calls) == 2 and _mixed_inside(calls[0], calls[1], subject.size)
    )
    place = next((names[part] for part in parts), "the model")
    return f"{place} mixes the samples of a batch: look for an operation over dim 0 (mean(0), softmax(0), a reshape)"


def _mixed_inside(one: tuple[list[Tensor], list[Tensor]], two: tuple[list[Tensor], list[Tensor]], n: int) -> bool:
    def moved(before: list[Tensor], after: list[Tensor]) -> bool:
        pairs = ((a, b) for a, b in zip(before, after, strict=False) if a.shape == b.shape and a.ndim and len(a) == n)
        return any(distance(a[0], b[0]) > OUTPUT * scale(a) for a, b in pairs)

    return not moved(one[0], two[0]) and moved(one[1], two[1])
