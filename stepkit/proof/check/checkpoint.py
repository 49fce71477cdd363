"""What a checkpoint keeps is all that the predictions need."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch

from ...build import state_of
from ...config.check import DATA_SETTINGS
from ...construct import construct
from ...engine.checkpoint import LAST, Carried
from .movement import Moved
from .result import CannotTell, Check, rounded
from .subject import Subject, distance, first_line, same

NAME = "checkpoint round trip"


def checkpoint_round_trip(subject: Subject, trained: Moved) -> Check:
    """Saved after a few steps, loaded into a module built with another seed: the predictions must be the same."""
    spec = subject.parts.spec
    carried = Carried(spec.plain() if spec else None, state_of(subject.parts.data))
    trainer = trained.done
    trainer.callbacks.append(carried)  # type: ignore[attr-defined]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / LAST
        trainer.save_checkpoint(path)
        size = path.stat().st_size
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:
            return Check(
                NAME,
                False,
                f"torch.load refused it: {first_line(error)}",
                "keep tensors and plain values only in state_dict, of the data too",
            )
    if told := _load(subject, loaded := subject.built_again(shift=1), state):
        return Check(NAME, False, told, "the run's best model could not be used")
    return _compared(subject, trained, loaded.eval(), size)


def _load(subject: Subject, module: torch.nn.Module, state: dict[str, Any]) -> str:
    """Load the module's state, and the data's preparation as `predict` will; what went wrong, in words."""
    try:
        module.load_state_dict(state["state_dict"])
    except RuntimeError as error:
        return f"load_state_dict refused it: {' '.join(str(error).split())[:200]}"
    again = construct(subject.composed, "data", leave_out=DATA_SETTINGS)
    if hasattr(again, "load_state_dict"):
        try:
            again.load_state_dict(state["stepkit"]["data"])
        except Exception as error:  # a stranger's plugin may raise anything
            return f"load_state_dict of data {type(again).__name__} raised {first_line(error)}"
    return ""


def _compared(subject: Subject, trained: Moved, loaded: Any, size: int) -> Check:
    try:
        subject.check_repeatable(loaded, subject.x)
        before, after = (subject.repeated(module, subject.x) for module in (trained.module.eval(), loaded))
    except CannotTell as reason:
        raise CannotTell(f"it loads; the predictions cannot be compared: {reason}") from reason
    kept = f"{size / 1024:,.0f} KiB"
    if same(before, after, tolerance=1e-6):
        return Check(
            NAME, True, f"{kept}, equal predictions after loading", "nothing of the model is outside its state_dict"
        )
    apart = max(
        (distance(a, b) for a, b in zip(before, after, strict=False) if a.shape == b.shape), default=float("inf")
    )
    return Check(
        NAME,
        False,
        f"{kept}, predictions differ by {rounded(apart)} after loading",
        f"{subject.name} keeps something outside its state_dict: make it a parameter, or register_buffer it",
    )
