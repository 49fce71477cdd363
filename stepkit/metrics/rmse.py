"""Root mean squared error, in the target's own unit."""

from __future__ import annotations

from typing import Any

from torchmetrics.regression import MeanSquaredError


class RootMeanSquaredError(MeanSquaredError):
    """torchmetrics' MeanSquaredError with its root taken.

    Shapes: predictions and targets [N], or [N, num_outputs].
    """

    def __init__(self, num_outputs: int = 1, **kwargs: Any) -> None:
        super().__init__(squared=False, num_outputs=num_outputs, **kwargs)
