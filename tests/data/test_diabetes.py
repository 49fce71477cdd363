"""The diabetes plugin by the data contract."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_diabetes

from stepkit import split
from stepkit.data.diabetes import Diabetes

measured, progress = load_diabetes(return_X_y=True, scaled=False)
parts = split(442, 0)


@pytest.fixture
def data() -> Diabetes:
    data = Diabetes()
    data.setup(0)
    return data


def test_inputs_and_targets_are_columns_of_floats(data: Diabetes) -> None:
    for x, y in (data.train, data.val, data.test):
        assert x.shape == (len(x), data.spec.in_features)
        assert y.shape == (len(x), data.spec.out_features)
        assert x.dtype == y.dtype == torch.float32


def test_both_are_scaled_by_the_training_split_alone(data: Diabetes) -> None:
    for column in data.train:
        assert torch.allclose(column.mean(dim=0), torch.zeros(()), atol=1e-5)
        assert torch.allclose(column.std(dim=0, correction=0), torch.ones(()), atol=1e-4)
    assert data.target_scale.mean.item() == pytest.approx(progress[parts.train].mean())


def test_restore_gives_points(data: Diabetes) -> None:
    assert data.restore(data.test[1]) == pytest.approx(progress[parts.test].tolist(), rel=1e-5)


def test_prepare_and_restore_work_from_the_state_alone(data: Diabetes) -> None:
    other = Diabetes()
    other.load_state_dict(data.state_dict())
    assert torch.equal(other.prepare(measured[parts.val]), data.val[0])
    assert torch.equal(other.prepare(measured[0]), data.prepare(measured[:1]))
    assert other.restore(torch.zeros(1, 1)) == pytest.approx([progress[parts.train].mean()])


def test_rows_of_a_file_are_prepared(data: Diabetes, tmp_path: Path) -> None:
    np.savetxt(tmp_path / "patients.csv", measured[:5], delimiter=",")
    [(numbers, x)] = data.rows(str(tmp_path / "patients.csv"))
    assert numbers == [1, 2, 3, 4, 5]
    assert torch.equal(x, data.prepare(measured[:5]))


def test_a_straight_line_explains_the_target(data: Diabetes) -> None:
    """The reference that any model here has to reach: least squares, R² above 0.4."""
    x, y = (torch.cat([part, torch.ones(len(part), 1)], dim=1) for part in (data.train[0], data.test[0]))
    guess = y @ torch.linalg.lstsq(x, data.train[1]).solution
    target = data.test[1]
    assert 1 - float(((guess - target) ** 2).sum() / ((target - target.mean()) ** 2).sum()) > 0.4
