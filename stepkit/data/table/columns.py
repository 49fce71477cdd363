"""Columns of a table as features: what was fitted on the training rows, and how any row is encoded with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stepkit.errors import WrongData

from .parsing import finite, moments, numbers, shown, stray, text

Features = NDArray[np.float32]


@dataclass(frozen=True)
class Scale:
    """Numbers, cut to a range, shifted and scaled to the mean 0 and deviation 1 of the training rows.

    Attributes:
        fill: what a missing number is taken for, the median.
        low, high: the range. It begins (ends) two widths below (above) the 5 % (95 %) quantile, a width being the
            distance between the two: far outside for any usual distribution, but a wild value cannot flatten the rest.
    """

    fill: float
    low: float
    high: float
    mean: float
    scale: float

    @classmethod
    def fit(cls, values: NDArray[np.float64]) -> Scale | None:
        """From the values that are not NaN; None when all are the same."""
        values = values[~np.isnan(values)]
        if not len(values) or values.min() == values.max():
            return None
        below, fill, above = np.quantile(values, [0.05, 0.5, 0.95])
        width = above - below
        low, high = (below - 2 * width, above + 2 * width) if width > 0 else (values.min(), values.max())
        inside = values.clip(low, high)
        if not inside.std() > 0:  # apart by less than a float can square
            return None
        return cls(*map(float, (fill, low, high, inside.mean(), inside.std())))

    def __call__(self, values: NDArray[np.float64]) -> Features:
        """float32 [n] of float64 [n] with NaN where missing."""
        filled = np.where(np.isnan(values), self.fill, values).clip(self.low, self.high)
        return ((filled - self.mean) / self.scale).astype(np.float32)


@dataclass(frozen=True)
class Number:
    """A column of numbers or truth values: its scaled value, and 1 where it is missing if it was in training.

    Attributes:
        style: how the numbers are written in text, a key of parsing.STYLES.
        scale: None when the numbers are all the same and only the mark tells something.
        lenient: the table has values in it that are no numbers, so that these mean 'missing' and no mistake.
    """

    column: str
    style: str
    scale: Scale | None
    marked: bool
    lenient: bool

    @property
    def names(self) -> list[str]:
        return [*([self.column] if self.scale else []), *([f"{self.column} missing"] if self.marked else [])]

    def __call__(self, column: pl.Series) -> Iterator[Features]:
        parsed = numbers(column, self.style)
        if not self.lenient:
            refuse_strays(column, parsed, "number")
        values = finite(parsed)
        if self.scale:
            yield self.scale(values)
        if self.marked:
            yield np.isnan(values).astype(np.float32)


@dataclass(frozen=True)
class Moment:
    """A column of dates: days since 1970, year, month, day of the month, weekday and hour, each scaled.

    Attributes:
        form: how the dates are written in text (strftime's letters).
        scales: by part; a part that is the same everywhere is left out.
    """

    column: str
    form: str
    scales: dict[str, Scale]
    marked: bool
    lenient: bool

    @property
    def names(self) -> list[str]:
        return [f"{self.column} {part}" for part in self.scales] + ([f"{self.column} missing"] if self.marked else [])

    def __call__(self, column: pl.Series) -> Iterator[Features]:
        parsed = moments(column, self.form)
        if not self.lenient:
            refuse_strays(column, parsed, "date")
        for part, scale in self.scales.items():
            yield scale(PARTS[part](parsed))
        if self.marked:
            yield parsed.is_null().to_numpy().astype(np.float32)


@dataclass(frozen=True)
class Category:
    """A column of text: 1 in the place of its category, 0 elsewhere.

    Attributes:
        categories: the most frequent ones of the training rows.
        other: whether training rows hold more of them, which share one place. Where they do not, a category never
            seen is 0 everywhere: a place without any training row would add noise.
        missing: likewise for missing values.
    """

    column: str
    categories: tuple[str, ...]
    other: bool
    missing: bool

    @property
    def names(self) -> list[str]:
        own = [*self.categories, *(["(other)"] if self.other else []), *(["(missing)"] if self.missing else [])]
        return [f"{self.column}={name}" for name in own]

    def __call__(self, column: pl.Series) -> Iterator[Features]:
        words = text(column)
        places = {name: place for place, name in enumerate(self.categories)}
        place = words.replace_strict(places, default=len(places), return_dtype=pl.Int64).to_numpy().copy()
        absent = words.is_null().to_numpy()
        place[absent] = len(places) + 1
        kept = [
            *range(len(places)),
            *([len(places)] if self.other else []),
            *([len(places) + 1] if self.missing else []),
        ]
        for each in kept:
            yield (place == each).astype(np.float32)


Encoder = Number | Moment | Category
KINDS: dict[str, type[Encoder]] = {"number": Number, "moment": Moment, "category": Category}


def _part(take: Callable[[pl.Series], pl.Series]) -> Callable[[pl.Series], NDArray[np.float64]]:
    return lambda series: finite(take(series).cast(pl.Float64))


PARTS: dict[str, Callable[[pl.Series], NDArray[np.float64]]] = {
    "days": _part(lambda series: series.dt.timestamp("us").cast(pl.Float64) / 86_400e6),
    "year": _part(lambda series: series.dt.year()),
    "month": _part(lambda series: series.dt.month()),
    "day": _part(lambda series: series.dt.day()),
    "weekday": _part(lambda series: series.dt.weekday()),
    "hour": _part(lambda series: series.dt.hour()),
}


def encode(encoders: list[Encoder], frame: pl.DataFrame) -> Features:
    """float32 [rows, features]. The columns must be there."""
    columns = [feature for encoder in encoders for feature in encoder(frame[encoder.column])]
    return np.stack(columns, axis=1) if columns else np.empty((len(frame), 0), dtype=np.float32)


def lenient(encoder: Encoder, column: pl.Series) -> Encoder:
    """The encoder, lenient when the column holds values that do not parse (validation and test rows too)."""
    if isinstance(encoder, Category):
        return encoder
    parsed = numbers(column, encoder.style) if isinstance(encoder, Number) else moments(column, encoder.form)
    return replace(encoder, lenient=len(stray(column, parsed)) > 0)


def refuse_strays(column: pl.Series, parsed: pl.Series, wanted: str) -> None:
    """Raises WrongData on the first value that is there and did not parse."""
    found = stray(column, parsed)
    if len(found):
        raise WrongData(
            f"column '{column.name}': '{shown(found[0])}' is no {wanted}; correct it, or leave it empty if unknown"
        )


def to_plain(encoder: Encoder) -> dict[str, Any]:
    """As JSON values."""
    kind = next(name for name, cls in KINDS.items() if isinstance(encoder, cls))
    return {"kind": kind, **{k: list(v) if isinstance(v, tuple) else v for k, v in asdict(encoder).items()}}


def from_plain(state: dict[str, Any]) -> Encoder:
    """The inverse of `to_plain`."""
    facts = {k: v for k, v in state.items() if k != "kind"}
    if state["kind"] == "category":
        return Category(**{**facts, "categories": tuple(facts["categories"])})
    if state["kind"] == "moment":
        return Moment(**{**facts, "scales": {part: Scale(**scale) for part, scale in facts["scales"].items()}})
    return Number(**{**facts, "scale": Scale(**facts["scale"]) if facts["scale"] else None})
