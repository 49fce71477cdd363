"""Which samples make up which batch, on which process: a function of (seed, epoch) and nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import torch
from torch import Tensor

Key = tuple[int, int, int]  # (epoch, position in the epoch's order, index of the sample)


def seed_from(*numbers: int) -> int:
    """A seed of 63 bits from several numbers. A hash: sums like seed * K + epoch collide across runs."""
    digest = hashlib.blake2b(repr(numbers).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def generator_from(*numbers: int) -> torch.Generator:
    """A CPU generator seeded from several numbers."""
    return torch.Generator().manual_seed(seed_from(*numbers))


def order(n: int, seed: int, epoch: int, shuffle: bool) -> Tensor:
    """The order of an epoch's samples, int64 [n], the same on every process."""
    return torch.randperm(n, generator=generator_from(seed, epoch)) if shuffle else torch.arange(n)


class Plan:
    """The batches of this process, epoch after epoch, and how far it has come.

    The epoch's order is cut into global batches of `batch_size * world` samples, and every rank takes
    `batch_size` neighbours of each: `world` ranks together see what one process with a batch of
    `batch_size * world` sees. The last, incomplete global batch is divided as evenly as it goes (shares
    differ by at most one sample; a mean of the ranks' means then weighs their samples unequally).

    Every rank has the same number of batches (or they would wait for each other for good) and every
    sample comes once an epoch, with one exception: if the last global batch has fewer samples than there
    are ranks, the ranks left over repeat one of its samples, because a model cannot take an empty batch.

    It is the batch sampler of a DataLoader too: iterating gives a list of keys a batch.
    """

    def __init__(
        self,
        n: int,
        batch_size: int,
        *,
        seed: int,
        shuffle: bool,
        drop_last: bool = False,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.n, self.batch_size, self.seed, self.shuffle = n, batch_size, seed, shuffle
        self.drop_last, self.rank, self.world = drop_last, rank, world
        self.global_batch = batch_size * world
        self.epoch = 0
        self.done = 0  # batches of this epoch that were handed out
        self._start = 0  # where the next pass begins: past 0 only after load_state_dict
        self._places = self._own_places()
        self._shuffled: tuple[int, Tensor] | None = None

    @property
    def sampler(self) -> Plan:
        """Lightning calls `set_epoch` on `loader.sampler` or `loader.batch_sampler.sampler`."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Go to the start of an epoch; a position that was loaded stays if it is of that epoch."""
        if epoch != self.epoch:
            self.epoch, self.done, self._start = epoch, 0, 0

    def __len__(self) -> int:
        """The number of batches, the same on every rank."""
        return self.n // self.global_batch if self.drop_last else -(-self.n // self.global_batch)

    def _own_places(self) -> Tensor:
        """This rank's positions in the epoch's order, batch after batch; each batch but the last has batch_size."""
        whole = self.n // self.global_batch
        grid = torch.arange(whole * self.global_batch).view(whole, self.world, self.batch_size)
        own = grid[:, self.rank].reshape(-1)
        left = self.n - whole * self.global_batch
        if self.drop_last or left == 0:
            return own
        return torch.cat([own, whole * self.global_batch + self._own_share(left)])

    def _own_share(self, left: int) -> Tensor:
        """This rank's share of a last global batch of `left` samples; never empty."""
        if left < self.world:
            return torch.tensor([self.rank % left])
        return torch.arange(left * self.rank // self.world, left * (self.rank + 1) // self.world)

    def order(self, epoch: int) -> Tensor:
        """The order of all samples in an epoch, int64 [n]; the last one asked for is kept."""
        if self._shuffled is None or self._shuffled[0] != epoch:
            self._shuffled = epoch, order(self.n, self.seed, epoch, self.shuffle)
        return self._shuffled[1]

    def places(self, number: int) -> Tensor:
        """Where this rank's share of batch `number` stands in the epoch's order, int64 [<= batch_size]."""
        return self._places[number * self.batch_size : (number + 1) * self.batch_size]

    def indices(self, epoch: int, number: int) -> Tensor:
        """The samples of this rank's share of batch `number` of an epoch, int64 [<= batch_size]."""
        return self.order(epoch)[self.places(number)]

    def all_indices(self, epoch: int) -> Tensor:
        """This rank's samples of a whole epoch, batch after batch."""
        return self.order(epoch)[self._places]

    def begin(self) -> int:
        """Start a pass over the epoch; returns the number of its first batch."""
        self.done, self._start = self._start, 0
        return self.done

    def __iter__(self) -> Iterator[list[Key]]:
        """The keys of each batch from the position on, for the items of a Dataset."""
        epoch = self.epoch
        for number in range(self.done, len(self)):
            places, indices = self.places(number).tolist(), self.indices(epoch, number).tolist()
            yield [(epoch, place, index) for place, index in zip(places, indices, strict=True)]

    def state_dict(self) -> dict[str, int]:
        """The position: batches done, of which epoch."""
        return {"epoch": self.epoch, "done": self.done}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """The next pass starts at batch `done` of `epoch`."""
        self.epoch, self.done, self._start = state["epoch"], state["done"], state["done"]
