"""Batches of a torch Dataset: equal with any number of workers, and from any batch on."""

from __future__ import annotations

import random
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from stepkit.loading.plan import Plan
from stepkit.loading.workers import WorkerLoader


class Random(Dataset[Any]):
    """Items that draw from each of the three global generators."""

    def __len__(self) -> int:
        return 11

    def __getitem__(self, index: int) -> tuple[int, torch.Tensor]:
        return index, torch.tensor([random.random(), float(np.random.rand()), float(torch.rand(()))])


def listed(loader: WorkerLoader, epoch: int = 0) -> list[tuple[list[int], list[list[float]]]]:
    loader.set_epoch(epoch)
    return [(indices.tolist(), values.tolist()) for indices, values in loader]


def loader(**kwargs: Any) -> WorkerLoader:
    return WorkerLoader(Random(), 3, seed=5, shuffle=True, **kwargs)


@pytest.mark.parametrize("persistent", [False, True])
def test_two_workers_give_the_batches_of_none(persistent: bool) -> None:
    parallel, alone = loader(num_workers=2, persistent_workers=persistent), loader()
    for epoch in (0, 1):
        assert listed(parallel, epoch) == listed(alone, epoch)


def test_items_differ_from_each_other_and_from_epoch_to_epoch() -> None:
    drawn = [tuple(row) for epoch in (0, 1) for _, rows in listed(loader(), epoch) for row in rows]
    assert len(set(drawn)) == 22


def test_the_samples_are_those_of_the_plan() -> None:
    plan = Plan(11, 3, seed=5, shuffle=True)
    assert [indices for indices, _ in listed(loader(), 4)] == [plan.indices(4, k).tolist() for k in range(len(plan))]
    assert loader().indices(4, 1).tolist() == plan.indices(4, 1).tolist()


@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_epoch_goes_on_exactly(workers: int) -> None:
    whole = listed(loader(), 3)
    for k in range(len(whole) + 1):
        first, second = loader(num_workers=workers), loader(num_workers=workers)
        first.set_epoch(3)
        list(islice(first, k))  # with workers, more batches are under way than were handed out
        assert first.state_dict() == {"epoch": 3, "done": k}
        second.load_state_dict(first.state_dict())
        assert listed(second, 3) == whole[k:]
        assert listed(second, 3) == whole


def test_the_main_process_s_random_state_is_left_as_it_was() -> None:
    def states() -> tuple[Any, ...]:
        return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # type: ignore[index]

    before = states()
    for workers in (0, 2):
        listed(loader(num_workers=workers))
        assert states() == before


def test_ranks_together_give_the_batches_of_one_process() -> None:
    one = WorkerLoader(Random(), 4, seed=5, shuffle=True)
    two = [WorkerLoader(Random(), 2, seed=5, shuffle=True, rank=rank, world=2) for rank in (0, 1)]
    alone = listed(one, 1)
    pairs = zip(*(listed(share, 1) for share in two), strict=True)
    assert [(a[0] + b[0], a[1] + b[1]) for a, b in pairs] == alone


def test_asking_for_an_iterator_starts_no_worker() -> None:
    lazy = loader(num_workers=2, persistent_workers=True)
    iter(lazy)
    assert lazy._iterator is None


def test_lightning_finds_set_epoch_on_the_batch_sampler() -> None:
    from lightning_fabric.utilities.data import _set_sampler_epoch

    own = loader()
    _set_sampler_epoch(own, 6)
    assert own.state_dict()["epoch"] == 6
