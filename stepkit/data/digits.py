"""Handwritten digits of scikit-learn: 1,797 images of 8 x 8 pixels, 10 classes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from stepkit import DataSpec, Standardize, split

from .number_rows import number_rows


class Digits:
    """8 x 8 grey images (0 to 16) of the digits 0 to 9, in memory.

    Args:
        standardize: shift and scale the grey values to mean 0 and deviation 1, measured on the training split.
        images: x of shape [N, 1, 8, 8] for a convolution, instead of [N, 64].
    """

    def __init__(self, standardize: bool = True, images: bool = False) -> None:
        self.standardize = standardize
        self.shape = (1, 8, 8) if images else (64,)
        self.scale = Standardize()
        self.spec = DataSpec(
            "classification",
            in_features=64,
            num_classes=10,
            in_channels=1,
            image_size=(8, 8),
            class_names=tuple("0123456789"),
        )

    def setup(self, seed: int, fold: int | None = None, folds: int | None = None) -> None:
        """Read, split in proportion of the classes, and fit the scaling on the training split."""
        from sklearn.datasets import load_digits  # 1.2 s to import, so not before it is needed

        grey, digit = (torch.tensor(array) for array in load_digits(return_X_y=True))
        parts = split(len(grey), seed, fold=fold, folds=folds, strata=digit)
        if self.standardize:
            self.scale.fit(grey[parts.train].reshape(-1, 1))  # one mean and deviation for all pixels
        x, y = self.prepare(grey), digit.long()
        self.train, self.val, self.test = ((x[rows], y[rows]) for rows in parts)

    def prepare(self, raw: Any) -> Tensor:
        """Images as grey values from 0 to 16, [N, 64], [N, 8, 8] or a single one, to the model's input."""
        grey = torch.as_tensor(raw, dtype=torch.float32).reshape(-1, *self.shape)
        return self.scale(grey)

    def restore(self, output: Tensor) -> list[str]:
        """The likeliest digit for each row of scores [N, 10]."""
        return [str(digit) for digit in output.argmax(dim=1).tolist()]

    def rows(self, path: str) -> Iterator[tuple[list[int], Tensor]]:
        """Images of a CSV file, 64 grey values a row."""
        for numbers, values in number_rows(path, columns=64):
            yield numbers, self.prepare(values)

    def state_dict(self) -> dict[str, Any]:
        """What `prepare` needs besides the options."""
        return {"scale": self.scale.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self.scale.load_state_dict(state["scale"])
