"""What is looked at every n-th step, against plain loops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from .checks import rough, sgd
from .runs import Batches, Read, fit, network, step


def test_the_noise_scale_is_that_of_the_micro_batches(tmp_path: Path) -> None:
    """Computed anew from each micro-batch's own gradient, by a plain loop."""
    batches = Batches(8)
    fit(tmp_path, step(network(), lambda g: torch.optim.SGD(g, lr=1e-30)), batches, accumulate_grad_batches=4)
    model, squares, own = network(), [], []
    for x, y in batches.made[:4]:
        found = torch.autograd.grad(nn.functional.cross_entropy(model(x), y), list(model.parameters()))
        own.append(torch.cat([g.flatten() for g in found]))
        squares.append(float(own[-1].double().square().sum()))
    small, large = float(np.mean(squares)), float(torch.stack(own).mean(dim=0).double().square().sum())
    signal, noise = (32 * large - 8 * small) / 24, (small - large) / (1 / 8 - 1 / 32)
    assert Read(tmp_path).scalars("gradient/noise_scale")[1] == rough(noise / signal, 1e-3)


def test_no_noise_scale_from_micro_batches_of_unequal_size(tmp_path: Path) -> None:
    batches = Batches(4)
    batches.made[1] = tuple(part[:3] for part in batches.made[1])  # type: ignore[assignment]
    fit(tmp_path, step(network(), sgd), batches, accumulate_grad_batches=2)
    assert list(Read(tmp_path).scalars("gradient/noise_scale")) == [2]


def test_activations_a_layer(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = network()
    with torch.no_grad():
        model[0].bias[:2] = -1e3  # type: ignore[index]
    fit(tmp_path, step(model, lambda g: torch.optim.SGD(g, lr=1e-30)), batches := Batches(1))
    x = batches.made[0][0]
    dead = float((model[:2](x) == 0).all(dim=0).double().mean())  # type: ignore[index]
    saturated = float((model[:4](x).abs() > 0.98).double().mean())  # type: ignore[index]
    read = Read(tmp_path)
    assert dead >= 0.4
    assert read.scalars("activation/dead") == {1: rough(dead)}
    assert read.scalars("activation/saturated") == {1: rough(saturated)}
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in model.modules())
