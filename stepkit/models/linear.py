"""One linear layer: softmax or linear regression, the baseline to beat."""

from __future__ import annotations

from torch import Tensor, nn


class Linear(nn.Module):
    """x [N, …] (flattened to [N, in_features]) to scores [N, out_features]."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.layer = nn.Linear(in_features, out_features)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.flatten(1))  # type: ignore[no-any-return]
