"""The cells of the parity matrix: which combinations there are, and which of them nobody can train."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import Any

ACCUMULATE = (1, 4)
CLIP = ("none", "norm", "value")
CLIP_AT = {"norm": 0.3, "value": 0.05}  # small enough that most steps are clipped: a test asserts it
SCHEDULER = ("none", "step", "reduce_lr_on_plateau")
SCHEDULER_OPTIONS: dict[str, dict[str, Any]] = {
    "none": {},
    "step": {"step_size": 3, "gamma": 0.7},
    # An improvement by half is wanted, and never comes: the rate falls after nearly every epoch.
    "reduce_lr_on_plateau": {"patience": 0, "threshold": 0.5, "factor": 0.7},
}
PRECISION = ("32-true", "64-true", "bf16-mixed")
STEPS = 20


@dataclass(frozen=True)
class Row:
    """An optimizer with its options on a problem; a row of 54 cells."""

    optimizer: str  # its name in stepkit; "Muon" is torch's own, handed over, since stepkit registers one around it
    problem: str = "net"
    options: dict[str, Any] = field(default_factory=dict, hash=False)

    def __str__(self) -> str:
        fused = "-fused" if self.options.get("fused") else ""
        return f"{self.optimizer}{fused}-{self.problem}"


ROWS = (
    Row("adadelta", options={"lr": 0.5}),
    Row("adafactor", options={"lr": 0.05}),
    Row("adagrad", options={"lr": 0.05}),
    Row("adam", options={"lr": 0.01, "weight_decay": 0.01}),
    Row("adamax", options={"lr": 0.01}),
    Row("adamw", options={"lr": 0.01, "amsgrad": True}),
    Row("adamw", options={"lr": 0.01, "fused": True}),
    Row("asgd", options={"lr": 0.05, "t0": 5.0}),
    Row("lbfgs", options={"lr": 0.1, "max_iter": 4, "line_search_fn": "strong_wolfe"}),
    Row("muon", options={"lr": 0.02, "adamw_lr": 0.01}),
    Row("Muon", "matrices", options={"lr": 0.02}),
    Row("nadam", options={"lr": 0.01}),
    Row("radam", options={"lr": 0.01}),
    Row("rmsprop", options={"lr": 0.01, "momentum": 0.5, "centered": True}),
    Row("rprop", options={"lr": 0.01}),
    Row("sgd", options={"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    Row("sparse_adam", "sparse", options={"lr": 0.05}),
    # Rows that torch itself refuses.
    Row("Muon", options={"lr": 0.02}),
    Row("sparse_adam", options={"lr": 0.05}),
)


@dataclass(frozen=True)
class Cell:
    """One combination."""

    row: Row
    accumulate: int = 1
    clip: str = "none"
    scheduler: str = "none"
    precision: str = "32-true"

    def __str__(self) -> str:
        return f"{self.row}-{self.accumulate}-{self.clip}-{self.scheduler}-{self.precision}"

    def overrides(self) -> list[str]:
        """As they are typed."""
        typed = [f"optimizer={self.row.optimizer}", f"step.accumulate={self.accumulate}"]
        typed += [f"optimizer.{name}={value!s}" for name, value in self.row.options.items()]
        if self.clip != "none":
            typed += [f"step.clip={CLIP_AT[self.clip]}", f"step.clip_by={self.clip}"]
        if self.scheduler != "none":
            typed += [f"scheduler={self.scheduler}"]
            typed += [f"scheduler.{name}={value}" for name, value in SCHEDULER_OPTIONS[self.scheduler].items()]
        if self.scheduler == "step":
            typed += ["step.scheduler_interval=step"]
        return [*typed, f"trainer.precision={self.precision}"]


def cells() -> Iterator[Cell]:
    """All of the matrix."""
    for row in ROWS:
        for rest in product(ACCUMULATE, CLIP, SCHEDULER, PRECISION):
            yield Cell(row, *rest)


@dataclass(frozen=True)
class Refusal:
    """Cells that are no pass: there is nothing to compare.

    Attributes:
        reason: in words, for the table.
        message: part of the error, on both sides alike; of stepkit's alone where `alone` says so.
        alone: stepkit refuses what a hand-written loop can do.
    """

    reason: str
    message: str
    holds: Callable[[Cell], bool]
    alone: bool = False


REFUSED = (
    Refusal(
        "torch.optim.Muon takes no bias and no norm (stepkit's muon does)",
        "Muon only supports 2D parameters",
        lambda cell: str(cell.row) == "Muon-net",
    ),
    Refusal(
        "SparseAdam takes no dense gradient",
        "SparseAdam does not support dense gradients",
        lambda cell: str(cell.row) == "sparse_adam-net",
    ),
    Refusal(
        "torch takes no norm of a sparse gradient",
        "Could not run 'aten::linalg_vector_norm' with arguments from the 'SparseCPU' backend",
        lambda cell: cell.row.problem == "sparse" and cell.clip == "norm",
    ),
    Refusal(
        "torch clamps no sparse gradient",
        "Could not run 'aten::clamp_min_' with arguments from the 'SparseCPU' backend",
        lambda cell: cell.row.problem == "sparse" and cell.clip == "value",
    ),
    Refusal(
        "LBFGS with accumulation, by stepkit alone: its closure would see one micro-batch of the four",
        "step.accumulate=4: LBFGS evaluates the loss several times a step",
        lambda cell: cell.row.optimizer == "lbfgs" and cell.accumulate > 1,
        alone=True,
    ),
)


def refusal(cell: Cell) -> Refusal | None:
    """The one that a cell falls under, if any."""
    found = [refusal for refusal in REFUSED if refusal.holds(cell)]
    assert len(found) < 2
    return found[0] if found else None
