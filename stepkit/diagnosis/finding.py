"""What a rule says, in plain words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

NAMED = 4  # parameters named in a sentence


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a training.

    Attributes:
        kind: the fault's name; a training that warns does so once a kind.
        what: what is wrong and where, with the figure.
        why: why it matters, in half a sentence.
        advice: one thing to try, an override to paste wherever the run's options have one for it.
        names: the parameters or layers it is about, all of them.
        steps: the first and last step it was seen at.
        figure: the number that the rule judged.
    """

    kind: str
    what: str
    why: str
    advice: str
    steps: tuple[int, int]
    figure: float
    names: tuple[str, ...] = ()

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "kind": self.kind,
            "what": self.what,
            "why": self.why,
            "try": self.advice,
            "names": list(self.names),
            "steps": list(self.steps),
            "figure": self.figure if math.isfinite(self.figure) else str(self.figure),  # JSON has no infinity
        }


class NotSeen(Exception):
    """A rule cannot judge: what it needs was not recorded, or not long enough."""


def listed(names: Sequence[str]) -> str:
    """A few names, and how many more."""
    shown = ", ".join(names[:NAMED])
    return shown + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")


def rounded(value: float, digits: int = 2) -> str:
    """A number to paste into an override: 0.003, 1e-5, 300."""
    text = f"{value:.{digits}g}"
    mantissa, e, power = text.partition("e")
    return f"{mantissa}e{int(power)}" if e else text
