"""What a split may be, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Dataset, DistributedSampler, IterableDataset, TensorDataset

from stepkit.errors import WrongData
from stepkit.loading.batches import Batches
from stepkit.loading.loader import loader
from stepkit.loading.workers import WorkerLoader

x, y = torch.zeros(10, 2), torch.arange(10)


class Source:
    def __len__(self) -> int:
        return 10

    def batch(self, indices: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        return x[indices], y[indices]


class Stream(IterableDataset[int]):
    def __iter__(self) -> Iterator[int]:
        return iter(range(10))


class Endless(Dataset[int]):
    def __getitem__(self, index: int) -> int:
        return index


class Alike:
    """Like a Dataset, without being one of torch's."""

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> int:
        return index


def made(source: Any, split: str = "train", **kwargs: Any) -> Any:
    return loader(source, split, **{"batch_size": 4, "seed": 0, "shuffle": split == "train", **kwargs})


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ((x, y), Batches),
        (Source(), Batches),
        (TensorDataset(x, y), WorkerLoader),
        (Alike(), WorkerLoader),
        (Stream(), DataLoader),
    ],
)
def test_each_kind_of_source_gets_its_loader_with_whole_batches(source: Any, kind: type) -> None:
    result = made(source)
    assert type(result) is kind, type(result)
    sizes = [len(batch[1]) if isinstance(batch, tuple | list) else len(batch) for batch in made(source)]
    assert sizes == [4, 4, 2]


@pytest.mark.parametrize("ready", [DataLoader(TensorDataset(x, y), 5), [(x, y)], DataLoader(Stream(), 5)])
def test_a_ready_loader_is_left_as_it_is(ready: Any) -> None:
    assert made(ready) is ready


@pytest.mark.parametrize(
    ("source", "kwargs", "words"),
    [
        ((x[:0], y[:0]), {}, "training split is empty"),
        (TensorDataset(x[:0]), {}, "training split is empty"),
        ([], {}, "training split is empty"),
        ((x, y[:9]), {}, "10 rows of x and 9 of y"),
        ((x, y, y), {}, "(Tensor, Tensor, Tensor); give two tensors"),
        ((x, [1, 2]), {}, "(Tensor, list); give two tensors"),
        (7, {}, "is int; give tensors"),
        (Endless(), {}, "Endless) has no __len__"),
        (
            (x, y),
            {"batch_size": 11},
            "data.batch_size=11: larger than the training split of 10 samples; give data.batch_size=10",
        ),
        ((x, y), {"batch_size": 6, "world": 2}, "data.batch_size=6 on 2 processes: larger"),
        (Stream(), {"world": 2}, "cannot be divided among 2 processes"),
    ],
)
def test_what_cannot_be_batched_is_told_in_one_line(source: Any, kwargs: dict[str, Any], words: str) -> None:
    with pytest.raises(WrongData) as caught:
        made(source, **kwargs)
    assert words in str(caught.value)
    assert len(caught.value.lines) == 1


def test_an_empty_validation_split_is_named() -> None:
    with pytest.raises(WrongData, match="validation split is empty"):
        made((x[:0], y[:0]), "val")


def test_validation_may_be_smaller_than_a_batch() -> None:
    assert len(made((x, y), "val", batch_size=50)) == 1


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_ready_loader_that_no_process_shares_is_refused_on_several(shuffle: bool) -> None:
    ready = DataLoader(TensorDataset(x, y), 5, shuffle=shuffle)
    with pytest.raises(WrongData, match=r"\.train is a DataLoader that gives each of 2 processes all samples"):
        made(ready, world=2)
    assert made(ready) is ready


def test_a_ready_loader_that_divides_itself_serves_several_processes() -> None:
    dataset = TensorDataset(x, y)
    sampler: DistributedSampler[Any] = DistributedSampler(dataset, num_replicas=2, rank=0)
    divided = DataLoader(dataset, 5, sampler=sampler)
    own = DataLoader(dataset, batch_sampler=BatchSampler(sampler, 5, False))
    assert made(divided, world=2) is divided
    assert made(own, world=2) is own
