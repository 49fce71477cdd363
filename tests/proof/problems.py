"""What the proof trains: small data and small plain models, handed to stepkit as a stranger's classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from stepkit import DataSpec, plugins

SEED = 0
BATCH_SIZE = 4
SAMPLES = 23  # six batches, the last one of three samples: with four micro-batches a step, windows of four and two


class Spread:
    """A data plugin of stepkit over whole tensors; the test part is left out, since nothing is tested here."""

    spec = DataSpec("classification", in_features=6, num_classes=3)

    def setup(self, seed: int, fold: int | None = None, folds: int | None = None) -> None:
        self.train, self.val = self.parts()

    @staticmethod
    def parts() -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """((x, y) for training, (x, y) for validation)."""
        raise NotImplementedError


class Points(Spread):
    """x [N, 6] of numbers; the class is that of the largest of its first three, so that there is something to learn."""

    @staticmethod
    def parts() -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        x = torch.randn(SAMPLES + 6, 6, generator=torch.Generator().manual_seed(1))
        y = x[:, :3].argmax(dim=1)
        return (x[:SAMPLES], y[:SAMPLES]), (x[SAMPLES:], y[SAMPLES:])


class Words(Spread):
    """x [N, 3] of token numbers below 12; the class is that of the first token, modulo three."""

    @staticmethod
    def parts() -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        x = torch.randint(12, (SAMPLES + 6, 3), generator=torch.Generator().manual_seed(1))
        y = x[:, 0] % 3
        return (x[:SAMPLES], y[:SAMPLES]), (x[SAMPLES:], y[SAMPLES:])


class Net(nn.Module):
    """Matrices, biases, a norm with running statistics, and dropout, which draws random numbers at every step."""

    def __init__(self, in_features: int = 6, num_classes: int = 3) -> None:
        super().__init__()
        self.hidden, self.norm = nn.Linear(in_features, 5, bias=False), nn.BatchNorm1d(5)
        self.dropout, self.out = nn.Dropout(0.1), nn.Linear(5, num_classes)

    def forward(self, x: Tensor) -> Any:
        return self.out(self.dropout(self.norm(self.hidden(x)).tanh()))


class Matrices(nn.Module):
    """Two matrices and nothing else: all that torch.optim.Muon takes."""

    def __init__(self, in_features: int = 6, num_classes: int = 3) -> None:
        super().__init__()
        self.hidden, self.out = nn.Linear(in_features, 5, bias=False), nn.Linear(5, num_classes, bias=False)

    def forward(self, x: Tensor) -> Any:
        return self.out(self.hidden(x).tanh())


class Table(nn.Module):
    """An embedding with sparse gradients under a fixed matrix: all that torch.optim.SparseAdam takes."""

    def __init__(self, num_classes: int = 3) -> None:
        super().__init__()
        self.embedding = nn.Embedding(12, 4, sparse=True)
        self.register_buffer("mix", torch.randn(4, num_classes))

    def forward(self, x: Tensor) -> Any:
        return self.embedding(x).mean(dim=1) @ self.mix


@dataclass(frozen=True)
class Problem:
    """A model and its data."""

    model: type[nn.Module]
    data: type[Spread]

    def overrides(self) -> list[str]:
        """As a user of the Python interface hands them over."""
        model, data = plugins.hand_over("model", self.model), plugins.hand_over("data", self.data)
        return ["experiment=null", f"model={model}", f"data={data}", f"data.batch_size={BATCH_SIZE}", f"seed={SEED}"]

    def fresh(self) -> nn.Module:
        """The model as it is initialised from the seed."""
        torch.manual_seed(SEED)
        return self.model()


PROBLEMS = {"net": Problem(Net, Points), "matrices": Problem(Matrices, Points), "sparse": Problem(Table, Words)}
