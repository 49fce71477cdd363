"""The gradient a step uses, against central finite differences in float64, for each built-in model and loss."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from stepkit import Step, plugins

N, C = 6, 5
COORDINATES = 12
H = 1e-5  # the error of a central difference is about H² and 1e-16 / H: both well below 1e-6


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def classes() -> Tensor:
    return torch.randint(C, (N,))


def signs(*shape: int) -> Tensor:
    return torch.randint(2, shape).double() * 2 - 1


MODELS: dict[str, tuple[str, dict[str, object], Callable[[], Tensor]]] = {
    "linear": ("linear", {"in_features": 7, "out_features": C}, lambda: drawn(N, 7)),
    "mlp": ("mlp", {"in_features": 7, "out_features": C, "hidden": [8, 8]}, lambda: drawn(N, 7)),
    "mlp-batch": ("mlp", {"in_features": 7, "out_features": C, "normalization": "batch"}, lambda: drawn(N, 7)),
    "mlp-layer": ("mlp", {"in_features": 7, "out_features": C, "normalization": "layer"}, lambda: drawn(N, 7)),
    "mlp-dropout": ("mlp", {"in_features": 7, "out_features": C, "dropout": 0.3}, lambda: drawn(N, 7)),
    "convnet": ("convnet", {"in_channels": 2, "out_features": C, "channels": [4, 6]}, lambda: drawn(N, 2, 6, 6)),
    "transformer": (
        "transformer",
        {"vocab_size": C, "context_length": 4, "width": 8, "depth": 2, "heads": 2},
        lambda: torch.randint(C, (N, 4)),
    ),
}
# Targets for scores [N, C]; a model's output is mapped first where a loss wants probabilities or their logarithm.
LOSSES: dict[str, tuple[Callable[[], Tensor], nn.Module | None]] = {
    "bce": (lambda: torch.rand(N, C, dtype=torch.float64), nn.Sigmoid()),
    "bce_with_logits": (lambda: torch.rand(N, C, dtype=torch.float64), None),
    "cross_entropy": (classes, None),
    "hinge_embedding": (lambda: signs(N, C), None),
    "huber": (lambda: drawn(N, C), None),
    "kl_div": (lambda: drawn(N, C).softmax(dim=1), nn.LogSoftmax(dim=1)),
    "l1": (lambda: drawn(N, C), None),
    "mse": (lambda: drawn(N, C), None),
    "multi_label_margin": (lambda: torch.randint(C, (N, C)), None),
    "multi_label_soft_margin": (lambda: torch.randint(2, (N, C)).double(), None),
    "multi_margin": (classes, None),
    "nll": (classes, nn.LogSoftmax(dim=1)),
    "poisson_nll": (lambda: torch.rand(N, C, dtype=torch.float64) * 3, None),
    "smooth_l1": (lambda: drawn(N, C), None),
    "soft_margin": (lambda: signs(N, C), None),
}
# Its own weight makes the scores: tested for itself below.
WITH_PARAMETERS = {"linear_cross_entropy"}


def step_of(model: str, loss: str, options: dict[str, object], head: nn.Module | None) -> Step:
    """What stepkit makes of a model and a loss, in float64 and training mode."""
    network: nn.Module = plugins.find("model", model).load()(**options)
    network = network if head is None else nn.Sequential(network, head)
    step = Step(network).attach(loss=plugins.find("loss", loss).load()(), metrics={}, optimizer=None)
    return step.double().train()


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("model", [name for name in MODELS if name != "transformer"])
def test_the_gradient_of_each_model_under_each_loss_is_that_of_finite_differences(model: str, loss: str) -> None:
    torch.manual_seed(3)
    name, options, x = MODELS[model]
    target, head = LOSSES[loss]
    check(step_of(name, loss, options, head), x(), target())


def test_the_gradient_of_the_transformer_is_that_of_finite_differences() -> None:
    torch.manual_seed(3)
    name, options, x = MODELS["transformer"]
    check(step_of(name, "cross_entropy", options, None), x(), torch.randint(C, (N, 4)))


def test_every_built_in_model_and_loss_is_tested() -> None:
    builtin = {(p.group, p.name) for p in plugins.everything() if p.builtin and p.group in ("model", "loss")}
    tested = {("model", name) for name, *_ in MODELS.values()} | {
        ("loss", name) for name in (*LOSSES, *WITH_PARAMETERS)
    }
    assert tested == builtin


def test_a_wrong_gradient_is_seen() -> None:
    """One that is off by one part in ten thousand."""
    torch.manual_seed(3)
    step = step_of("mlp", "mse", MODELS["mlp"][1], None)
    parameter = next(step.parameters())
    parameter.register_hook(lambda gradient: gradient * 1.0001)  # type: ignore[no-untyped-call]
    with pytest.raises(AssertionError, match="finite difference"):
        check(step, drawn(N, 7), drawn(N, C))


def check(step: Step, x: Tensor, y: Tensor) -> None:
    """Compare random coordinates of every parameter, to 1e-6 of each value."""
    parameters = [p for p in step.parameters() if p.requires_grad]
    loss_of(step, x, y).backward()  # type: ignore[no-untyped-call]
    picked = 0
    for parameter in parameters:
        assert parameter.grad is not None
        for place in torch.randperm(parameter.numel())[:COORDINATES].tolist():
            by_autograd = float(parameter.grad.flatten()[place])
            difference = central(step, x, y, parameter, place)
            allowed = 1e-6 * max(abs(by_autograd), abs(difference)) + 1e-10  # 1e-10: what float64 leaves of a zero
            assert abs(by_autograd - difference) <= allowed, f"{by_autograd}, by finite difference {difference}"
            picked += abs(by_autograd) > 1e-4
    assert picked >= COORDINATES, "too few coordinates have a gradient to compare"


def central(step: Step, x: Tensor, y: Tensor, parameter: nn.Parameter, place: int) -> float:
    """(L(θ + h) - L(θ - h)) / 2h in one coordinate."""
    flat, values = parameter.data.view(-1), []
    before = float(flat[place])
    for sign in (1, -1):
        flat[place] = before + sign * H
        values.append(float(loss_of(step, x, y)))
    flat[place] = before
    return (values[0] - values[1]) / (2 * H)


def loss_of(step: Step, x: Tensor, y: Tensor) -> Tensor:
    torch.manual_seed(4)  # dropout draws the same mask each time
    return step.training_step((x, y), 0)
