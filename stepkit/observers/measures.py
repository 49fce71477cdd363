"""Measures over all parameters at once: pure tensor functions that stay on the device."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def norms(tensors: Sequence[Tensor]) -> Tensor:
    """|t| of each tensor, shape [len(tensors)], in one fused call; sparse tensors by their values."""
    dense = [t._values() if t.is_sparse else t for t in tensors]
    return torch.stack(torch._foreach_norm(dense))


def total_norm(tensors: Sequence[Tensor]) -> Tensor:
    """|(t_1, …, t_n)| of all tensors as one vector: sqrt of the sum of squared norms. A scalar."""
    total: Tensor = torch.linalg.vector_norm(norms(tensors))
    return total
