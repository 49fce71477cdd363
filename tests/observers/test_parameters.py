"""Parameters of all kinds: of several optimizers, without a gradient, frozen, sparse, complex, gone wrong."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from stepkit.config.settings import Observe

from .checks import adam, check_norms, check_updates, rough, sgd
from .runs import Batches, Read, Spy, fit, length, network, step


class Duel(pl.LightningModule):
    """Two networks with an optimizer each, stepped by hand in every batch."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.first, self.second = network(), network()

    def training_step(self, batch: Any, batch_idx: int) -> None:
        x, y = batch
        for part, optimizer in zip((self.first, self.second), self.optimizers(), strict=True):
            optimizer.zero_grad()
            # The other part gets a gradient too, which is not this optimizer's, as in an adversarial pair.
            self.manual_backward(nn.functional.cross_entropy(part(x) + self.first(x) + self.second(x), y))
            optimizer.step()

    def configure_optimizers(self) -> Any:
        return sgd(self.first.parameters()), adam(self.second.parameters())


@pytest.mark.parametrize("every", [1, 5])
def test_several_optimizers_of_a_foreign_module(tmp_path: Path, every: int) -> None:
    spy = Spy()
    fit(tmp_path, Duel(), Batches(12), Observe(statistics_every=every, histograms=2), callbacks=[spy])
    read = Read(tmp_path)
    check_norms(read, spy)
    names, _ = read.norms()
    assert {name.split(".")[0] for name in names} == {"first", "second"}
    assert spy.steps == list(range(2, 26, 2))  # Lightning counts each optimizer's step
    if every == 1:
        check_updates(read, spy)
    assert list(read.scalars("update/ratio")) == [2 * n for n in range(1, 13) if n % every == 0 or n == 1]
    cosine = [
        sum(float((a[n] * b[n]).sum()) for n in a) / length(a.values()) / length(b.values())
        for a, b in pairwise(spy.gradients)
    ]
    found = read.scalars("gradient/cosine")
    assert found and {s: cosine[spy.steps.index(s) - 1] for s in found} == rough(found, 1e-4)
    tags = read.tags()["tensors"]
    assert {f"{kind}/{name}" for kind in ("gradient", "weight", "update") for name in names} <= set(tags)


class Odd(nn.Module):
    """A part that is frozen, one that never gets a gradient, one that gets it in every second batch."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.unused, self.sometimes = network(), nn.Linear(2, 2), nn.Linear(6, 3)
        self.frozen = nn.Linear(6, 6).requires_grad_(False)
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        y: Tensor = self.body(self.frozen(x))
        return y + self.sometimes(x) if self.calls % 2 else y


@pytest.mark.parametrize("accumulate", [1, 2])
def test_parameters_without_a_gradient_are_not_counted_and_frozen_ones_not_named(
    tmp_path: Path, accumulate: int
) -> None:
    spy, module = Spy(), step(Odd(), sgd)
    fit(tmp_path, module, Batches(8), callbacks=[spy], accumulate_grad_batches=accumulate)
    read = Read(tmp_path)
    check_norms(read, spy)
    check_updates(read, spy)
    names, rows = read.norms()
    assert not any("frozen" in name for name in names)
    absent = [name for name, value in zip(names, rows[2], strict=True) if math.isnan(value)]
    never = ["network.unused.weight", "network.unused.bias"]
    assert sorted(absent) == sorted(
        [*never, "network.sometimes.weight", "network.sometimes.bias"] if accumulate == 1 else never
    )
    assert "gradient/norm/unused" in read.tags()["scalars"]
    assert set(read.scalars("gradient/norm/unused").values()) == {0.0}


class Words(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(50, 3, sparse=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.table(x).mean(dim=1)  # type: ignore[no-any-return]


@pytest.mark.parametrize("accumulate", [1, 2])
def test_sparse_gradients(tmp_path: Path, accumulate: int) -> None:
    spy, batches = Spy(), Batches(8, make=lambda size: torch.randint(50, (size, 2)))
    module = step(Words(), lambda groups: torch.optim.SparseAdam([*groups], lr=0.1))
    fit(tmp_path, module, batches, callbacks=[spy], accumulate_grad_batches=accumulate)
    read = Read(tmp_path)
    check_norms(read, spy)
    check_updates(read, spy)
    zero = [float((g["network.table.weight"] == 0).double().mean()) for g in spy.gradients]
    assert min(zero) > 0.3 and list(read.scalars("gradient/zero_share").values()) == rough(zero)
    table = [g["network.table.weight"].flatten() for g in spy.gradients]
    cosine = [float(nn.functional.cosine_similarity(a, b, dim=0)) for a, b in pairwise(table)]
    assert list(read.scalars("gradient/cosine").values()) == rough(cosine, 1e-4)


class Waves(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Parameter(torch.randn(6, 3, dtype=torch.complex64))

    def forward(self, x: Tensor) -> Tensor:
        return (x.to(torch.complex64) @ self.mix).abs()


def test_complex_parameters(tmp_path: Path) -> None:
    spy = Spy()
    fit(tmp_path, step(Waves(), sgd), Batches(6), callbacks=[spy])
    check_norms(Read(tmp_path), spy)
    check_updates(Read(tmp_path), spy)


def test_a_gradient_that_is_nan_or_infinite_is_seen_as_such(tmp_path: Path) -> None:
    class Spoil(pl.Callback):
        """Spoils a gradient after backward, and mends it behind the watch, before the step."""

        def on_after_backward(self, trainer: pl.Trainer, pl_module: Any) -> None:
            if trainer.global_step in (2, 4):
                pl_module.network[0].bias.grad[0] = math.nan if trainer.global_step == 2 else math.inf

        def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: Any, optimizer: Any) -> None:
            pl_module.network[0].bias.grad.nan_to_num_(0.0, 0.0, 0.0)

    fit(tmp_path, step(network(), sgd), Batches(6), callbacks=[Spoil()])
    read = Read(tmp_path)
    total = read.scalars("gradient/norm")
    assert math.isnan(total[3]) and total[5] == math.inf and math.isfinite(total[4])
    assert math.isnan(read.scalars("gradient/norm/0")[3]) and math.isfinite(read.scalars("gradient/norm/2")[3])
    shares, count = read.scalars("gradient/nonfinite_share"), sum(p.numel() for p in network().parameters())
    assert [shares[s] for s in range(1, 7)] == rough([0, 0, 1 / count, 0, 1 / count, 0])
