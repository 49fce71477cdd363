"""Which samples are for training, which for validation, which for the test."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import WrongData
from .plan import generator_from


class Split(NamedTuple):
    """Indices of the samples of each part, int64 [n_train], [n_val], [n_test], ascending."""

    train: Tensor
    val: Tensor
    test: Tensor


def split(
    n: int,
    seed: int,
    *,
    val: float = 0.15,
    test: float = 0.15,
    fold: int | None = None,
    folds: int | None = None,
    strata: Tensor | None = None,
) -> Split:
    """Cut n samples into three parts, at random from `seed` alone.

    Args:
        val, test: fractions of all samples; each part that is asked for gets at least one.
        fold, folds: cross-validation. The test part is the same as without folds; the rest is cut into
            `folds` parts, of which number `fold` (from 0) is the validation part and the others train.
        strata: class numbers [n]: each part gets every class in proportion (to a sample or two). A class of
            a single sample goes to the training part.

    Raises:
        WrongData: fractions or folds that leave a part without a sample.
    """
    order = _shuffled(n, seed, strata)
    n_test = _count(n, test)
    held_out, rest = order[:n_test], order[n_test:]
    if folds is None and fold is None:
        n_val = _count(n, val)
        parts = [rest[:n_val], rest[n_val:]]
        number = 0
    else:
        number, folds = _checked_fold(fold, folds)
        parts = list(rest.tensor_split(folds))
    training = torch.cat([part for k, part in enumerate(parts) if k != number])
    if not (0 <= val < 1 and 0 <= test < 1) or not len(training) or (folds and not all(len(part) for part in parts)):
        into = f"test={test} and {folds} folds" if folds else f"val={val} and test={test}"
        raise WrongData(f"data: {n} samples cannot be split with {into}: a part would be empty; give more data")
    return Split(training.sort().values, parts[number].sort().values, held_out.sort().values)


def _count(n: int, fraction: float) -> int:
    return max(1, round(n * fraction)) if fraction > 0 else 0


def _checked_fold(fold: int | None, folds: int | None) -> tuple[int, int]:
    if fold is None or folds is None or folds < 2 or not 0 <= fold < folds:
        raise WrongData(f"fold={fold} of folds={folds}: give at least 2 folds, and fold from 0 to folds - 1")
    return fold, folds


def _shuffled(n: int, seed: int, strata: Tensor | None) -> Tensor:
    """A random order; with strata one in which every class is spread evenly, so that any cut of it is in proportion.

    The k-th of a class's m samples gets the place (k + 1/2) / m on a line from 0 to 1.
    """
    order = torch.randperm(n, generator=generator_from(seed))
    if strata is None:
        return order
    if len(strata) != n:
        raise WrongData(f"data: {len(strata)} strata for {n} samples; give a class number for each")
    _, classes, counts = strata.flatten()[order].unique(return_inverse=True, return_counts=True)  # type: ignore[no-untyped-call]
    by_class = classes.argsort(stable=True)
    first = counts.cumsum(0) - counts
    rank = torch.empty_like(order)
    rank[by_class] = torch.arange(n) - first[classes[by_class]]
    place = (rank + 0.5) / counts[classes]
    return order[place.argsort(stable=True)]
