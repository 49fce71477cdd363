"""Trainings with one fault each, and data to train them on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

import stepkit as sk

FEATURES, CLASSES, WIDTH = 16, 4, 32


class Blobs:
    """Points around four centres: an easy task. `train` samples to learn from, labels of `wrong` of all shuffled."""

    def __init__(self, train: int = 480, wrong: float = 0.0, spread: float = 1.0, scale: float = 1.0) -> None:
        self.size, self.wrong, self.spread, self.scale = train, wrong, spread, scale
        self.spec = sk.DataSpec("classification", in_features=FEATURES, num_classes=CLASSES)

    def setup(self, seed: int, fold: int | None = None, folds: int | None = None) -> None:
        draw = torch.Generator().manual_seed(seed)
        n = self.size + 400
        centres = torch.randn(CLASSES, FEATURES, generator=draw)
        y = torch.randint(CLASSES, (n,), generator=draw)
        x = (centres[y] + self.spread * torch.randn(n, FEATURES, generator=draw)) * self.scale
        shuffled = int(self.wrong * n)
        y[:shuffled] = y[:shuffled][torch.randperm(shuffled, generator=draw)]
        order = torch.randperm(n, generator=draw)
        x, y = x[order], y[order]
        self.train, self.val = (x[: self.size], y[: self.size]), (x[self.size :], y[self.size :])


def deep(activation: type[nn.Module], depth: int = 8, gain: float = 1.0) -> nn.Sequential:
    layers: list[nn.Module] = []
    for number in range(depth):
        layers += [nn.Linear(FEATURES if number == 0 else WIDTH, WIDTH), activation()]
    for layer in layers:
        if isinstance(layer, nn.Linear):
            nn.init.xavier_normal_(layer.weight, gain)
    return nn.Sequential(*layers, nn.Linear(WIDTH, CLASSES))


class DeepSigmoid(nn.Sequential):
    """Each sigmoid lets a quarter of the gradient through at most."""

    def __init__(self) -> None:
        super().__init__(*deep(nn.Sigmoid))


class Amplifying(nn.Sequential):
    """The layers make their input small, and the last makes it up by huge weights, which backward multiplies by."""

    def __init__(self) -> None:
        super().__init__(*deep(nn.Identity, gain=0.2))
        with torch.no_grad():
            self[-1].weight.mul_(0.2**-8)


class Saturated(nn.Sequential):
    """Weights so large that tanh is at its ends for every input."""

    def __init__(self) -> None:
        super().__init__(*deep(nn.Tanh, depth=2, gain=60.0))


class DeadMiddle(nn.Module):
    """A hidden layer whose biases keep its ReLU at zero for every input."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.middle, self.last = (
            nn.Linear(FEATURES, WIDTH),
            nn.Linear(WIDTH, WIDTH),
            nn.Linear(WIDTH, CLASSES),
        )
        self.relus = nn.ModuleList([nn.ReLU(), nn.ReLU()])
        nn.init.constant_(self.middle.bias, -50.0)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relus[0](self.first(x))
        return self.last(self.relus[1](self.middle(x)))


class Unconnected(nn.Module):
    """A branch that is made, and never used."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(FEATURES, WIDTH), nn.ReLU(), nn.Linear(WIDTH, CLASSES))
        self.branch = nn.Linear(FEATURES, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


class Cut(Unconnected):
    """The branch is used, but its part in the output is nothing."""

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x) + 0.0 * self.branch(x)


class Wide(nn.Sequential):
    """Enough parameters to learn a few samples by heart."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(FEATURES, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, CLASSES))


@dataclass(frozen=True)
class Plant:
    """A fault, and what the doctor is to say of it: the kind, the places among those that it names, the try."""

    name: str
    kind: str
    overrides: Sequence[str]
    model: type[nn.Module] | str = "mlp"
    places: Sequence[str] = ()
    tries: str = ""


TINY = ("optimizer.lr=1e-7",)
HUGE = ("optimizer=sgd", "optimizer.lr=30", "data.scale=3")
BY_HEART = ("data.train=48", "data.spread=3", "trainer.max_epochs=60", "optimizer.weight_decay=0")
OVER = ("scheduler=polynomial", "scheduler.total_iters=3")
NOISY = (
    *("data.wrong=1", "data.train=1600", "data.batch_size=2", "step.accumulate=4", "optimizer=sgd"),
    *("optimizer.lr=1e-2", "trainer.max_epochs=4", "observe.statistics_every=1"),
)
BRANCH = ("branch.weight", "branch.bias")

PLANTS = (
    Plant("sigmoids eight deep", "vanishing gradients", (), DeepSigmoid, ("0", "2")),
    Plant("layers that amplify", "exploding gradients", ("optimizer.lr=1e-6",), Amplifying, ("12", "14")),
    Plant("a huge learning rate", "exploding gradients", HUGE, tries="step.clip=1.0"),
    Plant("a huge learning rate", "numbers gone wrong", HUGE, tries="optimizer.lr=3"),
    Plant("a large learning rate", "updates too large", ("optimizer.lr=3",), tries="optimizer.lr="),
    Plant("a tiny learning rate", "updates too small", TINY, places=("layers.0.weight",), tries="optimizer.lr="),
    Plant("a tiny learning rate", "loss not falling", TINY, tries="optimizer.lr="),
    Plant("ReLUs below zero", "dead units", ("optimizer.lr=1e-4",), DeadMiddle, ("middle.weight", "middle.bias")),
    Plant("tanh at its ends", "saturated units", ("optimizer.lr=1e-5",), Saturated),
    Plant("a branch never used", "parameters that never move", (), Unconnected, BRANCH),
    Plant("a branch times zero", "parameters that never move", (), Cut, BRANCH),
    Plant("few samples", "overfitting", BY_HEART, Wide, tries="optimizer.weight_decay=0.1"),
    Plant("a clip of 0.001", "clipping always bites", ("step.clip=1e-3",), tries="step.clip="),
    Plant("labels shuffled", "loss at chance", ("data.wrong=1",), tries="stepkit check"),
    Plant("a schedule that is over", "learning rate zero", OVER, tries="scheduler=null"),
    Plant("mostly noise", "gradient noise", NOISY, tries="step.accumulate=16"),
)


def trained(plant: Plant, *more: str) -> sk.Run:
    given = [text for text in plant.overrides if not text.startswith("trainer.max_epochs")]
    epochs = [text for text in plant.overrides if text.startswith("trainer.max_epochs")] or ["trainer.max_epochs=8"]
    return sk.run("experiment=null", *epochs, *given, *more, data=Blobs, model=plant.model)
