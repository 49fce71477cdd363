"""What a run's files tell, in the form in which the rules ask for it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..events.reading import Floats, Magnitudes, Observations, Series
from . import thresholds as t
from .finding import NotSeen, rounded

Ints = NDArray[np.int64]
CHANCE, TOTAL = "loss/chance", "step/total"  # tensors that a training writes about itself


@dataclass
class Evidence:
    """The observations of a run, and what is known about it.

    Attributes:
        seen: from its event files.
        metric, mode: what counts as better ("min" or "max").
        ended: whether no more steps will come.
        error: why it failed, if it did.
    """

    seen: Observations
    metric: str = "loss/val"
    mode: str = "min"
    ended: bool = True
    error: str = ""

    def series(self, tag: str, least: int = 1) -> Series:
        """The finite numbers of a tag. Raises NotSeen if there are fewer than `least`."""
        found = self.seen.scalars.get(tag)
        if found is None:
            raise NotSeen(f"{tag} was not recorded")
        good = np.isfinite(found.values)
        if good.sum() < least:
            raise NotSeen(f"{int(good.sum())} values of {tag}, {least} are wanted")
        return Series(found.steps[good], found.values[good])

    def setting(self, key: str, default: Any = None) -> Any:
        return self.seen.hyperparameters.get(key, default)

    def number(self, key: str) -> float | None:
        value = self.setting(key)
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None

    def told(self, tag: str) -> float | None:
        """A number that the training wrote about itself."""
        found = self.seen.tensors.get(tag)
        return float(found.ravel()[0]) if found is not None and found.size else None

    @property
    def last_step(self) -> int:
        found = self.seen.scalars.get("loss/train")
        return int(found.steps[-1]) if found is not None and len(found.steps) else 0

    @property
    def steps(self) -> int:
        """How many steps were observed."""
        found = self.seen.scalars.get("loss/train")
        return 0 if found is None else len(found.steps)

    @property
    def early(self) -> bool:
        """Whether so much of the run is still to come that its course cannot be judged."""
        total = self.told(TOTAL)
        return not self.ended and total is not None and self.last_step < t.EARLY * total

    @cached_property
    def layers(self) -> tuple[list[str], Ints, Floats]:
        """Names of layers in forward order, steps [T], norms [T, L]: the root of the sum of squares over each one's
        parameters, NaN where none has a gradient. Raises NotSeen."""
        norms = self.seen.norms
        if norms is None:
            raise NotSeen("the parameters' gradient norms were not recorded")
        owners = [name if norms.of_layers else layer_of(name) for name in norms.names]
        names = list(dict.fromkeys(owners))
        table = np.full((len(norms.steps), len(names)), np.nan)
        for number, name in enumerate(names):
            columns = norms.values[:, [owner == name for owner in owners]]
            there = np.isfinite(columns).any(axis=1)
            table[there, number] = np.sqrt(np.nansum(columns[there] ** 2, axis=1))
        return names, norms.steps, table

    def latest(self, kind: str) -> dict[str, Magnitudes]:
        """By parameter, the last distribution of its gradient, weight or update."""
        return {name: found[-1] for name, found in self.seen.magnitudes.get(kind, {}).items()}

    def lr(self, times: float) -> str:
        """An override that changes the learning rate."""
        key, now = "optimizer.lr", self.number("optimizer.lr")
        if now:
            return f"{key}={rounded(now * times, 1)}"
        return f"a learning rate {'higher' if times > 1 else 'lower'} by a factor of {rounded(max(times, 1 / times))}"


def plain_name(parameter: str) -> str:
    """As people see it: the `network.` that wraps a plain model is left out."""
    return parameter.removeprefix("network.")


def layer_of(parameter: str) -> str:
    """The module that holds a parameter; a parameter of the model itself stands for itself."""
    name = plain_name(parameter)
    return name.rpartition(".")[0] or name


def quarters(values: Floats) -> list[float]:
    """The medians of the first to the last quarter of a course."""
    return [float(np.median(part)) for part in np.array_split(values, 4) if len(part)]


def later_half(values: Floats) -> Floats:
    return values[len(values) // 2 :]


def span(steps: Ints) -> tuple[int, int]:
    return int(steps[0]), int(steps[-1])
