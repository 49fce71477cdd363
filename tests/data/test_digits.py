"""The digits plugin by the data contract."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from stepkit import split
from stepkit.data.digits import Digits
from stepkit.errors import BadPlace, WrongData

grey, labels = load_digits(return_X_y=True)


def ready(seed: int = 0, **how: Any) -> Digits:
    data = Digits(**how)
    data.setup(seed)
    return data


def test_shapes_types_and_spec_agree() -> None:
    data = ready()
    for x, y in (data.train, data.val, data.test):
        assert x.shape == (len(y), data.spec.in_features)
        assert (x.dtype, y.dtype) == (torch.float32, torch.int64)
        assert set(y.tolist()) == set(range(data.spec.num_classes or 0))
    assert sum(len(y) for _, y in (data.train, data.val, data.test)) == 1797


def test_images_have_a_channel() -> None:
    flat, image = ready(), ready(images=True)
    assert image.train[0].shape[1:] == (image.spec.in_channels, *(image.spec.image_size or ()))
    assert torch.equal(image.train[0].flatten(1), flat.train[0])


def test_scaling_is_that_of_the_training_split_alone() -> None:
    data = ready()
    assert abs(float(data.train[0].double().mean())) < 1e-6
    assert abs(float(data.train[0].double().std()) - 1) < 1e-4
    rows = split(1797, 0, strata=torch.tensor(labels)).train
    assert float(data.scale.mean) == pytest.approx(grey[rows].mean())
    assert float(data.scale.mean) != pytest.approx(grey.mean(), rel=1e-6)


def test_without_standardize_the_grey_values_stay() -> None:
    assert set(ready(standardize=False).train[0].flatten().tolist()) == set(range(17))


def test_folds_share_the_test_split() -> None:
    one, two = Digits(standardize=False), Digits(standardize=False)
    one.setup(0, fold=0, folds=3)
    two.setup(0, fold=1, folds=3)
    assert torch.equal(one.test[0], two.test[0])
    assert not torch.equal(one.val[0], two.val[0])


def test_prepare_works_from_the_state_alone(tmp_path: Path) -> None:
    data, other = ready(), Digits()
    torch.save(data.state_dict(), tmp_path / "state.pt")
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    rows = split(1797, 0, strata=torch.tensor(labels)).test
    assert torch.equal(other.prepare(grey[rows]), data.test[0])
    assert torch.equal(other.prepare(grey[rows].reshape(-1, 8, 8)), data.test[0])
    assert other.prepare(grey[0].reshape(8, 8)).shape == (1, 64)
    assert other.prepare(grey[0].tolist()).shape == (1, 64)
    assert other.spec == data.spec


def test_restore_names_the_likeliest_digit() -> None:
    assert ready().restore(torch.eye(10)[[3, 9]]) == ["3", "9"]


@pytest.mark.parametrize("header", ["", ",".join(f"pixel{i}" for i in range(64))])
def test_rows_of_a_file_are_prepared_as_a_stream(tmp_path: Path, header: str) -> None:
    data, path = ready(), tmp_path / "digits.csv"
    np.savetxt(path, grey[:1500], delimiter=",", header=header, comments="")
    chunks = list(data.rows(str(path)))
    assert len(chunks) == 2
    assert [number for numbers, _ in chunks for number in numbers] == list(range(1, 1501))
    assert torch.equal(torch.cat([x for _, x in chunks]), data.prepare(grey[:1500]))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("1,2,3\n", "row 1 has 3 values; give 64 numbers a row"),
        ("0," * 63 + "0\n" + "0," * 63 + "x\n", "row 2: could not convert"),
        (b"\xff\xfe\x00", "not UTF-8"),
    ],
)
def test_a_file_of_other_rows_is_told_in_one_line(tmp_path: Path, content: str | bytes, words: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(WrongData, match=words) as caught:
        list(ready().rows(str(path)))
    assert str(path) in str(caught.value)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadPlace, match="No such file"):
        list(ready().rows(str(tmp_path / "nothing.csv")))
    with pytest.raises(BadPlace, match="directory"):
        list(ready().rows(str(tmp_path)))
