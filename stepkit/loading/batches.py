"""Batches of data in memory: whole tensors are indexed, nothing is collated sample by sample."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from .plan import Plan, generator_from

Pair = tuple[Tensor, Tensor]

# Up to here an epoch's rows are gathered once and then sliced (13 to 25 µs less a step); it costs a copy of the data.
GATHER_BYTES = 64 * 2**20


@runtime_checkable
class BatchSource(Protocol):
    """Data that makes whole batches itself: random windows, augmentation of a batch at once.

    With several processes each one makes the whole global batch and keeps its own rows, so that any number
    of processes trains on the same random draws. Work that is heavy for one sample belongs in a Dataset.
    """

    def __len__(self) -> int: ...

    def batch(self, indices: Tensor, generator: torch.Generator) -> Pair:
        """x and y for the samples `indices`, int64 [B]; `generator` is seeded from (seed, epoch, batch number)."""


class Batches:
    """Batches (x, y) of whole tensors, or of a source that makes whole batches.

    Args:
        source: a pair of tensors [n, ...] of equal length, or a BatchSource. Tensors never share memory with a
            batch: a model that works in place cannot spoil the data.
        batch_size: samples a batch on this process, as in torch.
        shuffle: a new order every epoch, from (seed, epoch); see Plan for the ranks' shares.
    """

    def __init__(
        self,
        source: Pair | BatchSource,
        batch_size: int,
        *,
        seed: int,
        shuffle: bool,
        drop_last: bool = False,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.source = source
        n = len(source[0]) if isinstance(source, tuple) else len(source)
        self.plan = Plan(n, batch_size, seed=seed, shuffle=shuffle, drop_last=drop_last, rank=rank, world=world)
        self.batch_size = batch_size
        self.sampler = self.batch_sampler = self.plan  # where Lightning looks for set_epoch
        self.set_epoch = self.plan.set_epoch
        self.indices = self.plan.indices
        self.state_dict = self.plan.state_dict
        self.load_state_dict = self.plan.load_state_dict

    def __len__(self) -> int:
        return len(self.plan)

    def __iter__(self) -> Iterator[Pair]:
        # A generator: Lightning calls iter() once more than it consumes, and nothing happens until the first next().
        start, epoch = self.plan.begin(), self.plan.epoch
        make = self._maker(epoch)
        for number in range(start, len(self)):
            batch = make(number)
            self.plan.done = number + 1
            yield batch

    def _maker(self, epoch: int) -> Callable[[int], Pair]:
        """The quickest way to batch `number` of this epoch."""
        if not isinstance(self.source, tuple):
            return lambda number: self._made_by_source(epoch, number)
        x, y = self.source
        if x.nbytes + y.nbytes > GATHER_BYTES:
            return lambda number: self._indexed(epoch, number)
        rows, size = self.plan.all_indices(epoch), self.batch_size
        x, y = x[rows.to(x.device)], y[rows.to(y.device)]
        return lambda number: (x[number * size : (number + 1) * size], y[number * size : (number + 1) * size])

    def _indexed(self, epoch: int, number: int) -> Pair:
        assert isinstance(self.source, tuple)
        x, y = self.source
        rows = self.plan.indices(epoch, number)
        return x[rows.to(x.device)], y[rows.to(y.device)]

    def _made_by_source(self, epoch: int, number: int) -> Pair:
        assert not isinstance(self.source, tuple)
        plan, first = self.plan, number * self.plan.global_batch
        everybodys = plan.order(epoch)[first : first + plan.global_batch]
        x, y = self.source.batch(everybodys, generator_from(plan.seed, epoch, number))
        if plan.world == 1:
            return x, y
        own = plan.places(number) - first
        return x[own.to(x.device)], y[own.to(y.device)]

    def to(self, device: torch.device | str) -> Batches:
        """Move whole tensors to a device, once; a BatchSource stays where it is."""
        if isinstance(self.source, tuple):
            self.source = (self.source[0].to(device), self.source[1].to(device))
        return self
