"""What torch and Lightning offer is registered or refused with a reason; and what is registered works."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import pytorch_lightning.callbacks
import torch
import torchmetrics
from torch import Tensor, nn
from torch.optim import lr_scheduler

from stepkit import plugins, refused

SUFFIX = {"optimizer": "", "scheduler": "LR", "loss": "Loss", "callback": ""}
# Registered under a name shorter than the class's own.
SHORT = {"EMAWeightAveraging": "ema", "AdaptiveLogSoftmaxWithLoss": "adaptive_log_softmax_with"}
# Checkpoint is Lightning's marker of callbacks that save checkpoints: it does nothing.
BASES: tuple[type, ...] = (
    torch.optim.Optimizer,
    lr_scheduler.LRScheduler,
    pytorch_lightning.callbacks.Callback,
    pytorch_lightning.callbacks.Checkpoint,
)


def builtin(group: str) -> dict[str, str]:
    """{name: reference} of what stepkit itself registers in a group."""
    return {p.name: p.reference for p in plugins.everything() if p.group == group and p.builtin}


def exported() -> Iterator[tuple[str, type]]:
    """(group, class) for every class that the libraries offer a user."""
    offers = {
        "optimizer": (torch.optim, torch.optim.Optimizer, dir(torch.optim)),
        "scheduler": (lr_scheduler, lr_scheduler.LRScheduler, lr_scheduler.__all__),
        "loss": (nn, nn.Module, [name for name in dir(nn) if name.endswith("Loss")]),
        "callback": (
            pytorch_lightning.callbacks,
            pytorch_lightning.callbacks.Callback,
            pytorch_lightning.callbacks.__all__,
        ),
    }
    for group, (module, base, names) in offers.items():
        for name in names:
            thing = getattr(module, name)
            if inspect.isclass(thing) and issubclass(thing, base) and thing not in BASES:
                yield group, thing


def plain(group: str, cls: type) -> str:
    """A class's name without its suffix, lower case and without underscores, as a registered name is compared."""
    name = SHORT.get(cls.__name__, cls.__name__.removesuffix(SUFFIX[group]))
    return name.removesuffix("Callback").removesuffix("Scheduler" if group == "scheduler" else "").lower()


@pytest.mark.parametrize(("group", "cls"), [pytest.param(g, c, id=f"{g}-{c.__name__}") for g, c in exported()])
def test_every_exported_class_is_either_registered_or_refused_with_a_reason(group: str, cls: type) -> None:
    wanted = plain(group, cls).replace("_", "")
    registered = [name for name in builtin(group) if name.replace("_", "") == wanted]
    reasons = [name for name in refused.REFUSED.get(group, {}) if name.replace("_", "") == wanted]
    assert len(registered) + len(reasons) == 1, f"{cls.__name__}: registered as {registered}, refused as {reasons}"
    if registered and cls is not torch.optim.Muon:
        assert plugins.find(group, registered[0]).load() is cls


def test_a_refused_name_is_that_of_an_exported_class_and_its_reason_is_one_line() -> None:
    names = {(group, plain(group, cls).replace("_", "")) for group, cls in exported()}
    for group, reasons in refused.REFUSED.items():
        for name, reason in reasons.items():
            assert (group, name.replace("_", "")) in names
            assert 10 < len(reason) < 140 and "\n" not in reason
            assert not plugins.has(group, name)


@pytest.mark.parametrize(
    ("group", "name"),
    [("scheduler", "lambda"), ("scheduler", "lambda_lr"), ("scheduler", "chained_scheduler"), ("loss", "ctc_loss")],
)
def test_a_reason_is_found_by_the_short_name_and_by_the_classs_own(group: str, name: str) -> None:
    assert refused.reason(group, name)


def test_a_registered_or_unknown_name_has_no_reason() -> None:
    assert refused.reason("loss", "mse_loss") is None
    assert refused.reason("scheduler", "lamda") is None
    assert refused.reason("nonsense", "lambda") is None


