"""What guessing gives: no constant answer does better, and one reaches it."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from stepkit.observers.chance import Chance


def guessed(loss: nn.Module, start: Tensor, target: Tensor) -> float:
    """The loss of the best constant answer, by optimization."""
    answer = start.double().requires_grad_()
    optimizer = torch.optim.LBFGS([answer], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        value: Tensor = loss(answer.expand(len(target), *answer.shape), target)
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return float(closure().detach())


def chance(loss: nn.Module, target: Tensor, size: int = 7) -> float | None:
    gathered = Chance(loss)
    for batch in target.split(size):
        gathered.add(batch)
    return gathered.value


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=2, max_size=40))
def test_of_classes_it_is_the_best_constant_scores_loss(classes: list[int]) -> None:
    target, loss = torch.tensor(classes), nn.CrossEntropyLoss()
    assert chance(loss, target) == pytest.approx(guessed(loss, torch.zeros(5), target), abs=1e-3)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.floats(-9, 9), st.floats(-9, 9)), min_size=2, max_size=40))
def test_of_numbers_it_is_the_best_constant_numbers_loss(rows: list[tuple[float, float]]) -> None:
    target, loss = torch.tensor(rows, dtype=torch.float64), nn.MSELoss()
    assert chance(loss, target) == pytest.approx(guessed(loss, torch.zeros(2), target), abs=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=40))
def test_of_yes_or_no_it_is_the_best_constant_scores_loss(rows: list[tuple[bool, bool]]) -> None:
    target, loss = torch.tensor(rows).double(), nn.BCEWithLogitsLoss()
    assert chance(loss, target) == pytest.approx(guessed(loss, torch.zeros(2), target), abs=1e-3)


def test_tokens_count_each_and_ignored_ones_do_not() -> None:
    target = torch.tensor([[0, 1, -100], [1, 0, -100]])
    assert chance(nn.CrossEntropyLoss(), target) == pytest.approx(math.log(2))


@pytest.mark.parametrize(
    "loss",
    [
        nn.L1Loss(),
        nn.CrossEntropyLoss(label_smoothing=0.1),
        nn.CrossEntropyLoss(weight=torch.ones(2)),
        nn.MSELoss(reduction="sum"),
        torch.nn.functional.mse_loss,
        None,
    ],
)
def test_of_another_loss_it_is_not_known(loss: object) -> None:
    gathered = Chance(loss)
    gathered.add(torch.tensor([0, 1]))
    assert gathered.value is None


def test_targets_that_tell_nothing_have_no_chance() -> None:
    assert chance(nn.CrossEntropyLoss(), torch.tensor([-100, -100])) is None
    assert chance(nn.CrossEntropyLoss(), torch.rand(4, 3)) is None
    assert Chance(nn.MSELoss()).value is None
