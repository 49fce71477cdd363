"""Things run in turn in one process, so that what slows the machine slows all of them alike."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Measured:
    """Milliseconds of one thing: the median, the quartiles, and the median ratio to the first thing, turn by turn."""

    name: str
    median: float
    low: float
    high: float
    ratio: float


def paired(turns: Mapping[str, Callable[[], None]], rounds: int) -> list[Measured]:
    """Run each thing once a round, forwards in one and backwards in the next; the first one is what others are
    compared with. One round before them is not counted."""
    names, times = list(turns), {name: list[float]() for name in turns}
    for number in range(-1, rounds):
        for name in names if number % 2 else reversed(names):
            taken = milliseconds(turns[name])
            if number >= 0:
                times[name].append(taken)
    return [_measured(name, times[name], times[names[0]]) for name in names]


def milliseconds(turn: Callable[[], None]) -> float:
    """One turn, with the garbage collected before and not within."""
    gc.collect()
    gc.disable()
    try:
        started = time.perf_counter()
        turn()
        return (time.perf_counter() - started) * 1e3
    finally:
        gc.enable()


def _measured(name: str, times: list[float], base: list[float]) -> Measured:
    low, median, high = statistics.quantiles(times, n=4)
    ratio = statistics.median(own / other for own, other in zip(times, base, strict=True))
    return Measured(name, median, low, high, ratio)
