"""Watching never changes a bit: what is trained with every observer at each step equals what is trained unwatched."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from .runs import ALL, Batches, fit, network, step, values

OPTIMIZERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "sgd": lambda groups: torch.optim.SGD(groups, lr=0.1, momentum=0.9, weight_decay=1e-3),
    "adam": lambda groups: torch.optim.Adam(groups, lr=1e-2),
    "adamw_fused": lambda groups: torch.optim.AdamW(groups, lr=1e-2, fused=True),
    "rprop": lambda groups: torch.optim.Rprop(groups, lr=1e-2),
    "lbfgs": lambda groups: torch.optim.LBFGS([*groups], lr=0.01),
}


def model() -> nn.Module:
    """With dropout, which draws from the global random state, and a running mean."""
    torch.manual_seed(0)
    return nn.Sequential(network(), nn.Dropout(0.3), nn.BatchNorm1d(3))


def numpy_state() -> list[int]:
    state: Any = np.random.get_state(legacy=True)
    return list(state[1])


@pytest.mark.parametrize("clip", [None, "norm", "value"])
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "bf16-true"])
@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_parameters_and_random_state_are_the_same_bits(
    tmp_path: Path, optimizer: str, accumulate: int, precision: str, clip: str | None
) -> None:
    if optimizer == "lbfgs" and accumulate > 1:
        pytest.skip("Lightning does not accumulate for LBFGS rightly, and stepkit refuses it")
    clipping: dict[str, Any] = {} if clip is None else {"gradient_clip_val": 0.1, "gradient_clip_algorithm": clip}
    trained: list[dict[str, Any]] = []
    states: list[tuple[Any, ...]] = []
    for observe in (ALL, None):
        module, batches = step(model(), OPTIMIZERS[optimizer]), Batches(20 * accumulate)
        untrained = values(module)
        torch.manual_seed(2)
        folder = tmp_path / str(observe is None)
        fit(folder, module, batches, observe, precision=precision, accumulate_grad_batches=accumulate, **clipping)
        assert any(not torch.equal(v.to(untrained[n]), untrained[n]) for n, v in values(module).items())
        trained.append(module.state_dict())
        states.append((torch.get_rng_state().tolist(), random.getstate(), numpy_state()))
    watched, plain = trained
    assert all(torch.equal(watched[name], plain[name]) for name in plain)
    assert states[0] == states[1]


def test_the_comparison_sees_a_small_change(tmp_path: Path) -> None:
    module, other = (step(model(), OPTIMIZERS["adam"]) for _ in range(2))
    for number, each in enumerate((module, other)):
        torch.manual_seed(2)
        batches = Batches(20)
        if number:
            batches.made[3][0].mul_(1.0001)
        fit(tmp_path / str(number), each, batches)
    assert not all(torch.equal(a, b) for a, b in zip(values(module).values(), values(other).values(), strict=True))
