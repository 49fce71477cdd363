"""The loss of a model that always guesses the same, from the validation targets: what learning has to beat."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class Chance:
    """Gathers the targets of one validation for a loss whose best constant guess is known.

    The guess is the best one for these very targets, so no model that ignores its input does better on them:

        cross entropy        the classes' shares p_c: their entropy, -Σ p_c ln p_c
        bce with logits      each output's share p of ones: -p ln p - (1 - p) ln (1 - p), the mean over outputs
        mean squared error   each output's mean: the variance, the mean over outputs

    Args:
        loss: the loss. Another kind than these, or one with weights, label smoothing or a sum instead of a mean, has
            no `value`.
    """

    def __init__(self, loss: object) -> None:
        self._loss = loss if _plain(loss) else None
        self._counts = torch.zeros(0, dtype=torch.int64)
        self._n, self._sum, self._squares = 0, torch.zeros(0), torch.zeros(0)

    def add(self, target: object) -> None:
        """Another batch's targets: class numbers of any shape, or numbers [N, …]."""
        if self._loss is None or not isinstance(target, Tensor) or not len(target):
            return
        target = target.detach().cpu()
        if isinstance(self._loss, nn.CrossEntropyLoss):
            self._classes(self._loss.ignore_index, target)
        else:
            self._numbers(target.double().reshape(len(target), -1))

    def _classes(self, ignored: int, target: Tensor) -> None:
        if target.is_floating_point():
            self._loss = None  # shares of classes a sample: their best guess is another
            return
        counts = torch.bincount(target[(target != ignored) & (target >= 0)].reshape(-1), minlength=len(self._counts))
        counts[: len(self._counts)] += self._counts
        self._counts = counts

    def _numbers(self, rows: Tensor) -> None:
        if not self._n:
            self._sum = self._squares = torch.zeros(rows.shape[1], dtype=torch.float64)
        if rows.shape[1] != len(self._sum):
            self._loss = None  # of changing size: outputs are not columns
            return
        self._n += len(rows)
        self._sum, self._squares = self._sum + rows.sum(0), self._squares + rows.square().sum(0)

    @property
    def value(self) -> float | None:
        """The loss of guessing, in the loss's own unit; None where it is not known."""
        if isinstance(self._loss, nn.CrossEntropyLoss):
            return _entropy((self._counts / self._counts.sum()).double()) if self._counts.sum() else None
        if self._loss is None or not self._n:
            return None
        mean = self._sum / self._n
        if isinstance(self._loss, nn.MSELoss):
            value = float((self._squares / self._n - mean.square()).mean())
        else:
            value = sum(_entropy(torch.stack([p, 1 - p])) for p in mean.clamp(0, 1)) / len(mean)
        return value if math.isfinite(value) else None


def _plain(loss: object) -> bool:
    if not isinstance(loss, nn.CrossEntropyLoss | nn.BCEWithLogitsLoss | nn.MSELoss) or loss.reduction != "mean":
        return False
    weighted = [getattr(loss, name, None) for name in ("weight", "pos_weight")]
    return all(weight is None for weight in weighted) and not getattr(loss, "label_smoothing", 0.0)


def _entropy(shares: Tensor) -> float:
    """-Σ p ln p of shares [C]."""
    return float(torch.special.entr(shares).sum())
