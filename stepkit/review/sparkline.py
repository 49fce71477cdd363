"""A curve in one line of text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

BLOCKS = "▁▂▃▄▅▆▇█"
ASCII = "_.:-=+*#"
NOT_FINITE = "!"


def sparkline(
    values: Sequence[float],
    width: int = 40,
    *,
    low: float | None = None,
    high: float | None = None,
    marks: str = BLOCKS,
) -> str:
    """A curve as one mark a value, or a mark for the mean of several where there are more values than `width`.

    Args:
        values: in the order of their steps; a stretch without a finite value is a `!`.
        low, high: the range drawn, to draw several curves on one scale; default: that of `values`.
        marks: from low to high; `ASCII` for a terminal that knows no others.
    """
    means = [_mean(values[start:end]) for start, end in _stretches(len(values), width)]
    finite = [mean for mean in means if math.isfinite(mean)]
    low = min(finite, default=0.0) if low is None else low
    high = max(finite, default=0.0) if high is None else high
    return "".join(_mark(mean, low, high, marks) for mean in means)


def extent(curves: Iterable[Sequence[float]]) -> tuple[float, float]:
    """The lowest and the highest finite value of several curves; (0, 0) without any."""
    finite = [value for curve in curves for value in curve if math.isfinite(value)]
    return min(finite, default=0.0), max(finite, default=0.0)


def _stretches(n: int, width: int) -> Iterable[tuple[int, int]]:
    """n places cut into at most `width` stretches, as equal as can be."""
    count = min(n, width)
    return ((i * n // count, (i + 1) * n // count) for i in range(count))


def _mean(values: Sequence[float]) -> float:
    finite = [value for value in values if math.isfinite(value)]
    return math.fsum(value / len(finite) for value in finite) if finite else math.nan


def _mark(value: float, low: float, high: float, marks: str) -> str:
    if not math.isfinite(value):
        return NOT_FINITE
    # Halved first: the distance of two numbers may be more than a float holds.
    share = (value / 2 - low / 2) / (high / 2 - low / 2) if high / 2 > low / 2 else 0.0
    return marks[min(max(int(share * len(marks)), 0), len(marks) - 1)]
