"""What a check says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """One line of `stepkit check`.

    Attributes:
        held: whether it held; None where it does not apply or cannot be judged.
        saw: what was seen, with its numbers.
        means: what that means, and what to do about it.
    """

    name: str
    held: bool | None
    saw: str
    means: str


class CannotTell(Exception):
    """Raised inside a check that does not apply to this experiment; says why."""


def rounded(value: float) -> str:
    """Three digits that mean something."""
    return f"{value:.3g}"


def few(names: list[str], most: int = 3) -> str:
    """The first names, and how many more."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def counted(number: int, noun: str) -> str:
    """`1 sample`, `2 samples`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
