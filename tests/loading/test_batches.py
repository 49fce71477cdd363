"""Batches of data in memory."""

from __future__ import annotations

from itertools import islice

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from stepkit.loading import batches
from stepkit.loading.batches import Batches
from stepkit.loading.plan import generator_from, order

x = torch.arange(46, dtype=torch.float32).reshape(23, 2)
y = torch.arange(23)


class Noisy:
    """A source that draws random numbers for each batch."""

    def __len__(self) -> int:
        return len(x)

    def batch(self, indices: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        return x[indices] + torch.rand(len(indices), 2, generator=generator), y[indices]


def listed(loader: Batches, epoch: int = 0) -> list[tuple[list[list[float]], list[int]]]:
    loader.set_epoch(epoch)
    return [(a.tolist(), b.tolist()) for a, b in loader]


@pytest.mark.parametrize("limit", [0, batches.GATHER_BYTES])
@pytest.mark.parametrize("world", [1, 2, 3])
def test_rows_are_those_of_the_indices(monkeypatch: pytest.MonkeyPatch, limit: int, world: int) -> None:
    monkeypatch.setattr(batches, "GATHER_BYTES", limit)  # indexed a batch at a time, or gathered and sliced
    for rank in range(world):
        loader = Batches((x, y), 4, seed=1, shuffle=True, rank=rank, world=world)
        got = listed(loader, epoch=2)
        assert len(got) == len(loader)
        for number, (rows, labels) in enumerate(got):
            assert labels == loader.indices(2, number).tolist()
            assert rows == x[labels].tolist()


def test_without_shuffling_the_order_is_the_data_s() -> None:
    assert [label for _, labels in listed(Batches((x, y), 5, seed=1, shuffle=False), 3) for label in labels] == list(
        range(23)
    )


def test_two_passes_of_an_epoch_are_equal_and_two_epochs_are_not() -> None:
    loader = Batches((x, y), 5, seed=1, shuffle=True)
    assert listed(loader, 1) == listed(loader, 1)
    assert listed(loader, 1) != listed(loader, 2)


@given(k=st.integers(0, 6), source=st.sampled_from([(x, y), Noisy()]), world=st.integers(1, 2))
def test_a_resumed_epoch_goes_on_exactly(k: int, source: tuple[Tensor, Tensor] | Noisy, world: int) -> None:
    def loader() -> Batches:
        return Batches(source, 2, seed=1, shuffle=True, rank=world - 1, world=world)

    whole = listed(loader(), 3)
    first = loader()
    first.set_epoch(3)
    list(islice(first, k))
    second = loader()
    second.load_state_dict(first.state_dict())
    assert first.state_dict() == {"epoch": 3, "done": min(k, len(whole))}
    assert listed(second, 3) == whole[k:]
    assert listed(second, 3) == whole  # the position counts once


def test_asking_for_an_iterator_does_nothing_yet() -> None:
    loader = Batches((x, y), 5, seed=1, shuffle=True)
    loader.load_state_dict({"epoch": 1, "done": 2})
    before = torch.get_rng_state()
    iter(loader)  # as Lightning does
    assert loader.state_dict() == {"epoch": 1, "done": 2}
    assert len(list(loader)) == len(loader) - 2
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("limit", [0, batches.GATHER_BYTES])
@pytest.mark.parametrize("shuffle", [True, False])
def test_a_model_that_works_in_place_leaves_the_data_alone(
    monkeypatch: pytest.MonkeyPatch, limit: int, shuffle: bool
) -> None:
    monkeypatch.setattr(batches, "GATHER_BYTES", limit)
    own = x.clone()
    for rows, _ in Batches((own, y), 5, seed=1, shuffle=shuffle):
        rows.zero_()
    assert torch.equal(own, x)


def test_a_source_gets_a_generator_of_seed_epoch_and_batch() -> None:
    got = listed(Batches(Noisy(), 4, seed=7, shuffle=True), 2)
    indices = order(23, 7, 2, True)[8:12]
    expected = x[indices] + torch.rand(4, 2, generator=generator_from(7, 2, 2))
    assert got[2] == (expected.tolist(), indices.tolist())


def test_ranks_get_the_same_draws_as_one_process() -> None:
    alone = [rows for rows, _ in listed(Batches(Noisy(), 4, seed=7, shuffle=True), 1)]
    pair = [listed(Batches(Noisy(), 2, seed=7, shuffle=True, rank=rank, world=2), 1) for rank in (0, 1)]
    assert alone == [a[0] + b[0] for a, b in zip(*pair, strict=True)]


def test_lightning_finds_set_epoch_on_the_sampler() -> None:
    from lightning_fabric.utilities.data import _set_sampler_epoch

    loader = Batches((x, y), 5, seed=1, shuffle=True)
    _set_sampler_epoch(loader, 6)
    assert loader.state_dict()["epoch"] == 6


def test_drop_last_drops_the_incomplete_batch() -> None:
    assert [len(labels) for _, labels in listed(Batches((x, y), 5, seed=1, shuffle=True, drop_last=True))] == [5] * 4


def test_whole_tensors_move_to_a_device() -> None:
    loader = Batches((x, y), 5, seed=1, shuffle=True).to("meta")
    assert next(iter(loader))[0].device.type == "meta"
