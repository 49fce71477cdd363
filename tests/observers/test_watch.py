"""The hook sees the right gradient: accumulated, before clipping, unscaled, once a step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from stepkit.guards.nonfinite import Guard
from stepkit.loggers.tensorboard import TensorBoardLogger
from stepkit.observers.gradients import Watch
from stepkit.step import Step

from .checks import adam, check_norms, check_updates, rough, sgd
from .runs import ALL, Batches, Optimizer, Read, Spy, fit, length, network, step


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


def test_lbfgs_shows_the_gradient_at_the_parameters_not_along_its_search(tmp_path: Path) -> None:
    spy = Spy()
    fit(tmp_path, step(network(), lambda groups: torch.optim.LBFGS([*groups], lr=0.5)), Batches(5), callbacks=[spy])
    read = Read(tmp_path)
    check_norms(read, spy)
    check_updates(read, spy)
    first = nn.functional.cross_entropy(network()(Batches(5).made[0][0]), Batches(5).made[0][1])
    assert read.scalars("loss/train")[1] == rough(float(first))
