"""Parameters in the order in which they run, and the few layers under which a person sees them."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from stepkit.observers.layers import ABSENT, MOST, ForwardOrder, by_layer, layers, owner


class Backwards(nn.Module):
    """Declared in another order than run; one part never runs."""

    def __init__(self) -> None:
        super().__init__()
        self.last, self.never, self.first = nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2)
        self.first.bias.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.first(x))  # type: ignore[no-any-return]


def test_parameters_are_named_in_forward_order_and_the_hooks_are_gone() -> None:
    model = Backwards()
    order = ForwardOrder(model)
    model(torch.zeros(1, 2))
    order.stop()
    names = [name for name, _ in order.parameters()]
    assert names == ["first.weight", "last.weight", "last.bias", "never.weight", "never.bias"]
    assert not any(part._forward_pre_hooks for part in model.modules())


def test_a_parameter_is_shown_under_its_module_without_the_wrapper() -> None:
    assert layers(["network.a.weight", "network.a.bias", "network.b.0.weight", "scale"]) == ["a", "a", "b.0", "scale"]


def test_with_too_many_modules_names_are_cut_where_there_are_few_enough() -> None:
    names = [f"blocks.{n}.{part}.weight" for n in range(12) for part in ("norm", "mlp")] + ["head.weight"]
    assert layers(names) == [f"blocks.{n}" for n in range(12) for _ in range(2)] + ["head"]
    assert layers([f"{n}.weight" for n in range(MOST + 1)]) == ["all"] * (MOST + 1)


@given(
    st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map(".".join), max_size=40), st.integers(1, 30)
)
def test_never_more_than_asked_and_parameters_of_one_module_stay_together(names: list[str], most: int) -> None:
    shown = layers(names, most)
    assert len(shown) == len(names) and len(set(shown)) <= most
    for name, layer in zip(names, shown, strict=True):
        assert layer == "all" or (owner(name) or name).startswith(layer)


def test_the_norm_of_a_layer_is_that_of_its_parameters_as_one_vector() -> None:
    norms = torch.tensor([[3.0, 4.0, 5.0, ABSENT], [1.0, ABSENT, math.nan, ABSENT], [math.inf, 1.0, 1e30, ABSENT]])
    order, table = by_layer(norms, ["a", "a", "b", "c"])
    assert order == ["a", "b", "c"]
    assert table.tolist() == [
        [5, 5, 0],
        [1, pytest.approx(math.nan, nan_ok=True), 0],
        [math.inf, pytest.approx(1e30), 0],
    ]
