"""stepkit's own metrics against the plain arithmetic."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchmetrics.classification import MulticlassAccuracy

from stepkit.metrics.accuracy import Accuracy
from stepkit.metrics.bits_per_character import BitsPerCharacter
from stepkit.metrics.rmse import RootMeanSquaredError

LOGITS = st.integers(1, 5).flatmap(
    lambda n: st.lists(st.lists(st.floats(-20, 20, width=32), min_size=3, max_size=3), min_size=n, max_size=n)
)


@given(st.lists(LOGITS, min_size=1, max_size=4), st.integers(0, 2))
def test_bits_per_character_is_the_mean_over_all_characters_of_all_batches(
    batches: list[list[list[float]]], target: int
) -> None:
    metric = BitsPerCharacter()
    bits = []
    for logits in batches:
        metric.update(torch.tensor(logits), torch.full((len(logits),), target))
        bits += [-math.log2(math.exp(row[target]) / sum(math.exp(value) for value in row)) for row in logits]
    assert metric.compute().item() == pytest.approx(sum(bits) / len(bits), rel=1e-4, abs=1e-4)


def test_bits_per_character_reads_windows_as_it_reads_single_characters() -> None:
    torch.manual_seed(0)
    logits, targets = torch.randn(4, 5, 7), torch.randint(7, (4, 5))
    windows, single = BitsPerCharacter(), BitsPerCharacter()
    windows.update(logits, targets)
    single.update(logits.reshape(20, 7), targets.reshape(20))
    assert windows.compute() == single.compute()
    with pytest.raises(ValueError, match="one vector"):
        windows.update(logits, targets[:, :4])


def test_even_guesses_cost_the_logarithm_of_the_vocabulary() -> None:
    metric = BitsPerCharacter()
    metric.update(torch.zeros(3, 64), torch.tensor([0, 1, 63]))
    assert metric.compute().item() == pytest.approx(6.0)


def test_accuracy_counts_samples_and_balanced_accuracy_classes() -> None:
    logits = torch.eye(3)[[0, 0, 0, 0, 0]]
    target = torch.tensor([0, 0, 0, 0, 1])
    accuracy, balanced = Accuracy(num_classes=3), MulticlassAccuracy(num_classes=3)
    accuracy.update(logits, target)
    balanced.update(logits, target)
    assert accuracy.compute().item() == pytest.approx(4 / 5)
    assert balanced.compute().item() == pytest.approx(1 / 2)


def test_rmse_is_in_the_targets_unit() -> None:
    metric = RootMeanSquaredError()
    metric.update(torch.tensor([1.0, 2.0]), torch.tensor([4.0, -2.0]))
    assert metric.compute().item() == pytest.approx(math.sqrt((9 + 16) / 2))
