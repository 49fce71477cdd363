"""Silent mistakes become errors at the first batch, before anything is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import stepkit as sk
from stepkit.guards.first_batch import undisturbed


class Data:
    """Small tensors as a data plugin; each test gives x and y."""

    x = torch.zeros(40, 3)
    y: Tensor = torch.zeros(40)
    task = "regression"

    def setup(self, seed: int, fold: int | None = None, folds: int | None = None) -> None:
        self.spec = sk.DataSpec(task=self.task, in_features=3, out_features=1, num_classes=4)  # type: ignore[arg-type]
        self.train = self.val = self.test = (self.x, self.y)


def data(y: Tensor, task: str = "regression") -> type[Data]:
    return type("Data", (Data,), {"x": torch.randn(len(y), 3), "y": y, "task": task})


class Classes(nn.Linear):
    def __init__(self, in_features: int, num_classes: int) -> None:
        super().__init__(in_features, num_classes)


class Flat(nn.Module):
    """Predictions of shape [N]."""

    def __init__(self, in_features: int) -> None:
        super().__init__()
        self.net = nn.Linear(in_features, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x).squeeze(1)


class Detached(Classes):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).detach()


class Frozen(Classes):
    def __init__(self, in_features: int, num_classes: int) -> None:
        super().__init__(in_features, num_classes)
        self.requires_grad_(False)


class Elsewhere(nn.Module):
    """Trains a parameter that no optimizer can see, and shows it one that forward does not use."""

    def __init__(self, in_features: int, num_classes: int) -> None:
        super().__init__()
        self.shown = nn.Linear(2, 2)
        self.used = [nn.Linear(in_features, num_classes)]

    def forward(self, x: Tensor) -> Tensor:
        return self.used[0](x)


class Broken(Classes):
    def forward(self, x: Tensor) -> Tensor:
        output = super().forward(x).exp()
        return output.add_(1)  # exp needs its own output for its gradient


LABELS = torch.arange(40) % 4
BAD_LABELS = torch.where(torch.arange(40) == 17, 7, LABELS)
COMMON = ("experiment=null", "optimizer.lr=0.1", "trainer.max_epochs=1", "data.batch_size=40", "metric=null")
CASES: list[tuple[dict[str, Any], list[str], str]] = [
    ({"data": data(LABELS, "classification"), "model": Elsewhere}, [], r"holds 2 parameters and the loss reaches none"),
    ({"data": data(LABELS, "classification"), "model": Broken}, [], r"loss\.backward\(\) fails: .*inplace"),
    (
        {"data": data(LABELS, "classification"), "model": Classes},
        ["optimizer=lbfgs", "step.nonfinite=skip"],
        r"step\.nonfinite=skip: LBFGS evaluates the loss itself",
    ),
    (
        {"data": data(torch.randn(40, 1)), "model": Flat},
        ["loss=mse"],
        r"predictions \[40\] against targets \[40, 1\].*broadcast",
    ),
    ({"data": data(torch.randn(40)), "model": "linear"}, ["loss=l1"], r"predictions \[40, 1\] against targets \[40\]"),
    ({"data": data(BAD_LABELS, "classification"), "model": Classes}, [], r"class 7 of sample 17 .* 4 classes, 0 to 3"),
    (
        {"data": data(LABELS.float(), "classification"), "model": Classes},
        [],
        r"class numbers, the targets are torch.float32",
    ),
    (
        {"data": data(LABELS, "classification"), "model": Classes},
        ["loss=cross_entropy", "loss.reduction=none"],
        r"not one number",
    ),
    (
        {"data": data(LABELS, "classification"), "model": Detached},
        [],
        r"does not depend on any parameter: it was detached",
    ),
    ({"data": data(LABELS, "classification"), "model": Frozen}, [], r"no trainable parameter"),
    (
        {"data": data(LABELS, "classification"), "model": Flat},
        [],
        r"wants scores \[N, classes\], the model gives \[40\]",
    ),
    (
        {"data": data(LABELS, "classification"), "model": Classes},
        ["model.in_features=5"],
        r"does not take x of \[40, 3\]",
    ),
    (
        {"data": data(LABELS, "classification"), "model": Classes},
        ["data.batch_size=41"],
        r"batch_size=41.*larger than the training",
    ),
    ({"data": data(LABELS, "classification"), "model": Classes}, ["loss=null"], r"loss=null"),
]


@pytest.mark.parametrize(("parts", "overrides", "said"), CASES, ids=[said for _, _, said in CASES])
def test_a_silent_mistake_is_told_with_the_shapes_or_values_seen(
    parts: dict[str, Any], overrides: list[str], said: str, own_folder: Path
) -> None:
    with pytest.raises(sk.UserError, match=said) as caught:
        sk.run(*COMMON, *overrides, **parts)
    assert len(caught.value.lines) == 1
    assert not (own_folder / "outputs").exists()


def test_trying_a_batch_leaves_no_trace() -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
    before = {name: value.clone() for name, value in module.state_dict().items()}
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    with undisturbed(module):
        module(torch.randn(8, 3)).sum().backward()
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert all(parameter.grad is None for parameter in module.parameters())
