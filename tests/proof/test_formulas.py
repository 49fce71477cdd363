"""What a run did in float64, against the papers' formulas written out in NumPy: no autograd, no torch.optim."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from pytorch_lightning.callbacks import Callback

from stepkit import DataSpec, plugins
from stepkit.models.linear import Linear

from . import hand
from .problems import BATCH_SIZE, SAMPLES, SEED, Points
from .sides import fit

Array = NDArray[np.float64]
Rule = Callable[[Array, Array, int], Array]  # (θ, gradient, t from 1) -> θ'
Moment = Array | float  # a running mean, from 0
EPOCHS = 4  # of six batches: 24 steps


class Line:
    """y [N, 2], linear in x [N, 6] but for noise."""

    spec = DataSpec("regression", in_features=6, out_features=2)

    def setup(self, seed: int, fold: int | None = None, folds: int | None = None) -> None:
        made = torch.Generator().manual_seed(2)
        x = torch.randn(SAMPLES, 6, generator=made)
        self.train = (x, x @ torch.randn(6, 2, generator=made) + 0.1 * torch.randn(SAMPLES, 2, generator=made))


def softmax_cross_entropy(scores: Array, y: Array) -> tuple[float, Array]:
    """L = -1/N Σ log softmax(z)[y], and ∂L/∂z = (softmax(z) - onehot(y)) / N."""
    n = len(scores)
    exponentials = np.exp(scores)
    shares = exponentials / exponentials.sum(axis=1, keepdims=True)
    onehot = np.eye(scores.shape[1])[y.astype(int)]
    return float(-np.log(shares[onehot == 1]).sum() / n), (shares - onehot) / n


def mean_squared_error(output: Array, y: Array) -> tuple[float, Array]:
    """L = 1/(N·M) Σ (ŷ - y)², and ∂L/∂ŷ = 2 (ŷ - y) / (N·M)."""
    return float(((output - y) ** 2).sum() / y.size), 2 * (output - y) / y.size


def sgd(lr: float) -> Rule:
    """θ' = θ - η g (Robbins and Monro 1951)."""
    return lambda theta, g, t: theta - lr * g


def momentum(lr: float, mu: float) -> Rule:
    """v' = μ v + g, θ' = θ - η v' (Polyak 1964, the heavy ball)."""
    v: Moment = 0.0

    def rule(theta: Array, g: Array, t: int) -> Array:
        nonlocal v
        v = mu * v + g
        return theta - lr * v

    return rule


def adam(lr: float, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8, decay: float = 0.0) -> Rule:
    """Kingma and Ba 2015, algorithm 1; with decay Loshchilov and Hutter 2019, algorithm 2 (torch's λ is per η)."""
    m: Moment = 0.0
    v: Moment = 0.0

    def rule(theta: Array, g: Array, t: int) -> Array:
        nonlocal m, v
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g * g
        m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
        return theta - lr * decay * theta - lr * m_hat / (np.sqrt(v_hat) + eps)

    return rule


class Trace(Callback):
    """Loss and parameters after each step."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.weights: list[tuple[Array, Array]] = []

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        layer: Any = pl_module.network.layer  # type: ignore[union-attr]
        self.losses.append(outputs["loss"].item())
        self.weights.append((numpy(layer.weight), numpy(layer.bias)))


def numpy(tensor: torch.Tensor) -> Array:
    copied: Array = tensor.detach().clone().double().numpy()
    return copied


RULES: dict[str, tuple[list[str], Callable[[], Rule]]] = {
    "sgd": (["optimizer=sgd", "optimizer.lr=0.1"], lambda: sgd(0.1)),
    "momentum": (["optimizer=sgd", "optimizer.lr=0.05", "optimizer.momentum=0.9"], lambda: momentum(0.05, 0.9)),
    "adam": (["optimizer=adam", "optimizer.lr=0.01"], lambda: adam(0.01)),
    "adamw": (["optimizer=adamw", "optimizer.lr=0.01", "optimizer.weight_decay=0.1"], lambda: adam(0.01, decay=0.1)),
}
LOSSES: dict[str, tuple[type, Callable[[Array, Array], tuple[float, Array]]]] = {
    "cross_entropy": (Points, softmax_cross_entropy),
    "mse": (Line, mean_squared_error),
}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("optimizer", RULES)
def test_every_loss_and_every_step_of_a_run_follow_the_formula(optimizer: str, loss: str) -> None:
    data, formula = LOSSES[loss]
    typed, make_rule = RULES[optimizer]
    trace = Trace()
    run = ["experiment=null", f"data={plugins.hand_over('data', data)}", "model=linear", f"loss={loss}"]
    run += [f"data.batch_size={BATCH_SIZE}", f"trainer.max_epochs={EPOCHS}", "trainer.precision=64-true", "logger=null"]
    fit([*run, *typed], trace)
    by_formula = followed(data, formula, make_rule)
    assert len(trace.losses) == len(by_formula) == 6 * EPOCHS
    for got, weights, (wanted, w, b) in zip(trace.losses, trace.weights, by_formula, strict=True):
        assert got == pytest.approx(wanted, abs=1e-12, rel=0)
        assert np.abs(weights[0] - w).max() <= 1e-12
        assert np.abs(weights[1] - b).max() <= 1e-12
    assert trace.losses[-1] < trace.losses[0]


def followed(
    data: type, formula: Callable[..., Any], make_rule: Callable[[], Rule]
) -> list[tuple[float, Array, Array]]:
    """(loss, W, b) of each step of ŷ = x Wᵀ + b, by the formulas alone."""
    plugin = data()
    plugin.setup(0)
    x, y = plugin.train
    torch.manual_seed(SEED)
    first = Linear(6, plugin.spec.num_classes or plugin.spec.out_features).layer
    w, b = numpy(first.weight), numpy(first.bias)
    rule_w, rule_b = make_rule(), make_rule()
    steps: list[tuple[float, Array, Array]] = []
    for epoch in range(EPOCHS):
        for batch, target in hand.shuffled(x, y, BATCH_SIZE, SEED, epoch):
            inputs = numpy(batch)
            value, slope = formula(inputs @ w.T + b, numpy(target))
            t = len(steps) + 1
            w, b = rule_w(w, slope.T @ inputs, t), rule_b(b, slope.sum(axis=0), t)
            steps.append((value, w, b))
    return steps
