"""The column to be predicted: classes or a quantity, found from its values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl
import torch
from torch import Tensor

from stepkit import DataSpec
from stepkit.errors import WrongData, nearest

from .parsing import finite, is_simple, number_style, numbers, shown, text

FEW = 20  # different whole numbers may be classes
EACH = 5  # rows, on average, for every class of whole numbers
MANY = 1000  # classes


@dataclass(frozen=True)
class Classes:
    """Class names in order: numbers by size, truth values false first, text by alphabet."""

    names: tuple[str, ...]

    scale = 1.0  # classes have no unit

    def known(self, column: pl.Series) -> pl.Series:
        """Which rows have a target; an infinite number is none."""
        return text(column).is_not_null() & ~numbers(column, "plain").is_infinite().fill_null(False)

    def fit(self, column: pl.Series) -> Classes:
        """Nothing is measured on the training rows."""
        return self

    def __call__(self, column: pl.Series) -> Tensor:
        """Class numbers int64 [n]. Raises WrongData on a class that is not known."""
        words = text(column)
        unknown = words.filter(~words.is_in(list(self.names)))
        if len(unknown):
            advice = nearest(unknown[0], self.names)
            raise WrongData(f"{column.name}={shown(unknown[0])}: no class of this model; {advice}")
        places = {name: place for place, name in enumerate(self.names)}
        return torch.from_numpy(words.replace_strict(places, return_dtype=pl.Int64).to_numpy().copy())

    def restore(self, output: Tensor) -> list[str]:
        """The likeliest class's name for each row of scores [N, C]."""
        return [self.names[place] for place in output.argmax(dim=-1).flatten().tolist()]

    def spec(self, features: int) -> DataSpec:
        count = len(self.names)
        return DataSpec(
            "classification", in_features=features, out_features=count, num_classes=count, class_names=self.names
        )

    def notes(self, column: pl.Series) -> list[str]:
        """What is learnt, and which classes have a single row."""
        counts = self(column).bincount(minlength=len(self.names)).tolist()
        by_name = [f"{name} ({count})" for name, count in zip(self.names, counts, strict=True)]
        more = ", …" if len(by_name) > 6 else ""
        notes = [f"classification of '{column.name}': {len(by_name)} classes, {', '.join(by_name[:6])}{more}"]
        single = [name for name, count in zip(self.names, counts, strict=True) if count == 1]
        if single:
            notes.append(f"a single row of class {', '.join(single[:6])}: it can be learnt but not tested")
        return notes

    def plain(self) -> dict[str, Any]:
        return {"kind": "classes", "names": list(self.names)}


@dataclass(frozen=True)
class Quantity:
    """A number to be predicted, in deviations from the mean of the training rows.

    Attributes:
        style: how the numbers are written in text.
        mean, scale: mean and standard deviation of the training rows, in the target's unit.
    """

    style: str
    mean: float = 0.0
    scale: float = 1.0

    def known(self, column: pl.Series) -> pl.Series:
        """Which rows have a target that is a finite number."""
        return pl.Series(~np.isnan(finite(numbers(column, self.style))))

    def fit(self, column: pl.Series) -> Quantity:
        """Measure mean and deviation. Raises WrongData when the numbers are all the same."""
        values = finite(numbers(column, self.style))
        scale = float(values.std())
        if not scale > 0 or values.min() == values.max():
            raise WrongData(f"data.target={column.name}: the same number in every row; there is nothing to learn")
        return Quantity(self.style, float(values.mean()), scale)

    def __call__(self, column: pl.Series) -> Tensor:
        """float32 [n, 1]."""
        values = finite(numbers(column, self.style))
        return torch.from_numpy(((values - self.mean) / self.scale).astype(np.float32)[:, None])

    def restore(self, output: Tensor) -> list[float]:
        """Numbers in the target's unit for outputs [N, 1]."""
        return [float(value) * self.scale + self.mean for value in output.flatten().tolist()]

    def spec(self, features: int) -> DataSpec:
        return DataSpec("regression", in_features=features, out_features=1)

    def notes(self, column: pl.Series) -> list[str]:
        """What is learnt, in which unit."""
        unit = f"mean {self.mean:.4g}, deviation {self.scale:.4g}"
        return [f"regression of '{column.name}' ({unit}); or data.task=classification"]

    def plain(self) -> dict[str, Any]:
        return {"kind": "quantity", "style": self.style, "mean": self.mean, "scale": self.scale}


Target = Classes | Quantity


def from_plain(state: dict[str, Any]) -> Target:
    """The inverse of `plain`."""
    facts = {k: v for k, v in state.items() if k != "kind"}
    return Quantity(**facts) if state["kind"] == "quantity" else Classes(tuple(facts["names"]))


def find_target(column: pl.Series, task: Literal["auto", "classification", "regression"]) -> Target:
    """Classes or a quantity: by `task`, or by the rule of Table's docstring.

    Raises:
        WrongData: no target in any row, a single class, a class for every row, a regression on text.
    """
    name = column.name
    if not is_simple(column) or column.dtype == pl.Datetime:
        raise WrongData(f"data.target={name}: holds {column.dtype}; give a column of numbers, truth values or text")
    words = text(column.filter(Classes(()).known(column)))
    style = number_style(column)
    if not len(words):
        raise WrongData(f"data.target={name}: no row has a finite value; there is nothing to learn")
    if task == "regression" and style is None:
        raise WrongData(f"data.target={name}: '{shown(words[0])}' is no number; data.task=regression needs numbers")
    if task == "regression" or (task == "auto" and style is not None and not _few_whole(column, style)):
        return Quantity(style or "plain")
    return _classes(name, words)


def _few_whole(column: pl.Series, style: str) -> bool:
    """Truth values, two different whole numbers, or up to FEW with EACH rows on average."""
    if style == "boolean" or column.dtype == pl.Boolean:
        return True
    values = finite(numbers(column, style))
    values = values[~np.isnan(values)]
    distinct = np.unique(values)
    return bool((values % 1 == 0).all()) and (len(distinct) <= 2 or len(distinct) <= min(FEW, len(values) / EACH))


def _classes(name: str, words: pl.Series) -> Classes:
    names = words.unique().to_list()
    if len(names) == 1:
        raise WrongData(f"data.target={name}: '{shown(names[0])}' in every row; there is nothing to learn")
    if len(names) == len(words) or len(names) > MANY:
        raise WrongData(
            f"data.target={name}: {len(names)} different values in {len(words)} rows are no classes; give another"
        )
    as_numbers = words.unique().cast(pl.Float64, strict=False)
    numeric = not as_numbers.null_count() and bool(as_numbers.is_finite().all())
    return Classes(tuple(sorted(names, key=lambda each: (float(each) if numeric else 0.0, each.lower(), each))))