@pytest.mark.parametrize("plugin", [p for p in plugins.everything() if p.builtin], ids=lambda p: f"{p.group}-{p.name}")
def test_every_built_in_can_be_imported(plugin: plugins.Plugin) -> None:
    assert callable(plugin.load())


# Losses: loss(prediction, target) with a gradient

CLASSES, NUMBERS = torch.tensor([0, 2, 1, 2]), torch.tensor([[0.3], [-1.2], [0.8], [2.0]])
BITS = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0], [1.0, 1.0, 0.0], [0.0, 1.0, 0.0]])
SIGNS = 2 * BITS - 1
PROBABILITIES = torch.full((4, 3), 1 / 3)

Maker = Callable[[Tensor], Tensor]
LOSS_CASES: dict[str, tuple[Maker, Tensor, dict[str, Any]]] = {
    "bce": (torch.sigmoid, BITS, {}),
    "bce_with_logits": (torch.clone, BITS, {}),
    "cross_entropy": (torch.clone, CLASSES, {}),
    "hinge_embedding": (torch.clone, SIGNS, {}),
    "huber": (lambda x: x[:, :1], NUMBERS, {}),
    "kl_div": (lambda x: x.log_softmax(1), PROBABILITIES, {"reduction": "batchmean"}),
    "l1": (lambda x: x[:, :1], NUMBERS, {}),
    "linear_cross_entropy": (torch.clone, CLASSES, {"in_features": 3, "num_classes": 3}),
    "mse": (lambda x: x[:, :1], NUMBERS, {}),
    "multi_label_margin": (torch.clone, torch.tensor([[0, -1, -1], [2, 1, -1], [1, -1, -1], [0, 2, -1]]), {}),
    "multi_label_soft_margin": (torch.clone, BITS, {}),
    "multi_margin": (torch.clone, CLASSES, {}),
    "nll": (lambda x: x.log_softmax(1), CLASSES, {}),
    "poisson_nll": (lambda x: x[:, :1], NUMBERS.abs(), {}),
    "smooth_l1": (lambda x: x[:, :1], NUMBERS, {}),
    "soft_margin": (torch.clone, SIGNS, {}),
}


def test_every_registered_loss_has_a_case() -> None:
    assert set(builtin("loss")) == set(LOSS_CASES)


@pytest.mark.parametrize("name", sorted(LOSS_CASES))
def test_a_loss_of_a_prediction_and_a_target_is_a_number_with_a_gradient(name: str) -> None:
    torch.manual_seed(0)
    make, target, options = LOSS_CASES[name]
    x = torch.randn(4, 3, requires_grad=True)
    loss = plugins.find("loss", name).load()(**options)(make(x), target)
    loss.backward()
    assert loss.ndim == 0 and loss.isfinite()
    assert x.grad is not None and x.grad.abs().sum() > 0


# Metrics

BINARY = {"binary_accuracy", "binary_auroc", "binary_average_precision", "binary_f1", "binary_precision"}
BINARY |= {"binary_recall"}
REGRESSION = {"explained_variance", "mae", "mape", "mse", "pearson_corrcoef", "r2", "rmse", "spearman_corrcoef"}


@pytest.mark.parametrize("name", sorted(builtin("metric")))
def test_a_metric_updates_computes_and_resets(name: str) -> None:
    torch.manual_seed(0)
    takes_classes = "num_classes" in inspect.signature(plugins.find("metric", name).load()).parameters
    metric = plugins.find("metric", name).load()(**({"num_classes": 3} if takes_classes else {}))
    assert isinstance(metric, torchmetrics.Metric)
    for _ in range(2):
        target = torch.tensor([0, 2, 1, 2, 0, 1])
        if name in BINARY:
            metric.update(torch.randn(6), target % 2)
        elif name in REGRESSION:
            metric.update(torch.randn(6), torch.randn(6))
        else:
            metric.update(torch.randn(6, 3), target)
    assert metric.compute().ndim == 0 and metric.compute().isfinite()
    metric.reset()
    assert not metric.update_called
