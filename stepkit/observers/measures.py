"""Measures over many tensors at once: pure functions, on the tensors' own device, one definition each.

A sparse tensor is measured as the dense one that it stands for, a complex number as its two parts, and half-width
floats in float32. All results are float32 or integers; nothing waits for the device.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

LOWEST, HIGHEST = -40, 24  # the log2 magnitudes that distributions tell apart
AT_ONCE = 1 << 24  # entries whose exponents are counted in one go: some 30 bytes each while it lasts
NARROW = (torch.float16, torch.bfloat16)


def dense(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Real and dense: what a sparse tensor stores, summed; a complex one's real and imaginary parts."""
    return [_dense(t) if t.is_sparse or t.is_complex() else t for t in tensors]


def _dense(tensor: Tensor) -> Tensor:
    values = tensor.coalesce().values() if tensor.is_sparse else tensor
    return torch.view_as_real(values) if values.is_complex() else values


def entries(tensor: Tensor) -> int:
    """How many real numbers a tensor stands for."""
    return tensor.numel() * (2 if tensor.is_complex() else 1)


def norms(tensors: Sequence[Tensor]) -> Tensor:
    """|t_i| = sqrt(sum of squares) of each of P tensors, [P]."""
    if not tensors:
        return torch.empty(0)
    parts = dense(tensors)
    kinds = {t.dtype for t in parts}
    if kinds.issubset(NARROW):
        return torch.stack(torch._foreach_norm(parts, 2, dtype=torch.float32))
    if len(kinds) > 1:
        parts = [t.float() if t.dtype in NARROW else t for t in parts]
    return torch.stack(torch._foreach_norm(parts)).float()


def total(parts: Tensor) -> Tensor:
    """The norm of all tensors as one vector, from the norms of the parts: sqrt(sum |t_i|^2). A scalar."""
    whole: Tensor = torch.linalg.vector_norm(parts)
    return whole


def dots(a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    """<a_i, b_i> of each of P pairs, real parts multiplied with real and imaginary with imaginary ones, [P]."""
    return torch.stack([_dot(x, y) for x, y in zip(a, b, strict=True)]) if a else torch.empty(0)


def _dot(x: Tensor, y: Tensor) -> Tensor:
    if x.is_sparse or y.is_sparse:
        x, y = x.to_dense(), y.to_dense()  # they may store different rows
    x, y = (t.float() if t.dtype in NARROW else t for t in dense([x, y]))
    return torch.dot(x.reshape(-1), y.reshape(-1)).float()


def cosine(a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    """<a, b> / (|a| |b|) of all tensors as one vector; NaN if either is zero. A scalar."""
    return dots(a, b).sum() / (total(norms(a)) * total(norms(b)))


def zeros(tensors: Sequence[Tensor]) -> Tensor:
    """How many entries of each of P tensors are exactly zero, [P]."""
    sizes = torch.tensor([entries(t) for t in tensors])
    stored = [torch.count_nonzero(t) for t in dense(tensors)]
    return sizes.to(stored[0].device, non_blocking=True) - torch.stack(stored) if stored else sizes


def nonfinite(tensors: Sequence[Tensor]) -> Tensor:
    """How many entries of each of P tensors are NaN or infinite, [P]."""
    # 0 x is NaN for these and zero for all others: four times as fast as isfinite and a sum.
    counts = [torch.count_nonzero(t) for t in torch._foreach_mul(dense(tensors), 0.0)] if tensors else []
    return torch.stack(counts) if counts else torch.zeros(0)


def share(counts: Tensor, tensors: Sequence[Tensor]) -> Tensor:
    """Counts a tensor [P] as a share of all entries. A scalar."""
    return counts.sum().float() / max(1, sum(entries(t) for t in tensors))


def noise_scale(small: Tensor, large: Tensor, small_batch: float, large_batch: float) -> Tensor:
    """The simple gradient noise scale tr(Σ) / |G|^2, in samples: the batch size above which averaging gains little.

    McCandlish et al. 2018, "An Empirical Model of Large-Batch Training", appendix A.1: from the squared norm of the
    gradient of a small batch (the mean over several) and of a large one, unbiased estimates of |G|^2 and tr(Σ) are

        |G|^2 = (B_large |g_large|^2 - B_small |g_small|^2) / (B_large - B_small)
        tr(Σ) = (|g_small|^2 - |g_large|^2) / (1 / B_small - 1 / B_large)

    Of one step it is a rough figure, and negative where the estimate of |G|^2 is: average before use.

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
    stored = [t.detach().reshape(-1) for t in dense(tensors)]
    counts = torch.zeros(len(tensors) * bins, dtype=torch.int64, device=stored[0].device if stored else None)
    for numbers, parts in _groups(stored):
        flat = torch.cat([part.float() for part in parts])
        _, power = torch.frexp(flat)  # x = m 2^power with 1/2 <= |m| < 1: floor(log2 |x|) is power - 1
        column = (power - LOWEST).clamp_(1, bins - 1).masked_fill_((flat == 0) | ~torch.isfinite(flat), 0)
        first = torch.tensor([number * bins for number in numbers], device=flat.device)
        sizes = torch.tensor([len(part) for part in parts], device=flat.device)
        row = torch.repeat_interleave(first, sizes, output_size=len(flat))
        counts += torch.bincount(row + column, minlength=len(counts))
    table = counts.view(len(tensors), bins)
    unstored = [entries(t) - len(part) for t, part in zip(tensors, stored, strict=True)]
    if any(unstored):
        table[:, 0] += torch.tensor(unstored, device=table.device)
    return table


def _groups(flat: Sequence[Tensor]) -> list[tuple[list[int], list[Tensor]]]:
    """The tensors [n], long ones cut, in groups of some AT_ONCE entries, each with its tensor's number."""
    groups: list[tuple[list[int], list[Tensor]]] = []
    room = 0
    for number, tensor in enumerate(flat):
        for part in torch.split(tensor, AT_ONCE):
            if len(part) > room or not groups:
                groups.append(([], []))
                room = AT_ONCE
            groups[-1][0].append(number)
            groups[-1][1].append(part)
            room -= len(part)
    return groups


def edges() -> list[float]:
    """The edges of the columns of `exponents` on the log2 axis; zeros stand one bin to the left of all."""
    return [float(LOWEST - 1), *(float(power) for power in range(LOWEST, HIGHEST + 1))]


def dead_share(activations: Tensor) -> Tensor:
    """The share of units that are zero for every sample: units are the last dimension, of [N, C, H, W] the channels.
    A scalar."""
    units = activations.movedim(1, -1) if activations.ndim > 3 else activations
    return (units.reshape(-1, units.shape[-1]) == 0).all(dim=0).float().mean()


def saturated_share(activations: Tensor, low: float, high: float, within: float = 0.01) -> Tensor:
    """The share of entries within 1 % of a bounded function's range from its ends. A scalar."""
    margin = (high - low) * within
    return ((activations < low + margin) | (activations > high - margin)).float().mean()
