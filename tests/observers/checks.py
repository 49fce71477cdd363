"""What the event file says, against what the spy saw; and the optimizers that the tests use."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from .runs import Read, Spy, difference, length


def sgd(groups: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(groups, lr=0.1, momentum=0.9)


def adam(groups: Any) -> torch.optim.Optimizer:
    return torch.optim.Adam(groups, lr=1e-2, fused=True)


def rough(expected: Any, rel: float = 1e-5) -> Any:
    return pytest.approx(expected, rel=rel, abs=1e-7, nan_ok=True)


def check_norms(read: Read, spy: Spy, rel: float = 1e-5) -> None:
    """Of each parameter and in total, at every step."""
    names, rows = read.norms()
    assert list(rows) == spy.steps and len(spy.steps) > 1
    for row, seen in zip(rows.values(), spy.gradients, strict=True):
        expected = [length([seen[name]]) if name in seen else math.nan for name in names]
        assert row.tolist() == rough(expected, rel)
    total = read.scalars("gradient/norm")
    assert [total[s] for s in spy.steps] == rough([length(seen.values()) for seen in spy.gradients], rel)


def check_updates(read: Read, spy: Spy, rel: float = 1e-4) -> None:
    """|Δθ|, |θ| and their ratio, from the parameters themselves."""
    moved = [difference(after, before) for after, before in zip(spy.after, spy.before, strict=True)]
    weights = [length(before.values()) for before in spy.before]
    assert min(moved) > 0
    for tag, expected in {
        "update/norm": moved,
        "weight/norm": weights,
        "update/ratio": [m / w for m, w in zip(moved, weights, strict=True)],
    }.items():
        found = read.scalars(tag)
        assert list(found) == spy.steps and list(found.values()) == rough(expected, rel), tag
