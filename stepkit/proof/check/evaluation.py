"""Validation and test run, and what is monitored is logged."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from pytorch_lightning.utilities.model_helpers import is_overridden

from ...observers.tensors import tensors_of
from .data import first
from .fitting import trainer_for
from .result import CannotTell, Check, few, rounded
from .subject import Subject, first_line

NAMES = {"val": "validation runs", "test": "test runs"}
STEPS = {"val": "validation_step", "test": "test_step"}
MONITOR = "monitor is logged"


@dataclass(frozen=True)
class Evaluated:
    """One batch of a split through the trainer's own loop: what was logged, or what went wrong."""

    logged: dict[str, float]
    error: str = ""
    absent: str = ""


def evaluate(subject: Subject, split: str) -> Evaluated:
    """Validate or test a copy of the module on one batch."""
    if split not in subject.parts.loaders:
        return Evaluated({}, absent=f"the data has no {split} split")
    module = subject.copy()
    if not is_overridden(STEPS[split], module):
        return Evaluated({}, absent=f"{subject.name} has no {STEPS[split]}")
    trainer = trainer_for(subject)
    run: Any = trainer.validate if split == "val" else trainer.test
    try:
        run(module, subject.parts.loaders[split], verbose=False)
    except Exception as error:  # a stranger's step may raise anything
        return Evaluated({}, error=first_line(error))
    return Evaluated({name: float(value) for name, value in trainer.callback_metrics.items()})


def split_runs(subject: Subject, split: str, evaluated: Evaluated) -> Check:
    """It does not raise, and its loss is a number."""
    name, step = NAMES[split], STEPS[split]
    if evaluated.absent:
        raise CannotTell(evaluated.absent)
    if evaluated.error:
        return Check(
            name,
            False,
            f"{step} raised {evaluated.error}",
            "training would end at its first validation" if split == "val" else "the trained model could not be tested",
        )
    logged = evaluated.logged
    saw = ", ".join(f"{key} {rounded(value)}" for key, value in logged.items()) or "nothing logged"
    wrong = [key for key, value in logged.items() if not torch.isfinite(torch.tensor(value))]
    if not wrong:
        return Check(
            name, True, saw, "one batch went through" if logged else "hint: nothing will show how well it does"
        )
    if not all(bool(torch.isfinite(t).all()) for t in tensors_of(first(subject.parts.loaders[split]))):
        raise CannotTell(f"{saw}: its first batch holds numbers that are not finite; see 'data'")
    if any("loss" in key for key in wrong):
        return Check(name, False, saw, f"{few(wrong)} is not a finite number before any training")
    return Check(name, True, saw, f"hint: {few(wrong)} cannot be computed from one batch; make sure it can from all")


def monitor_is_logged(subject: Subject, evaluated: Evaluated, logged_in_training: Iterable[str]) -> Check:
    """What decides about best.ckpt, and what configured callbacks wait for, is logged by somebody."""
    if evaluated.absent or evaluated.error:
        raise CannotTell(evaluated.absent or "validation did not run; see 'validation runs'")
    logged = sorted({*evaluated.logged, *logged_in_training})
    wanted = [("monitor.metric", subject.parts.monitor.metric)]
    for callback in subject.parts.callbacks:
        if isinstance(named := getattr(callback, "monitor", None), str):
            wanted.append((f"monitor of {type(callback).__name__}", named))
    missing = [f"{who}={metric}" for who, metric in wanted if metric not in logged]
    saw = f"logged: {few(logged, 6) or 'nothing'}"
    if missing:
        return Check(MONITOR, False, saw, f"nothing logs {few(missing)}: log it in validation, or choose one of these")
    best = subject.parts.monitor
    return Check(
        MONITOR, True, f"{best.metric} ({best.mode}) is among {len(logged)} logged", "best.ckpt is chosen by it"
    )
