"""From a run's directory back to the model it trained: nothing is unpickled, no data is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from .build import build_module
from .config.check import DATA_SETTINGS
from .construct import construct
from .engine.checkpoint import FOLDER
from .errors import NoSuchRun
from .recompose import recomposed
from .spec import DataSpec
from .step import Step


def restore(path: Path, checkpoint: str = "best") -> tuple[nn.Module, Any, DataSpec | None]:
    """The network in eval mode, the data plugin with its preparation, and the spec.

    Raises NoSuchRun, NotTrusted for a target that is no plugin here, BrokenPlugin for one that is missing.
    """
    state = read_checkpoint(path, checkpoint)
    composed = recomposed(path)
    carried = state.get("stepkit", {})
    data = construct(composed, "data", leave_out=DATA_SETTINGS)
    if hasattr(data, "load_state_dict"):
        data.load_state_dict(carried.get("data", {}))
    module = build_module(composed)
    module.load_state_dict(state["state_dict"])
    module.eval()
    spec = DataSpec.from_plain(carried["spec"]) if carried.get("spec") else None
    return (module.network if isinstance(module, Step) and hasattr(module, "network") else module), data, spec


def read_checkpoint(path: Path, checkpoint: str) -> dict[str, Any]:
    """Tensors and plain values of best.ckpt or last.ckpt. Raises NoSuchRun."""
    file = path / FOLDER / f"{checkpoint}.ckpt"
    if not file.is_file():
        there = ", ".join(sorted(p.stem for p in file.parent.glob("*.ckpt"))) or "none"
        raise NoSuchRun(f"{file}: no such checkpoint; there are: {there}")
    return dict(torch.load(file, map_location="cpu", weights_only=True))
