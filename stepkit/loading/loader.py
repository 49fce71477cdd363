"""The loader that fits what a data plugin gives for a split."""

from __future__ import annotations

from collections.abc import Iterable, Sized
from typing import Any, cast

from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Dataset, IterableDataset, RandomSampler, SequentialSampler

from ..errors import WrongData
from .batches import Batches, BatchSource
from .workers import WorkerLoader

NAMES = {"train": "training", "val": "validation", "test": "test"}
UNDIVIDED = (RandomSampler, SequentialSampler)


def loader(
    source: Any,
    split_name: str,
    *,
    batch_size: int,
    num_workers: int = 0,
    pin_memory: bool = False,
    seed: int,
    shuffle: bool,
    rank: int = 0,
    world: int = 1,
) -> Iterable[Any]:
    """Batches of one split.

    Args:
        source: whole tensors (x, y), a BatchSource, a torch Dataset, or a ready loader, which is left as it is.
        split_name: "train", "val" or "test".
        batch_size: samples a batch on each process.
        shuffle: training data only; validation and test keep their order, and count every sample once
            (but for Plan's one exception on many processes).

    Raises:
        WrongData: nothing to train on, x and y that do not belong together, a batch larger than the data, a stream
            or ready loader that several processes would each read whole.
    """
    check(source, split_name)
    if isinstance(source, IterableDataset):
        return _streamed(source, split_name, batch_size, num_workers, pin_memory, world)
    whole = isinstance(source, tuple | BatchSource)
    if not whole and not _map_style(source):
        _check_divided(source, split_name, world)
        return cast("Iterable[Any]", source)
    _check_batch_size(_length(source), split_name, batch_size, world)
    how: dict[str, Any] = {"seed": seed, "shuffle": shuffle, "rank": rank, "world": world}
    if whole:
        return Batches(source, batch_size, **how)
    persistent = num_workers > 0  # starting workers costs seconds; once a run is enough
    return WorkerLoader(
        source, batch_size, num_workers=num_workers, pin_memory=pin_memory, persistent_workers=persistent, **how
    )


def check(source: Any, split_name: str) -> None:
    """Whether a split can be batched at all. Raises WrongData."""
    split = NAMES.get(split_name, split_name)
    if isinstance(source, tuple):
        _check_pair(source, split_name)
    elif not (isinstance(source, BatchSource) or _map_style(source) or hasattr(source, "__iter__")):
        raise WrongData(
            f"data: .{split_name} is {type(source).__name__}; give tensors (x, y), an object with __len__ and batch, "
            "a torch Dataset, or a loader"
        )
    if _map_style(source) and _length(source) is None:
        raise WrongData(f"data: .{split_name} ({type(source).__name__}) has no __len__; a map-style Dataset needs one")
    if _length(source) == 0:
        raise WrongData(f"data: the {split} split is empty; give more data or other fractions")


def _check_pair(pair: tuple[Any, ...], split_name: str) -> None:
    if len(pair) != 2 or not all(isinstance(part, Tensor) and part.ndim for part in pair):
        shown = ", ".join(type(part).__name__ for part in pair)
        raise WrongData(f"data: .{split_name} is a tuple of ({shown}); give two tensors (x, y) of equal length")
    if len(pair[0]) != len(pair[1]):
        raise WrongData(f"data: .{split_name} has {len(pair[0])} rows of x and {len(pair[1])} of y; give equal numbers")


def _check_batch_size(n: int | None, split_name: str, batch_size: int, world: int) -> None:
    if split_name != "train" or n is None or batch_size * world <= n:
        return
    among = f" on {world} processes" if world > 1 else ""
    raise WrongData(
        f"data.batch_size={batch_size}{among}: larger than the training split of {n} samples; "
        f"give data.batch_size={max(1, n // world)} or less"
    )


def _check_divided(source: Any, split_name: str, world: int) -> None:
    """A ready DataLoader with torch's own samplers would give every process all of the data, silently."""
    if world == 1 or not isinstance(source, DataLoader):
        return
    batches = source.batch_sampler
    if batches is not None and type(batches) is not BatchSampler:
        return  # the user's own: it may divide
    sampler = source.sampler if batches is None else batches.sampler  # a given batch_sampler leaves .sampler idle
    if type(sampler) in UNDIVIDED:
        raise WrongData(
            f"data: .{split_name} is a DataLoader that gives each of {world} processes all samples; "
            "give its Dataset instead, or a DataLoader with a DistributedSampler"
        )


def _length(source: Any) -> int | None:
    """The number of samples (or of a ready loader's batches), if it is known."""
    if isinstance(source, tuple):
        return len(source[0])
    try:
        return len(source) if isinstance(source, Sized) else None
    except TypeError:  # a DataLoader over an IterableDataset has __len__, and it raises
        return None


def _map_style(source: Any) -> bool:
    """A Dataset of torch, or one like it: items by number, but not a list, which holds ready batches."""
    if isinstance(source, IterableDataset | DataLoader | list):
        return False
    return isinstance(source, Dataset) or (hasattr(source, "__getitem__") and hasattr(source, "__len__"))


def _streamed(
    source: IterableDataset[Any], split_name: str, batch_size: int, num_workers: int, pin_memory: bool, world: int
) -> DataLoader[Any]:
    """A stream has no order to cut: every process would train on all of it."""
    if world > 1:
        raise WrongData(
            f"data: .{split_name} is an IterableDataset, which cannot be divided among {world} processes; "
            "give a map-style Dataset, or a loader that divides it itself"
        )
    return DataLoader(source, batch_size, num_workers=num_workers, pin_memory=pin_memory)
