"""The gradient of k micro-batches against that of the one big batch, and why they may differ."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..observers import measures
from ..observers.graph import Graph
from ..observers.tensors import map_tensors, tensors_of
from .by_hand import Hand
from .findings import Accumulation

BATCH_NORM = ("NativeBatchNorm", "CudnnBatchNorm", "BatchNorm")
CANNOT = (RuntimeError, IndexError, TypeError, ValueError)


def compare(hand: Hand, graph: Graph) -> Accumulation | None:
    """The run's micro-batches against them joined; a run without accumulation: its batch against its two halves.

    None where the batches cannot be joined or cut, or a part gives no gradient.
    """
    try:
        small, big = _joined(hand.taken.batches) if len(hand.taken.batches) > 1 else _halved(hand.taken.batches[0])
        of_small, drawn = hand.gradients_of(small)
        of_big, _ = hand.gradients_of([big])
    except CANNOT:
        return None
    length = norm(*of_big.values())
    if not length or of_small.keys() != of_big.keys():
        return None
    off = norm(*(of_small[name] - of_big[name] for name in of_big)) / length
    return Accumulation(len(small), off, tuple(_reasons(hand.module.loss, graph, small, drawn)))


def _joined(batches: list[Any]) -> tuple[list[Any], Any]:
    parts = [tensors_of(batch) for batch in batches]
    columns = iter([torch.cat(column) for column in zip(*parts, strict=True)])
    return batches, map_tensors(batches[0], lambda _: next(columns))


def _halved(batch: Any) -> tuple[list[Any], Any]:
    n = len(tensors_of(batch)[0])
    half = n // 2
    if not half or any(len(tensor) != n for tensor in tensors_of(batch)):
        raise ValueError("a batch of one sample, or of parts of unequal length")
    whole = map_tensors(batch, lambda t: t[: 2 * half])
    return [map_tensors(whole, lambda t: t[:half]), map_tensors(whole, lambda t: t[half:])], whole


def _reasons(loss: Any, graph: Graph, batches: list[Any], drawn: bool) -> list[str]:
    sizes = {len(tensors_of(batch)[0]) for batch in batches}
    weights = isinstance(loss, nn.Module) and getattr(loss, "weight", None) is not None
    found = {
        "BatchNorm takes its statistics from each micro-batch": any(k in BATCH_NORM for k in graph.facts().operations),
        "random numbers (dropout) are drawn anew for each micro-batch": drawn,
        "micro-batches of unequal size count alike": len(sizes) > 1,
        "reduction=sum is divided by their number": getattr(loss, "reduction", "mean") == "sum",
        "weights of classes are normalised in each micro-batch": weights,
    }
    return [reason for reason, holds in found.items() if holds]


def norm(*tensors: Tensor) -> float:
    """The norm of all together; squares of half precision would overflow."""
    return float(measures.total(measures.norms([tensor.detach().double() for tensor in tensors]))) if tensors else 0.0
