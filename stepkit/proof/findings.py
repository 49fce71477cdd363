"""What was found in one step: plain numbers and words, no tensors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ..observers.graph import GraphFacts


@dataclass(frozen=True)
class Check:
    """One thing that must hold. `held` is None where it cannot be judged; `told` says what was seen, or why not."""

    name: str
    held: bool | None
    told: str


@dataclass(frozen=True)
class ParameterFacts:
    """One parameter in the step; None where there is no such number.

    Attributes:
        norm: |θ| before the step.
        gradient: |∇L|, before clipping.
        zeros: share of the gradient's elements that are zero, from 0 to 1.
        update: |Δθ|.
        ratio: |Δθ| / |θ|.
    """

    name: str
    shape: tuple[int, ...]
    trainable: bool
    norm: float
    gradient: float | None
    zeros: float | None
    update: float
    ratio: float | None


@dataclass(frozen=True)
class Phase:
    """One phase of the step. `peak_bytes` is what tensors took beyond what stood before the step."""

    name: str
    seconds: float
    peak_bytes: int | None


@dataclass(frozen=True)
class Difference:
    """The gradient at one place by autograd, and by a central difference; `kink` if the loss is not smooth there."""

    name: str
    place: tuple[int, ...]
    by_autograd: float
    by_difference: float
    error: float
    kink: bool


@dataclass(frozen=True)
class Accumulation:
    """The gradient of `parts` micro-batches against that of the one big batch; `reasons` why they may differ."""

    parts: int
    difference: float
    reasons: tuple[str, ...]


@dataclass
class Anatomy:
    """One optimizer step, taken apart.

    Attributes:
        kind: what is learnt: classification, regression, language; "its own" where neither data nor loss say.
        batches: the shape of each micro-batch's parts.
        losses: of each micro-batch, before the division by their number.
        lr: learning rates of the optimizer's groups.
        gradient_norm, clipped_norm: of all gradients together, before and after clipping.
        descent: cosine between Δθ (without weight decay) and -∇L; positive goes downhill.
        by_hand: largest difference of a parameter from the same step in plain PyTorch.
        formula: largest |θ' - (θ - η ∇L)|, for plain SGD.
        without_zero_grad: |∇L| after a second backward without zero_grad, over |∇L|.
        memory: what `peak_bytes` counts.
        graph_def: the graph for TensorBoard, a serialised GraphDef.
    """

    experiment: str
    model: str
    loss: str
    kind: str
    optimizer: str
    precision: str
    device: str
    batches: list[str]
    output: str
    losses: list[float]
    lr: list[float]
    graph: GraphFacts
    parameters: list[ParameterFacts]
    gradient_norm: float
    clipped_norm: float | None
    update_norm: float
    update_ratio: float | None
    descent: float | None
    by_hand: float
    formula: float | None
    without_zero_grad: float | None
    accumulation: Accumulation | None
    phases: list[Phase]
    memory: str
    differences: list[Difference]
    graph_def: bytes = b""
    checks: list[Check] = field(default_factory=list)

    @property
    def failed(self) -> list[Check]:
        """The checks that did not hold."""
        return [check for check in self.checks if check.held is False]

    @property
    def verdict(self) -> str:
        """One line: whether all held, or what did not."""
        judged = [check for check in self.checks if check.held is not None]
        if not self.failed:
            return f"all {len(judged)} checks held"
        told = "; ".join(f"{check.name}: {check.told}" for check in self.failed)
        return f"{len(self.failed)} of {len(judged)} checks failed: {told}"

    def plain(self) -> dict[str, Any]:
        """All of it as JSON values; a number that is not finite as its name, since JSON knows none."""
        facts = {name: value for name, value in asdict(self).items() if name != "graph_def"}
        return {**_plain(facts), "verdict": self.verdict, "held": not self.failed}


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def few(names: Sequence[str], most: int = 4) -> str:
    """The first names and how many more."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
