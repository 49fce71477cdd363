"""What looking for numbers gone wrong costs: the same watched training with the guard and without it, in turn."""

from __future__ import annotations

from collections.abc import Callable

from pytorch_lightning.callbacks import Callback

from stepkit.guards.nonfinite import Guard
from stepkit.observers.gradients import Watch

from .observe import EVERY_STEP, rows, tokens, transformer, turn, wide
from .paired import paired
from .report import Report

ROUNDS = 15


def guarded(mode: str) -> Callable[[], list[Callback]]:
    return lambda: [Watch(EVERY_STEP, Guard(mode))]  # type: ignore[arg-type]


def run() -> Report:
    report = Report()
    for title, model, batch in (
        ("150-tensor transformer, batch 32", transformer, tokens),
        ("1024-wide MLP, batch 128", wide, rows),
    ):
        turns = {f"step.nonfinite={mode}": turn(model, batch, guarded(mode)) for mode in ("ignore", "raise", "skip")}
        report.tables[title] = paired(turns, ROUNDS)
    return report
