"""The hook sees the right gradient: accumulated, before clipping, once a step, of whatever kind it is."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from stepkit.config.settings import Observe
from stepkit.guards.nonfinite import Guard
from stepkit.loggers.tensorboard import TensorBoardLogger
from stepkit.observers.gradients import Watch
from stepkit.step import Step

from .runs import ALL, Batches, Optimizer, Read, Spy, difference, fit, length, network, step


def sgd(groups: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(groups, lr=0.1, momentum=0.9)


def adam(groups: Any) -> torch.optim.Optimizer:
    return torch.optim.Adam(groups, lr=1e-2, fused=True)


def rough(expected: Any, rel: float = 1e-5) -> Any:
    return pytest.approx(expected, rel=rel, abs=1e-7, nan_ok=True)


def check_norms(read: Read, spy: Spy, rel: float = 1e-5) -> None:
    """Of each parameter and in total, at every step."""
    names, rows = read.norms()
    assert list(rows) == spy.steps and len(spy.steps) > 1
    for row, seen in zip(rows.values(), spy.gradients, strict=True):
        expected = [length([seen[name]]) if name in seen else math.nan for name in names]
        assert row.tolist() == rough(expected, rel)
    total = read.scalars("gradient/norm")
    assert [total[s] for s in spy.steps] == rough([length(seen.values()) for seen in spy.gradients], rel)


def check_updates(read: Read, spy: Spy, rel: float = 1e-4) -> None:
    """|Δθ|, |θ| and their ratio, from the parameters themselves."""
    moved = [difference(after, before) for after, before in zip(spy.after, spy.before, strict=True)]
    weights = [length(before.values()) for before in spy.before]
    assert min(moved) > 0
    for tag, expected in {
        "update/norm": moved,
        "weight/norm": weights,
        "update/ratio": [m / w for m, w in zip(moved, weights, strict=True)],
    }.items():
        found = read.scalars(tag)
        assert list(found) == spy.steps and list(found.values()) == rough(expected, rel), tag


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("optimizer", [sgd, adam])
def test_once_a_step_on_the_accumulated_gradient(tmp_path: Path, accumulate: int, optimizer: Optimizer) -> None:
    spy, batches, module = Spy(), Batches(14), step(network(), optimizer)
    fit(tmp_path, module, batches, callbacks=[spy], accumulate_grad_batches=accumulate)
    read = Read(tmp_path)
    check_norms(read, spy)
    check_updates(read, spy)
    assert len(spy.steps) == -(-14 // accumulate)  # an epoch's last step has the rest
    assert list(read.scalars("lr").values()) == rough([spy_lr(optimizer)] * len(spy.steps))


def spy_lr(optimizer: Optimizer) -> float:
    return float(optimizer([nn.Parameter(torch.zeros(1))]).param_groups[0]["lr"])


def test_the_loss_is_the_mean_over_the_micro_batches(tmp_path: Path) -> None:
    batches = Batches(6)
    fit(tmp_path, step(network(), lambda groups: torch.optim.SGD(groups, lr=1e-30)), batches, accumulate_grad_batches=3)
    model = network()
    losses = [nn.functional.cross_entropy(model(x), y).item() for x, y in batches.made]
    assert list(Read(tmp_path).scalars("loss/train").values()) == rough([np.mean(losses[:3]), np.mean(losses[3:])])


@pytest.mark.parametrize("algorithm", ["norm", "value"])
def test_clipping_is_seen_before_and_after(tmp_path: Path, algorithm: str) -> None:
    limit = 0.3 if algorithm == "norm" else 0.05
    spy, module = Spy(), step(network(), sgd)
    fit(tmp_path, module, Batches(8), callbacks=[spy], gradient_clip_val=limit, gradient_clip_algorithm=algorithm)
    read = Read(tmp_path)
    check_norms(read, spy)
    before, after = ([length(g.values()) for g in side] for side in (spy.gradients, spy.clipped))
    assert any(b > a * 1.1 for b, a in zip(before, after, strict=True))  # it did clip
    assert list(read.scalars("gradient/clipped").values()) == rough(after)


def test_without_clipping_nothing_is_said_of_it(tmp_path: Path) -> None:
    fit(tmp_path, step(network(), sgd), Batches(2))
    assert "gradient/clipped" not in Read(tmp_path).tags()["scalars"]


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true", "64-true"])
def test_other_precisions(tmp_path: Path, precision: str) -> None:
    spy = Spy()
    fit(tmp_path, step(network(), sgd), Batches(6), callbacks=[spy], precision=precision)
    read = Read(tmp_path)
    check_norms(read, spy)
    check_updates(read, spy)


class Scaler:
    """Stands for the gradient scaler of 16-mixed, which no CPU has: a scale that does not change."""

    scale = 1024.0

    def _get_scale_async(self) -> Tensor:
        return torch.tensor(self.scale)


@pytest.mark.parametrize("unscales_itself", [False, True])
def test_gradients_are_unscaled_under_16_mixed(
    tmp_path: Path, unscales_itself: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fused optimizer still holds scaled gradients at the hook, any other unscaled ones; during backward all are."""
    plain, scaled = tmp_path / "plain", tmp_path / "scaled"
    options: dict[str, Any] = {"accumulate_grad_batches": 2, "precision": "32-true"}
    fit(plain, step(network(), sgd), Batches(8), **options)

    class Scaled(Step):
        def backward(self, loss: Tensor, *_: Any, **__: Any) -> None:
            (loss * Scaler.scale).backward()  # type: ignore[no-untyped-call]

        def configure_gradient_clipping(self, *_: Any, **__: Any) -> None:
            if unscales_itself:  # after the hook, as the fused optimizer's own step does
                divide(self)

    def divide(module: nn.Module) -> None:
        for p in module.parameters():
            assert p.grad is not None
            p.grad /= Scaler.scale

    class Unscale(pl.Callback):
        def on_before_optimizer_step(self, trainer: pl.Trainer, module: pl.LightningModule, optimizer: Any) -> None:
            if not unscales_itself:
                divide(module)

    def optimizer(groups: Any) -> torch.optim.Optimizer:
        made = sgd(groups)
        made._step_supports_amp_scaling = unscales_itself  # type: ignore[attr-defined]
        return made

    module = Scaled(network()).attach(loss=nn.CrossEntropyLoss(), metrics={}, optimizer=optimizer)
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=1, callbacks=[Unscale(), Watch(ALL, Guard("ignore"))], enable_checkpointing=False,
        logger=[TensorBoardLogger(str(scaled))], enable_progress_bar=False, enable_model_summary=False, **options,
    )  # fmt: skip
    monkeypatch.setattr(trainer.precision_plugin, "scaler", Scaler(), raising=False)
    trainer.fit(module, Batches(8))
    a, b = Read(plain), Read(scaled)
    assert a.tags()["scalars"] == b.tags()["scalars"] and "gradient/noise_scale" in a.tags()["scalars"]
    for tag in a.tags()["scalars"]:
        if tag != "loss/train" and not tag.startswith("throughput"):
            assert list(b.scalars(tag).values()) == rough(list(a.scalars(tag).values()), 1e-3), tag
    assert b.histogram("gradient/0.weight") == a.histogram("gradient/0.weight")


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


