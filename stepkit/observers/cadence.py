"""When something is observed: small objects that say yes or no to an optimizer step, counted from 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class Cadence(Protocol):
    """Whether a step is due."""

    def __call__(self, step: int) -> bool: ...


@dataclass(frozen=True)
class Every:
    """Every n-th step; 0 is never. The first step too, so that a short run shows something."""

    n: int

    def __call__(self, step: int) -> bool:
        return self.n > 0 and (step % self.n == 0 or step == 1)


@dataclass(frozen=True)
class Doubling:
    """Steps 1, 2, 4, 8, …: at most `most` times; often while much changes, rarely later. 0 is never."""

    most: int

    def __call__(self, step: int) -> bool:
        return step > 0 and step & (step - 1) == 0 and step.bit_length() <= self.most
