"""Measures over many tensors at once: pure functions, fused, on the tensors' own device, one definition each.

`dense` first makes of every gradient a real, dense tensor of the same norm: a sparse one its summed values, a complex
one its real and imaginary parts.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

LOWEST, HIGHEST = -40, 24  # the log2 magnitudes that distributions tell apart


def dense(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Real and dense, with the same norm and the same share of zeros among what is stored."""
    return [_dense(t) if t.is_sparse or t.is_complex() else t for t in tensors]


def _dense(tensor: Tensor) -> Tensor:
    values = tensor.coalesce().values() if tensor.is_sparse else tensor
    return torch.view_as_real(values) if values.is_complex() else values


def norms(tensors: Sequence[Tensor]) -> Tensor:
    """|t_i| = sqrt(sum of squares) of each of P tensors, float32 [P]."""
    return torch.stack([norm.float() for norm in torch._foreach_norm(dense(tensors))])


def total(parts: Tensor) -> Tensor:
    """The norm of all tensors as one vector, from the norms of the parts: sqrt(sum |t_i|^2). A scalar."""
    whole: Tensor = torch.linalg.vector_norm(parts)
    return whole


def dots(a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    """<a_i, b_i> of each pair, float32 [P]."""
    products = torch._foreach_mul(dense(a), dense(b))
    return torch.stack([product.sum(dtype=torch.float32) for product in products])


def cosine(a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    """<a, b> / (|a| |b|) of all tensors as one vector; NaN if either is zero. A scalar."""
    return dots(a, b).sum() / (total(norms(a)) * total(norms(b)))


def zero_share(tensors: Sequence[Tensor]) -> Tensor:
    """The share of exact zeros among all entries. A scalar."""
    parts = dense(tensors)
    nonzero = torch.stack([torch.count_nonzero(t) for t in parts]).sum()
    return 1 - nonzero.float() / max(1, sum(t.numel() for t in parts))


def nonfinite_share(tensors: Sequence[Tensor]) -> Tensor:
    """The share of NaN and infinite entries among all. A scalar."""
    parts = dense(tensors)
    finite = torch.stack([torch.isfinite(t).sum() for t in parts]).sum()
    return 1 - finite.float() / max(1, sum(t.numel() for t in parts))


def noise_scale(small: Tensor, large: Tensor, small_batch: float, large_batch: float) -> Tensor:
    """The simple gradient noise scale tr(Σ) / |G|^2, in samples: the batch size above which averaging gains little.

    McCandlish et al. 2018, "An Empirical Model of Large-Batch Training", appendix A.1: from the squared norm of the
    gradient of a small batch (the mean over several) and of a large one, unbiased estimates of |G|^2 and tr(Σ) are

        |G|^2 = (B_large |g_large|^2 - B_small |g_small|^2) / (B_large - B_small)
        tr(Σ) = (|g_small|^2 - |g_large|^2) / (1 / B_small - 1 / B_large)

    Args:
        small, large: the squared norms, scalars.
        small_batch, large_batch: samples in each.
    """
    signal = (large_batch * large - small_batch * small) / (large_batch - small_batch)
    noise = (small - large) / (1 / small_batch - 1 / large_batch)
    return noise / signal


def exponents(tensors: Sequence[Tensor]) -> Tensor:
    """How many entries have which magnitude, int64 [P, HIGHEST - LOWEST + 1], in one pass over all P tensors.

    Column 0 counts zeros (and what is not finite), column k entries with LOWEST + k - 1 <= log2 |x| < LOWEST + k;
    smaller and larger ones fall into the first and last of these.
    """
    bins = HIGHEST - LOWEST + 1
    flat = torch.cat([t.detach().reshape(-1).float() for t in dense(tensors)])
    _, power = torch.frexp(flat)  # x = m 2^power with 1/2 <= |m| < 1: floor(log2 |x|) is power - 1
    column = (power - 1 - LOWEST + 1).clamp_(1, bins - 1)
    column = torch.where((flat == 0) | ~torch.isfinite(flat), torch.zeros_like(column), column)
    sizes = torch.tensor([t.numel() for t in dense(tensors)], device=flat.device)
    row = torch.repeat_interleave(torch.arange(len(tensors), device=flat.device), sizes)
    return torch.bincount(row * bins + column, minlength=len(tensors) * bins).view(len(tensors), bins)


def edges() -> list[float]:
    """The edges of the columns of `exponents` on the log2 axis; zeros stand one bin to the left of all."""
    return [float(LOWEST - 1), *(float(power) for power in range(LOWEST, HIGHEST + 1))]


def dead_share(activations: Tensor) -> Tensor:
    """The share of units (last dimension, or channels of [N, C, H, W]) that are zero for every sample. A scalar."""
    units = activations.transpose(1, -1) if activations.ndim > 2 else activations
    return (units.reshape(-1, units.shape[-1]) == 0).all(dim=0).float().mean()


def saturated_share(activations: Tensor, low: float, high: float, within: float = 0.01) -> Tensor:
    """The share of entries within 1 % of a bounded function's range from its ends. A scalar."""
    margin = (high - low) * within
    return ((activations < low + margin) | (activations > high - margin)).float().mean()
