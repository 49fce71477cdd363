"""Diabetes of scikit-learn: 442 patients, 10 measurements, how far the disease has gone a year later."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from stepkit import DataSpec, Standardize, split

from .number_rows import number_rows


class Diabetes:
    """Regression in memory: x [N, 10] (age, sex, bmi, bp, s1 … s6), y [N, 1].

    Both are in units of the training split's standard deviation, so that a mean absolute error of 1 is one
    deviation of the target (about 77 points on its scale from 25 to 346); R² is the same in any unit.
    """

    def __init__(self) -> None:
        self.scale, self.target_scale = Standardize(), Standardize()
        self.spec = DataSpec("regression", in_features=10, out_features=1)

    def setup(self, seed: int, fold: int | None = None, folds: int | None = None) -> None:
        """Read, split, and fit both scalings on the training split."""
        from sklearn.datasets import load_diabetes  # 1.2 s to import, so not before it is needed

        measured, progress = (torch.tensor(array) for array in load_diabetes(return_X_y=True, scaled=False))
        parts = split(len(measured), seed, fold=fold, folds=folds)
        self.scale.fit(measured[parts.train])
        self.target_scale.fit(progress[parts.train, None])
        x, y = self.prepare(measured), self.target_scale(progress[:, None]).float()
        self.train, self.val, self.test = ((x[rows], y[rows]) for rows in parts)

    def prepare(self, raw: Any) -> Tensor:
        """Measurements as scikit-learn gives them with scaled=False, [N, 10] or a single row, to the model's input."""
        return self.scale(torch.as_tensor(raw, dtype=torch.float32).reshape(-1, 10))

    def restore(self, output: Tensor) -> list[float]:
        """The disease's progress in points for each row of outputs [N, 1]."""
        return [float(points) for points in self.target_scale.inverse(output).flatten()]

    def rows(self, path: str) -> Iterator[tuple[list[int], Tensor]]:
        """Patients of a CSV file, 10 measurements a row."""
        for numbers, values in number_rows(path, columns=10):
            yield numbers, self.prepare(values)

    def state_dict(self) -> dict[str, Any]:
        """Both scalings."""
        return {"scale": self.scale.state_dict(), "target_scale": self.target_scale.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self.scale.load_state_dict(state["scale"])
        self.target_scale.load_state_dict(state["target_scale"])
