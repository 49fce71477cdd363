"""Where loops differ, which rule holds: each with the numbers of both.

One weight w, from 0, under a loss whose gradient is the mean of the batch's x: plain SGD with lr=1 then shows every
gradient as it was used.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from stepkit import DataSpec, plugins
from stepkit.errors import Unsupported

from . import hand
from .problems import SEED
from .sides import fit


class Weight(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Any:
        return x * self.w


class MeanOutput(nn.Module):
    """The loss is the mean of the outputs: its gradient by w is the mean of x."""

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        return output.mean()


class Numbers:
    """The numbers x [N, 1]; there is nothing to validate."""

    spec = DataSpec("regression", in_features=1, out_features=1)

    def __init__(self, x: list[float]) -> None:
        self.x = torch.tensor(x)[:, None]

    def setup(self, seed: int, fold: int | None = None, folds: int | None = None) -> None:
        self.train = (self.x, torch.zeros_like(self.x))


def train(x: list[float], *overrides: str) -> tuple[float, int]:
    """(w after one epoch, optimizer steps), from stepkit's run; a batch is one sample unless said otherwise."""
    parts = {"model": Weight, "data": Numbers, "loss": MeanOutput}
    typed = [f"{group}={plugins.hand_over(group, part)}" for group, part in parts.items()]
    typed += [f"data.x={x}", "data.batch_size=1", "optimizer=sgd", "optimizer.lr=1.0", "trainer.max_epochs=1"]
    built, trainer = fit(["experiment=null", *typed, "logger=null", *overrides])
    network: Any = built.module.network
    return network.w.item(), int(trainer.global_step)


def test_each_micro_batch_s_loss_is_divided_by_k_also_in_the_incomplete_window() -> None:
    w, steps = train([1.0] * 6, "step.accumulate=4")
    assert (w, steps) == (-(4 / 4) - (2 / 4), 2)
    divided_by_the_window_s_own_size = -(4 / 4) - (2 / 2)
    assert w != divided_by_the_window_s_own_size


def test_an_incomplete_window_is_a_step_of_its_own_and_no_window_crosses_an_epoch() -> None:
    w, steps = train([1.0] * 6, "step.accumulate=4", "trainer.max_epochs=2")
    assert (w, steps) == (2 * -1.5, 4)
    windows_across_epochs = -(12 / 4), 3
    assert (w, steps) != windows_across_epochs


def test_micro_batches_count_alike_whatever_their_size() -> None:
    x = [1.0, 2.0, 6.0]
    w, _ = train(x, "step.accumulate=2", "data.batch_size=2")
    tensor = torch.tensor(x)
    means = [float(batch.mean()) for batch, _ in hand.shuffled(tensor, tensor, 2, SEED, epoch=0)]
    assert w == -sum(means) / 2
    mean_over_samples = -sum(x) / 3
    assert w != pytest.approx(mean_over_samples, abs=0.1)


def test_clipping_happens_once_on_the_accumulated_gradient_before_the_step() -> None:
    x = [8.0, -2.0, -2.0, -2.0]  # over four: 2 - 0.5 - 0.5 - 0.5 = 0.5, which is below the largest norm of 1
    for by in ("norm", "value"):
        w, steps = train(x, "step.accumulate=4", "step.clip=1.0", f"step.clip_by={by}")
        assert (w, steps) == (-0.5, 1)
    each_micro_batch_clipped = -(1 - 0.5 - 0.5 - 0.5)
    assert w != each_micro_batch_clipped  # it even points the other way


def test_a_clipped_gradient_is_what_the_step_uses() -> None:
    w, _ = train([8.0], "step.clip=0.5")
    assert w == pytest.approx(-0.5, rel=1e-6)  # torch divides by norm + 1e-6
    clipped_after_the_step = -8.0
    assert w != clipped_after_the_step


def test_a_scheduler_by_step_counts_optimizer_steps_not_micro_batches() -> None:
    halving = ("scheduler=exponential", "scheduler.gamma=0.5", "step.scheduler_interval=step")
    w, _ = train([1.0] * 8, "step.accumulate=4", *halving)
    assert w == -1.0 - 0.5
    once_a_micro_batch = -1.0 * 0.5**3 - 0.5**7  # the rate has fallen three times before the first step
    assert w != once_a_micro_batch


def test_a_scheduler_by_epoch_steps_at_the_epoch_s_end() -> None:
    halving = ("scheduler=exponential", "scheduler.gamma=0.5", "step.scheduler_interval=epoch")
    w, _ = train([1.0] * 2, *halving, "trainer.max_epochs=2")
    assert w == 2 * -1.0 + 2 * -0.5


def test_total_steps_of_a_scheduler_are_optimizer_steps_the_incomplete_ones_included() -> None:
    _, steps = train([1.0] * 6, "step.accumulate=4", "trainer.max_epochs=3")
    w, _ = train([1.0] * 6, "step.accumulate=4", "trainer.max_epochs=3", "scheduler=polynomial",
                 "scheduler.total_iters=6", "step.scheduler_interval=step")  # fmt: skip
    assert steps == 6
    gradients, rates = [1.0, 0.5] * 3, [1 - t / 6 for t in range(6)]
    assert w == pytest.approx(-sum(g * rate for g, rate in zip(gradients, rates, strict=True)), rel=1e-6)


def test_an_optimizer_that_needs_a_closure_is_refused_with_accumulation() -> None:
    with pytest.raises(Unsupported, match=r"^step\.accumulate=2: LBFGS evaluates the loss several times a step"):
        train([1.0] * 6, "optimizer=lbfgs", "step.accumulate=2")
    assert train([1.0] * 6, "optimizer=lbfgs")[1] == 6
