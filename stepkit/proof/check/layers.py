"""Layers that are meant to behave differently in training: torch's own, and what is derived from dropout and norms."""

from __future__ import annotations

from collections import Counter
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase
from torch.nn.modules.dropout import _DropoutNd


def set_mode(module: nn.Module, training: bool, *, layers: bool) -> None:
    """The model's own code in one mode, the layers that know what they do in another."""
    for part in module.modules():
        part.training = layers if known(part) else training


def known(part: nn.Module) -> bool:
    """Whether a part is torch's own, which does right by definition."""
    return type(part).__module__.startswith("torch.nn.") or isinstance(part, _NormBase | _DropoutNd)


def named(module: nn.Module) -> str:
    """`2 Dropout, 1 BatchNorm1d`: what behaves differently in training."""
    counts = Counter(type(part).__name__ for part in module.modules() if differs(part))
    return ", ".join(f"{number} {name}" for name, number in counts.items())


def differs(part: nn.Module) -> bool:
    """Whether a known layer gives something else in training."""
    if isinstance(part, _DropoutNd):
        return part.p > 0
    dropout: Any = getattr(part, "dropout", 0)
    return isinstance(part, _NormBase | nn.RReLU) or (known(part) and isinstance(dropout, float) and dropout > 0)


def mixes(part: nn.Module) -> bool:
    """Whether a layer is meant to look at all samples of a batch in training."""
    return isinstance(part, _BatchNorm)
