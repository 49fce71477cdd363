"""The comparison can fail: each way in which a step goes wrong is built into stepkit's side, and is seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from pytest import MonkeyPatch
from pytorch_lightning.loops.optimization.automatic import ClosureResult
from torch import Tensor, nn

from stepkit import Step, build
from stepkit.loading import plan

from .cells import ROWS, Cell
from .compare import differences
from .problems import Net
from .sides import by_hand, by_stepkit

SGD = next(row for row in ROWS if row.optimizer == "sgd")
PLAIN = Cell(SGD)


def without_zero_grad(patch: MonkeyPatch) -> None:
    patch.setattr(Step, "optimizer_zero_grad", lambda *given: None)


def without_division(patch: MonkeyPatch) -> None:
    original = ClosureResult.from_training_step_output
    patch.setattr(ClosureResult, "from_training_step_output", lambda output, normalize=1: original(output, 1))


def division_by_the_window(patch: MonkeyPatch) -> None:
    """What many loops do: the last two of six micro-batches are divided by two, not by four."""
    original = Step.training_step

    def training_step(self: Step, batch: Any, batch_idx: int) -> Tensor:
        return original(self, batch, batch_idx) * (2 if batch_idx >= 4 else 1)

    patch.setattr(Step, "training_step", training_step)


def clipping_after_the_step(patch: MonkeyPatch) -> None:
    def clip(self: Step, *given: Any) -> None:
        nn.utils.clip_grad_norm_(self.parameters(), 0.3)

    patch.setattr(Step, "configure_gradient_clipping", lambda *given, **named: None)
    patch.setattr(Step, "on_train_batch_end", clip)


def clipping_of_each_micro_batch(patch: MonkeyPatch) -> None:
    def clip(self: Step) -> None:
        nn.utils.clip_grad_norm_(self.parameters(), 0.3)

    patch.setattr(Step, "on_after_backward", clip)


def a_detached_layer(patch: MonkeyPatch) -> None:
    patch.setattr(Net, "forward", lambda self, x: self.out(self.norm(self.hidden(x)).tanh().detach()))


def batches_in_another_order(patch: MonkeyPatch) -> None:
    patch.setattr(plan, "order", lambda n, seed, epoch, shuffle: torch.arange(n))


def the_same_order_in_every_epoch(patch: MonkeyPatch) -> None:
    original = plan.order
    patch.setattr(plan, "order", lambda n, seed, epoch, shuffle: original(n, seed, 0, shuffle))


def a_parameter_kept_from_the_optimizer(patch: MonkeyPatch) -> None:
    given = "stepkit.step.parameter_groups"
    patch.setattr(given, lambda module, decay: [{"params": list(module.parameters())[:-1]}])


def a_scheduler_by_epoch(patch: MonkeyPatch) -> None:
    patch.setattr(build, "scheduler_interval", lambda composed: "epoch")


def eval_mode_left_on_by_validation(patch: MonkeyPatch) -> None:
    patch.setattr(Step, "on_train_epoch_start", lambda self: self.network.train(self.current_epoch == 0))


def a_random_number_drawn_between(patch: MonkeyPatch) -> None:
    def draw(self: Step, *given: Any) -> None:
        torch.rand(1)

    patch.setattr(Step, "on_train_batch_start", draw)


def a_loss_of_the_wrong_sign(patch: MonkeyPatch) -> None:
    original = Step.compare
    patch.setattr(Step, "compare", lambda self, output, target: -original(self, output, target))


BROKEN: dict[Callable[[MonkeyPatch], None], Cell] = {
    without_zero_grad: PLAIN,
    without_division: replace(PLAIN, accumulate=4),
    division_by_the_window: replace(PLAIN, accumulate=4),
    clipping_after_the_step: replace(PLAIN, clip="norm"),
    clipping_of_each_micro_batch: replace(PLAIN, clip="norm", accumulate=4),
    a_detached_layer: PLAIN,
    batches_in_another_order: PLAIN,
    the_same_order_in_every_epoch: PLAIN,
    a_parameter_kept_from_the_optimizer: PLAIN,
    a_scheduler_by_epoch: replace(PLAIN, scheduler="step"),
    eval_mode_left_on_by_validation: PLAIN,
    a_random_number_drawn_between: PLAIN,
    a_loss_of_the_wrong_sign: PLAIN,
}


@pytest.mark.parametrize("fault", BROKEN, ids=lambda fault: fault.__name__)
def test_a_broken_step_is_not_equal(fault: Callable[[MonkeyPatch], None], monkeypatch: MonkeyPatch) -> None:
    cell = BROKEN[fault]
    assert differences(by_stepkit(cell), by_hand(cell)) == []
    with monkeypatch.context() as patch:
        fault(patch)
        stepkit = by_stepkit(cell)
    found = differences(stepkit, by_hand(cell))
    assert any("differs by" in line for line in found), found


def test_a_learning_rate_off_by_one_in_a_million_is_seen() -> None:
    near = replace(PLAIN, row=replace(SGD, options={**SGD.options, "lr": 0.1 * (1 + 1e-6)}))
    assert any("differs by" in line for line in differences(by_stepkit(near), by_hand(PLAIN)))
