"""Each measure equals a slow loop over Python numbers, for any shapes, kinds of numbers, zeros, infinities and NaN."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from stepkit.observers import measures

SHAPES = [(), (0,), (1,), (5,), (2, 3), (3, 0), (2, 2, 2)]
KINDS = [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64]


@st.composite
def tensors(draw: st.DrawFn, *, finite: bool = False) -> list[Tensor]:
    """One to five tensors of numbers that every kind of float holds."""
    number = st.one_of(st.just(0.0), st.floats(width=16, allow_nan=not finite, allow_infinity=not finite))
    made = []
    for _ in range(draw(st.integers(1, 5))):
        shape, kind = draw(st.sampled_from(SHAPES)), draw(st.sampled_from(KINDS))
        count = math.prod(shape) * (2 if kind.is_complex else 1)
        values = torch.tensor(draw(st.lists(number, min_size=count, max_size=count)))
        tensor = torch.view_as_complex(values.view(*shape, 2)) if kind.is_complex else values.view(shape).to(kind)
        if draw(st.booleans()) and len(shape) == 2 and kind in (torch.float32, torch.complex64):
            tensor = tensor.to_sparse()
        made.append(tensor)
    return made


def entries(tensor: Tensor) -> list[float]:
    """The real numbers that a tensor stands for."""
    whole = tensor.to_dense()
    return (torch.view_as_real(whole) if whole.is_complex() else whole).double().flatten().tolist()


def norm(numbers: list[float]) -> float:
    return math.sqrt(sum(x * x for x in numbers))


def close(measured: Tensor, expected: object, **tolerance: float) -> None:
    assert measured.tolist() == pytest.approx(expected, rel=1e-5, nan_ok=True, **tolerance)


@given(tensors())
def test_norms_and_their_total(some: list[Tensor]) -> None:
    measured = measures.norms(some)
    assert measured.dtype == torch.float32
    close(measured, [norm(entries(t)) for t in some])
    close(measures.total(measured), norm([x for t in some for x in entries(t)]))


@given(tensors(finite=True))
def test_dots_and_the_cosine(some: list[Tensor]) -> None:
    other = [-2 * t if t.is_sparse else t.flip(0) if t.ndim else t for t in some]
    products = [[x * y for x, y in zip(entries(a), entries(b), strict=True)] for a, b in zip(some, other, strict=True)]
    size = sum(abs(p) for one in products for p in one)
    close(measures.dots(some, other), [sum(one) for one in products], abs=1e-6 * size)
    lengths = norm([x for t in some for x in entries(t)]) * norm([x for t in other for x in entries(t)])
    expected = sum(sum(one) for one in products) / lengths if lengths else math.nan
    if lengths == 0 or lengths > 1e-30:  # below, a float32 holds no square
        close(measures.cosine(some, other), expected, abs=1e-5)


def test_the_dot_of_sparse_gradients_that_store_different_rows() -> None:
    a = torch.sparse_coo_tensor(torch.tensor([[0, 2]]), torch.tensor([[1.0, 2.0], [3.0, 4.0]]), (4, 2))
    b = torch.sparse_coo_tensor(torch.tensor([[2, 2, 3]]), torch.tensor([[1.0, 0.0], [1.0, 1.0], [9.0, 9.0]]), (4, 2))
    assert measures.dots([a], [b]).tolist() == [3 * 2 + 4 * 1]


@given(tensors())
def test_zero_and_nonfinite_entries_are_counted(some: list[Tensor]) -> None:
    zero = [sum(x == 0 for x in entries(t)) for t in some]
    wrong = [sum(not math.isfinite(x) for x in entries(t)) for t in some]
    assert measures.zeros(some).tolist() == zero
    assert measures.nonfinite(some).tolist() == wrong
    count = sum(len(entries(t)) for t in some)
    close(measures.share(measures.zeros(some), some), sum(zero) / max(1, count))
    close(measures.share(measures.nonfinite(some), some), sum(wrong) / max(1, count))


def columns(numbers: list[float]) -> list[int]:
    counts = [0] * (measures.HIGHEST - measures.LOWEST + 1)
    for x in numbers:
        if x == 0 or not math.isfinite(x):
            counts[0] += 1
        else:
            floor = math.frexp(x)[1] - 1  # of log2 |x|
            counts[min(max(floor, measures.LOWEST), measures.HIGHEST - 1) - measures.LOWEST + 1] += 1
    return counts


@settings(max_examples=50)
@given(tensors())
def test_exponents(some: list[Tensor]) -> None:
    assert measures.exponents(some).tolist() == [columns(entries(t)) for t in some]


@pytest.mark.parametrize("at_once", [1, 3, 7, 1000])
def test_exponents_of_all_magnitudes_counted_in_any_number_of_goes(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measures, "AT_ONCE", at_once)
    extreme = torch.tensor([0.0, -0.0, 1e-45, 2.0**-41, 2.0**-40, 0.5, -1.0, 1.5, 2.0**23, 2.0**24, -3e38])
    some = [extreme, torch.empty(0), torch.tensor(3.0), torch.tensor([[float("nan"), float("inf")]]), -extreme[:4]]
    assert measures.exponents(some).tolist() == [columns(entries(t)) for t in some]


def test_the_edges_are_those_of_the_columns() -> None:
    edges = measures.edges()
    assert len(edges) == len(columns([])) + 1 and all(b - a == 1 for a, b in pairwise(edges))
    for power in (-40, -3, 0, 23):  # 1.5 * 2^power lies between the edges of its column
        column = columns([1.5 * 2.0**power]).index(1)
        assert edges[column] < math.log2(1.5 * 2.0**power) < edges[column + 1]


@pytest.mark.parametrize("batch", [1, 4])
def test_the_noise_scale_equals_the_trace_over_the_squared_mean(batch: int) -> None:
    generator = torch.Generator().manual_seed(0)
    deviations = torch.linspace(0.5, 3, 8, dtype=torch.float64)
    mean = torch.linspace(-1, 1, 8, dtype=torch.float64)
    samples = mean + deviations * torch.randn(40_000, 8, generator=generator, dtype=torch.float64)
    direct = samples.var(dim=0).sum() / samples.mean(dim=0).square().sum()
    micro = samples.view(-1, batch, 8).mean(dim=1)
    small, large = micro.square().sum(dim=1).mean(), micro.mean(dim=0).square().sum()
    estimated = measures.noise_scale(small, large, batch, len(samples))
    assert float(estimated) == pytest.approx(float(direct), rel=0.01)
    assert float(estimated) == pytest.approx(float(deviations.square().sum() / mean.square().sum()), rel=0.05)


def test_a_unit_is_dead_if_it_is_zero_for_every_sample() -> None:
    rows = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    assert float(measures.dead_share(rows)) == pytest.approx(2 / 3)
    places = torch.stack([rows, rows])  # [N, T, units]
    assert float(measures.dead_share(places)) == pytest.approx(2 / 3)
    channels = torch.zeros(2, 4, 3, 3)  # [N, C, H, W]
    channels[1, 2, 0, 1] = -5.0
    assert float(measures.dead_share(channels)) == pytest.approx(3 / 4)


def test_an_entry_is_saturated_within_a_hundredth_of_the_range_from_its_ends() -> None:
    values = [-1.0, -0.985, -0.975, 0.0, 0.975, 0.985, 1.0]
    expected = sum(v < -0.98 or v > 0.98 for v in values) / len(values)
    assert float(measures.saturated_share(torch.tensor(values), -1.0, 1.0)) == pytest.approx(expected)


def test_nothing_is_measured_of_nothing() -> None:
    assert measures.norms([]).tolist() == measures.zeros([]).tolist() == measures.nonfinite([]).tolist() == []
    assert float(measures.total(measures.norms([]))) == 0
