"""Things run in turn in one process, so that what slows the machine slows all of them alike."""

from __future__ import annotations

import gc
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Measured:
    """One thing's time: the median, the quartiles, and the median of its ratios to the first thing, turn by turn."""

    name: str
    median: float
    low: float
    high: float
    ratio: float


def paired(turns: Mapping[str, Callable[[], float]], rounds: int) -> list[Measured]:
    """Run each thing once a round, forwards in one and backwards in the next, after one round that is not counted.

    Args:
        turns: each does its work and returns how long it took; the first is what the others are compared with.
        rounds: two at least.
    """
    names, times = list(turns), {name: list[float]() for name in turns}
    for number in range(-1, rounds):
        for name in names if number % 2 else reversed(names):
            gc.collect()
            taken = turns[name]()
            if number >= 0:
                times[name].append(taken)
    return [_measured(name, times[name], times[names[0]]) for name in names]


def _measured(name: str, times: list[float], base: list[float]) -> Measured:
    low, median, high = statistics.quantiles(times, n=4, method="inclusive")
    ratio = statistics.median(own / other for own, other in zip(times, base, strict=True))
    return Measured(name, median, low, high, ratio)
