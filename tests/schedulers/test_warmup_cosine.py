"""WarmupCosine follows its formula, resumes, and refuses what is out of range."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from stepkit.schedulers.warmup_cosine import WarmupCosine


def rates(steps: int, lr: float = 0.5, **options: Any) -> list[float]:
    """The learning rates of the first steps."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=lr)
    scheduler = WarmupCosine(optimizer, **options)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


@given(total=st.integers(1, 60), share=st.floats(0, 1), least=st.floats(0, 1))
def test_warmup_cosine_follows_its_formula(total: int, share: float, least: float) -> None:
    warmup = int(share * total)
    wanted = [0.5 * (t + 1) / (warmup + 1) for t in range(warmup)]
    for t in range(total - warmup):
        angle = math.pi * t / (total - warmup)
        wanted.append(0.5 * (least + (1 - least) * (1 + math.cos(angle)) / 2))
    wanted += [0.5 * least] * 3
    assert rates(total + 3, total_steps=total, warmup_steps=warmup, min_lr_factor=least) == pytest.approx(wanted)


def test_warmup_cosine_warms_up_a_twentieth_of_the_training_unless_told() -> None:
    found = rates(100, total_steps=100)
    assert found.index(max(found)) == 5
    assert min(found) > 0


def test_warmup_cosine_goes_on_from_its_state() -> None:
    def made() -> tuple[torch.optim.Optimizer, WarmupCosine]:
        optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.5)
        return optimizer, WarmupCosine(optimizer, total_steps=10, warmup_steps=3)

    optimizer, scheduler = made()
    for _ in range(4):
        optimizer.step()
        scheduler.step()
    again, resumed = made()
    again.load_state_dict(optimizer.state_dict())
    resumed.load_state_dict(scheduler.state_dict())
    for _ in range(4):
        for each in (optimizer, scheduler, again, resumed):
            each.step()
        assert again.param_groups[0]["lr"] == optimizer.param_groups[0]["lr"]


@pytest.mark.parametrize(
    "options",
    [{"total_steps": 0}, {"warmup_steps": 11}, {"warmup_steps": -1}, {"warmup_fraction": 1.5}, {"min_lr_factor": -0.1}],
)
def test_warmup_cosine_names_a_value_out_of_range(options: dict[str, Any]) -> None:
    ((name, value),) = options.items()
    with pytest.raises(ValueError, match=f"{name}={value}"):
        rates(1, **{"total_steps": 10, **options})
