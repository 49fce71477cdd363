"""Scaling by the statistics of the rows it was fitted on."""

from __future__ import annotations

import pytest
import torch

from stepkit import Standardize

x = torch.randn(50, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 100.0, 1e-4]) + 7


def test_columns_get_mean_0_and_deviation_1() -> None:
    z = Standardize().fit(x.double())(x.double())
    assert torch.allclose(z.mean(dim=0), torch.zeros(3, dtype=torch.float64), atol=1e-9)
    assert torch.allclose(z.std(dim=0, correction=0), torch.ones(3, dtype=torch.float64))


def test_it_agrees_with_scikit_learn() -> None:
    from sklearn.preprocessing import StandardScaler

    expected = torch.tensor(StandardScaler().fit(x.double().numpy()).transform(x.double().numpy()))
    assert torch.allclose(Standardize().fit(x)(x.double()), expected)


def test_inverse_brings_the_units_back() -> None:
    scale = Standardize().fit(x)
    assert torch.allclose(scale.inverse(scale(x)), x)


def test_a_constant_column_is_shifted_and_not_scaled() -> None:
    column = torch.full((1000, 1), 0.1)  # its deviation is not 0 in floating point
    assert torch.allclose(Standardize().fit(column)(column + 2), torch.tensor(2.0))


def test_before_fit_it_changes_nothing() -> None:
    assert torch.equal(Standardize()(x), x)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64])
def test_floats_keep_their_dtype_and_integers_become_float32(dtype: torch.dtype) -> None:
    raw = x.to(dtype)
    assert Standardize().fit(raw)(raw).dtype == (torch.float32 if dtype == torch.int64 else dtype)


def test_the_state_goes_through_a_safe_checkpoint(tmp_path: object) -> None:
    scale, other = Standardize().fit(x), Standardize()
    torch.save(scale.state_dict(), f"{tmp_path}/state.pt")
    other.load_state_dict(torch.load(f"{tmp_path}/state.pt", weights_only=True))
    assert torch.equal(other(x), scale(x))
