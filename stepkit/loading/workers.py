"""Batches of a torch Dataset, item by item through a DataLoader, reproducible with any number of workers."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info

from .plan import Key, Plan, seed_from


class WorkerLoader(DataLoader[Any]):
    """A DataLoader whose batches depend on (seed, epoch) only: not on num_workers, nor on where it was resumed.

    Shuffling and sharding are Plan's, as for data in memory. The global random numbers an item draws
    (Python's, NumPy's, torch's) are seeded from (seed, epoch, position), and those of the main process stay
    as they were. A Dataset's own `__getitems__` is not called: its items could not be seeded one by one.

    Args:
        dataset: map style, `__len__` and `__getitem__`.
        kwargs: passed on to DataLoader (num_workers, pin_memory, persistent_workers, collate_fn, …).
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        batch_size: int,
        *,
        seed: int,
        shuffle: bool,
        drop_last: bool = False,
        rank: int = 0,
        world: int = 1,
        **kwargs: Any,
    ) -> None:
        n = len(dataset)  # type: ignore[arg-type]  # map style
        plan = Plan(n, batch_size, seed=seed, shuffle=shuffle, drop_last=drop_last, rank=rank, world=world)
        # A generator of its own, or each pass would draw the workers' base seed from torch's global one.
        own = torch.Generator().manual_seed(seed_from(seed))
        super().__init__(SeededItems(dataset, seed), batch_sampler=plan, generator=own, **kwargs)
        self.plan = plan
        self.set_epoch = plan.set_epoch
        self.indices = plan.indices
        self.state_dict = plan.state_dict
        self.load_state_dict = plan.load_state_dict

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]  # a generator: no worker starts before the first next()
        start = self.plan.begin()
        for done, batch in enumerate(super().__iter__(), start + 1):
            self.plan.done = done
            yield batch


class SeededItems(Dataset[Any]):
    """A Dataset asked by key (epoch, position, index), each item's random numbers seeded from its key."""

    def __init__(self, dataset: Dataset[Any], seed: int) -> None:
        self.dataset, self.seed = dataset, seed

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]  # map style

    def __getitem__(self, key: Key) -> Any:
        return self.__getitems__([key])[0]

    def __getitems__(self, keys: Sequence[Key]) -> list[Any]:
        """The items of one batch. The state is restored once a batch, since that costs 0.1 ms."""
        with self._leaving_no_trace():
            return [self._item(*key) for key in keys]

    def _item(self, epoch: int, position: int, index: int) -> Any:
        seed_all(seed_from(self.seed, epoch, position))
        return self.dataset[index]

    @staticmethod
    def _leaving_no_trace() -> AbstractContextManager[None]:
        return nullcontext() if get_worker_info() is not None else unchanged_random_state()


def seed_all(seed: int) -> None:
    """Seed the global generators of Python, NumPy (32 bits) and torch's CPU."""
    random.seed(seed)
    np.random.seed(seed & 0xFFFFFFFF)
    torch.default_generator.manual_seed(seed)


@contextmanager
def unchanged_random_state() -> Iterator[None]:
    """The global generators come out as they went in."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
