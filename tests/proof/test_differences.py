"""Finite differences find wrong gradients, and do not take kinks for them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from stepkit.proof.differences import compare
from stepkit.proof.verdict import DIFFERENCE

SMOOTH: dict[str, Callable[[Tensor], Tensor]] = {
    "cubic": lambda x: (x**3).sum(),
    "sine": lambda x: torch.sin(5 * x).sum(),
    "softmax": lambda x: -torch.log_softmax(3 * x, dim=0)[0],
    "large": lambda x: 1e4 * (x**2).sum() + 1e6,
    "flat": lambda x: (0 * x).sum(),
    "curved where it is flat": lambda x: 1e3 * ((x - x.detach().round()) ** 2).sum(),
}


def leaf(values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


@given(st.lists(st.floats(-2, 2), min_size=2, max_size=6), st.sampled_from(sorted(SMOOTH)))
def test_a_right_gradient_of_a_smooth_loss_agrees(values: list[float], name: str) -> None:
    x = leaf([v if abs(v - round(v)) < 0.4 else round(v) + 0.1 for v in values])
    before = x.detach().clone()
    found = compare(lambda: SMOOTH[name](x), [("x", x)], places=4)
    assert all(not d.kink and d.error < DIFFERENCE for d in found)
    assert torch.equal(x.detach(), before)
    assert [d.name for d in found] == ["x"] * 4 + ["all, along a random direction"]


class Off(torch.autograd.Function):
    """sin x, whose gradient is off by a factor."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.factor = factor
        return torch.sin(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        return grads[0] * torch.cos(ctx.saved_tensors[0]) * ctx.factor, None


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=4), st.sampled_from([-1.0, 0.0, 0.999, 1.001, 2.0, 1e6]))
def test_a_wrong_gradient_is_an_error_and_never_a_kink(values: list[float], factor: float) -> None:
    x = leaf(values)
    found = compare(lambda: Off.apply(x, factor).sum(), [("x", x)])  # type: ignore[no-untyped-call]
    assert all(not d.kink and d.error > DIFFERENCE for d in found if d.place)


@pytest.mark.parametrize("value", [0.0, 1e-9])
def test_a_kink_is_told_as_one(value: float) -> None:
    x = leaf([value])
    (place, direction) = compare(lambda: x.abs().sum(), [("x", x)], places=1)
    assert place.kink and math.isnan(place.error) and direction.kink


@given(st.floats(-7, 0), st.sampled_from([-1.0, 1.0]))
def test_a_kink_at_some_distance_does_not_disturb(exponent: float, sign: float) -> None:
    x = leaf([sign * 10**exponent])
    (place, _) = compare(lambda: torch.relu(x).sum() + x.sum(), [("x", x)], places=1)
    assert place.kink or place.error < DIFFERENCE
    assert not place.kink or exponent < -5  # the smaller steps do not reach it


def test_a_parameter_that_the_loss_does_not_use_has_no_slope() -> None:
    x, unused, empty = leaf([0.5]), leaf([0.5]), leaf([])
    found = compare(lambda: (x**2).sum(), [("x", x), ("unused", unused), ("empty", empty)], places=8)
    assert {d.name for d in found[:-1]} == {"x", "unused"}
    assert all(d.by_autograd == d.by_difference == d.error == 0.0 for d in found if d.name == "unused")


def test_places_are_spread_over_the_parameters() -> None:
    parameters = [(str(n), torch.rand(3, 4, dtype=torch.float64).requires_grad_()) for n in range(5)]
    found = compare(lambda: torch.stack([p.exp().sum() for _, p in parameters]).sum(), parameters, places=10)
    assert sorted(d.name for d in found[:-1]) == sorted(str(n) for n in range(5) for _ in range(2))
    assert all(0 <= d.place[0] < 3 and 0 <= d.place[1] < 4 for d in found[:-1])
