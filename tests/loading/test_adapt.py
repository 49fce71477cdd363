"""Datasets and LightningDataModules that know nothing of stepkit, by its data contract; no Trainer takes part."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset

from stepkit import DataSpec
from stepkit.errors import Unsupported, WrongData
from stepkit.loading.adapt import FromDataset, adapt
from stepkit.loading.loader import loader


class Pictures(Dataset[Any]):
    """As torchvision's: `targets` in a list and `classes` by name."""

    classes = ("cat", "dog", "owl")

    def __init__(self, n: int = 60) -> None:
        self.targets = [number % 3 for number in range(n)]

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return torch.full((1, 4, 5), float(index)), self.targets[index]


class Module(pl.LightningDataModule):
    """Its data is there only after prepare_data and both setups."""

    spec = DataSpec("regression", in_features=2, out_features=1)

    def __init__(self) -> None:
        super().__init__()
        self.called: list[str] = []

    def prepare_data(self) -> None:
        self.called.append("prepare_data")

    def setup(self, stage: str) -> None:
        self.called.append(stage)

    def train_dataloader(self) -> Any:
        return self._loader(8)

    def test_dataloader(self) -> Any:
        return self._loader(2)

    def _loader(self, n: int) -> DataLoader[Any]:
        assert self.called == ["prepare_data", "fit", "test"]
        return DataLoader(TensorDataset(torch.zeros(n, 2), torch.zeros(n, 1)), 4)


def ready(obj: Any, seed: int = 0, **folds: int) -> Any:
    data = adapt(obj)
    data.setup(seed, **folds)
    return data


def rows(part: Subset[Any]) -> list[int]:
    return [int(part[number][0].flatten()[0]) for number in range(len(part))]


def test_a_plugin_is_left_as_it_is_before_and_after_its_setup() -> None:
    class Plugin:
        def setup(self, seed: int, fold: int | None = None, folds: int | None = None) -> None:
            self.train = (torch.zeros(2, 1), torch.zeros(2, 1))

    plugin = Plugin()
    assert adapt(plugin) is plugin
    plugin.setup(0)
    assert adapt(plugin) is plugin


def test_a_dataset_is_cut_by_the_seed_and_in_proportion() -> None:
    data, again, other = ready(Pictures()), ready(Pictures()), ready(Pictures(), seed=1)
    parts = [rows(part) for part in (data.train, data.val, data.test)]
    assert sorted(parts[0] + parts[1] + parts[2]) == list(range(60))
    assert rows(again.train) == parts[0] != rows(other.train)
    assert [sorted(index % 3 for index in part) for part in parts[1:]] == [[0] * 3 + [1] * 3 + [2] * 3] * 2


def test_folds_of_a_dataset_share_the_test_split_and_cover_the_rest() -> None:
    folds = [ready(Pictures(), fold=fold, folds=3) for fold in range(3)]
    held_out = rows(ready(Pictures()).test)
    assert all(rows(data.test) == held_out for data in folds)
    assert sorted(sum((rows(data.val) for data in folds), held_out)) == list(range(60))


def test_a_dataset_s_batches_come_from_its_training_part() -> None:
    data = ready(Pictures())
    seen = [
        int(value)
        for x, _ in loader(data.train, "train", batch_size=8, seed=0, shuffle=True)
        for value in x[:, 0, 0, 0]
    ]
    assert sorted(seen) == rows(data.train) != seen


x, floats = torch.rand(20, 3), torch.rand(20, 2)


@pytest.mark.parametrize(
    ("dataset", "spec"),
    [
        (
            Pictures(),
            DataSpec(
                "classification",
                in_features=20,
                num_classes=3,
                in_channels=1,
                image_size=(4, 5),
                class_names=("cat", "dog", "owl"),
            ),
        ),
        (TensorDataset(x, torch.arange(20) % 4), DataSpec("classification", in_features=3, num_classes=4)),
        (TensorDataset(x, floats), DataSpec("regression", in_features=3, out_features=2)),
        (TensorDataset(x), None),
        (TensorDataset(torch.zeros(20, 3, dtype=torch.int64), torch.zeros(20, 3, dtype=torch.int64)), None),
    ],
)
def test_the_spec_is_inferred_where_the_samples_tell(dataset: Dataset[Any], spec: DataSpec | None) -> None:
    assert ready(dataset).spec == spec


def test_a_dataset_s_own_spec_wins() -> None:
    dataset = Pictures()
    dataset.spec = DataSpec("classification", num_classes=7)  # type: ignore[attr-defined]
    assert ready(dataset).spec == DataSpec("classification", num_classes=7)


def test_prepare_and_restore_work_from_the_state_alone() -> None:
    fresh = FromDataset(Pictures())
    fresh.load_state_dict(ready(Pictures()).state_dict())
    assert fresh.spec == ready(Pictures()).spec
    assert fresh.restore(fresh.prepare([[0.0, 2.0, 1.0], [3.0, 0.0, 0.0]])) == ["dog", "cat"]
    with pytest.raises(Unsupported, match=r"new\.csv: this data cannot read files"):
        fresh.rows("new.csv")


def test_a_lightning_data_module_gives_its_loaders_and_spec() -> None:
    data = ready(Module())
    assert [len(data.train), data.val, len(data.test)] == [2, None, 1]
    assert data.spec == Module.spec
    assert loader(data.train, "train", batch_size=32, seed=0, shuffle=True) is data.train
    assert data.restore(torch.tensor([[0.5]])) == [[0.5]]


def test_a_data_module_without_a_spec_has_none() -> None:
    class Bare(Module):
        spec = None  # type: ignore[assignment]

    data = ready(Bare())
    assert data.spec is None
    fresh = adapt(Bare())
    fresh.load_state_dict(data.state_dict())
    assert fresh.spec is None


def test_what_a_data_module_cannot_do_is_told_in_one_line() -> None:
    class Several(Module):
        def val_dataloader(self) -> Any:
            return [self._loader(2), self._loader(2)]

    with pytest.raises(Unsupported, match="val_dataloader of Several gives 2 loaders; give one"):
        ready(Several())
    with pytest.raises(Unsupported, match="cannot be cut in folds"):
        ready(Module(), fold=0, folds=2)
    with pytest.raises(WrongData, match="has no train_dataloader"):
        ready(pl.LightningDataModule())


class Stream(IterableDataset[int]):
    def __iter__(self) -> Iterator[int]:
        return iter(range(10))


@pytest.mark.parametrize("obj", [Stream(), object(), [1, 2]])
def test_what_cannot_be_split_is_told_in_one_line(obj: Any) -> None:
    with pytest.raises(WrongData, match=f"data: {type(obj).__name__} cannot be split") as caught:
        adapt(obj)
    assert len(caught.value.lines) == 1
