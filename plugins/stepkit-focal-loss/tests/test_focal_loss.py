"""Against the formula, term by term."""

import math

import pytest
import torch
from stepkit_focal_loss import FocalLoss


@pytest.mark.parametrize("gamma", [0.0, 1.0, 2.5])
def test_it_is_the_formula_of_the_paper(gamma: float) -> None:
    scores = torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    target = torch.tensor([0, 1, 2, 3, 0, 1])
    total = 0.0
    for row, right in zip(scores.tolist(), target.tolist(), strict=True):
        p = math.exp(row[right]) / sum(math.exp(score) for score in row)
        total += (1 - p) ** gamma * -math.log(p)
    assert FocalLoss(gamma)(scores, target).item() == pytest.approx(total / 6, rel=1e-12)


def test_gamma_zero_is_cross_entropy() -> None:
    scores, target = torch.randn(5, 3), torch.tensor([0, 1, 2, 1, 0])
    assert torch.allclose(FocalLoss(0.0)(scores, target), torch.nn.functional.cross_entropy(scores, target))
