"""The focal loss of Lin et al. 2017, equation 4, for several classes."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class FocalLoss(nn.Module):
    """mean of (1 - p)^gamma * -log p, p being the probability of the right class; gamma 0 is cross entropy.

    Args:
        gamma: how much less a sample counts that is already right.
    """

    def __init__(self, gamma: float = 2.0) -> None:
        super().__init__()
        self.gamma = gamma

    def forward(self, scores: Tensor, target: Tensor) -> Tensor:
        """scores [N, classes], target [N] class numbers -> a scalar."""
        log_p = torch.log_softmax(scores, dim=1).gather(1, target.unsqueeze(1)).squeeze(1)
        return (-((1 - log_p.exp()) ** self.gamma) * log_p).mean()