def test_lbfgs_shows_the_gradient_at_the_parameters_not_along_its_search(tmp_path: Path) -> None:
    spy = Spy()
    fit(tmp_path, step(network(), lambda groups: torch.optim.LBFGS([*groups], lr=0.5)), Batches(5), callbacks=[spy])
    read = Read(tmp_path)
    check_norms(read, spy)
    check_updates(read, spy)
    first = nn.functional.cross_entropy(network()(Batches(5).made[0][0]), Batches(5).made[0][1])
    assert read.scalars("loss/train")[1] == rough(float(first))


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


def test_the_noise_scale_is_that_of_the_micro_batches(tmp_path: Path) -> None:
    """Computed anew from each micro-batch's own gradient, by a plain loop."""
    batches = Batches(8)
    fit(tmp_path, step(network(), lambda g: torch.optim.SGD(g, lr=1e-30)), batches, accumulate_grad_batches=4)
    model, squares, own = network(), [], []
    for x, y in batches.made[:4]:
        found = torch.autograd.grad(nn.functional.cross_entropy(model(x), y), list(model.parameters()))
        own.append(torch.cat([g.flatten() for g in found]))
        squares.append(float(own[-1].double().square().sum()))
    small, large = float(np.mean(squares)), float(torch.stack(own).mean(dim=0).double().square().sum())
    signal, noise = (32 * large - 8 * small) / 24, (small - large) / (1 / 8 - 1 / 32)
    assert Read(tmp_path).scalars("gradient/noise_scale")[1] == rough(noise / signal, 1e-3)


def test_no_noise_scale_from_micro_batches_of_unequal_size(tmp_path: Path) -> None:
    batches = Batches(4)
    batches.made[1] = tuple(part[:3] for part in batches.made[1])  # type: ignore[assignment]
    fit(tmp_path, step(network(), sgd), batches, accumulate_grad_batches=2)
    assert list(Read(tmp_path).scalars("gradient/noise_scale")) == [2]


def test_activations_a_layer(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = network()
    with torch.no_grad():
        model[0].bias[:2] = -1e3  # type: ignore[index]
    fit(tmp_path, step(model, lambda g: torch.optim.SGD(g, lr=1e-30)), batches := Batches(1))
    x = batches.made[0][0]
    dead = float((model[:2](x) == 0).all(dim=0).double().mean())  # type: ignore[index]
    saturated = float((model[:4](x).abs() > 0.98).double().mean())  # type: ignore[index]
    read = Read(tmp_path)
    assert dead >= 0.4
    assert read.scalars("activation/dead") == {1: rough(dead)}
    assert read.scalars("activation/saturated") == {1: rough(saturated)}
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in model.modules())
