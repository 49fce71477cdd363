"""Columns scaled to mean 0 and standard deviation 1."""

from __future__ import annotations

import torch
from torch import Tensor


class Standardize:
    """(x - mean) / scale for every column, with the statistics of the rows it was fitted on.

    Fit it on the training split alone. Before `fit` it changes nothing. A constant column is shifted to 0 and
    not scaled.
    """

    def __init__(self) -> None:
        self.mean = torch.zeros((), dtype=torch.float64)
        self.scale = torch.ones((), dtype=torch.float64)

    def fit(self, x: Tensor) -> Standardize:
        """Take mean and standard deviation (of the population, in float64) over the rows of x [n, ...]."""
        constant = (x == x[:1]).all(dim=0)  # exact: a tiny deviation from rounding would blow the column up
        exact = x.to("cpu", torch.float64)
        self.mean = exact.mean(dim=0)
        self.scale = exact.std(dim=0, correction=0).masked_fill(constant.cpu(), 1.0)
        return self

    def __call__(self, x: Tensor) -> Tensor:
        """x [n, ...] in standard units: in its own dtype if that is a float, else float32."""
        x = x if x.is_floating_point() else x.float()
        return (x - self.mean.to(x)) / self.scale.to(x)

    def inverse(self, x: Tensor) -> Tensor:
        """x [n, ...] from standard units back to the data's own."""
        return x * self.scale.to(x) + self.mean.to(x)

    def state_dict(self) -> dict[str, Tensor]:
        """The statistics, for a checkpoint."""
        return {"mean": self.mean, "scale": self.scale}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """The inverse of `state_dict`."""
        self.mean, self.scale = state["mean"], state["scale"]
