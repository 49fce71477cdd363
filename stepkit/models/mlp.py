"""A multi-layer perceptron."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from torch import Tensor, nn

NORMALIZATIONS = {"batch": nn.BatchNorm1d, "layer": nn.LayerNorm}


class MLP(nn.Module):
    """x [N, …] (flattened to [N, in_features]) to scores [N, out_features].

    Args:
        hidden: width of each hidden layer.
        dropout: probability of zeroing a hidden activation while training.
        normalization: of each hidden layer before its ReLU: "batch", "layer", or none.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        hidden: Sequence[int] = (64,),
        dropout: float = 0.0,
        normalization: Literal["batch", "layer"] | None = None,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for fan_in, fan_out in pairwise([in_features, *hidden]):
            layers.append(nn.Linear(fan_in, fan_out))
            if normalization:
                layers.append(NORMALIZATIONS[normalization](fan_out))
            layers.append(nn.ReLU())
            if dropout:
                layers.append(nn.Dropout(dropout))
        last = hidden[-1] if hidden else in_features
        self.layers = nn.Sequential(*layers, nn.Linear(last, out_features))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x.flatten(1))  # type: ignore[no-any-return]
