"""stepkit: declare one training step, swap any part of it by name, see what it did, and trust it.

All that is promised is in `__all__`. Names are imported when first used, so that `import stepkit` is cheap.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api import Run, Trained, load, run, runs
    from .errors import UserError
    from .events import EventWriter
    from .loading.split import Split, split
    from .loading.standardize import Standardize
    from .spec import DataSpec
    from .step import Step

_HOME = {
    "DataSpec": ".spec",
    "EventWriter": ".events",
    "Run": ".api",
    "Split": ".loading.split",
    "Standardize": ".loading.standardize",
    "Step": ".step",
    "Trained": ".api",
    "UserError": ".errors",
    "load": ".api",
    "run": ".api",
    "runs": ".api",
    "split": ".loading.split",
}

__all__ = [
    "DataSpec",
    "EventWriter",
    "Run",
    "Split",
    "Standardize",
    "Step",
    "Trained",
    "UserError",
    "load",
    "run",
    "runs",
    "split",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'stepkit' has no attribute '{name}'")
    value = getattr(importlib.import_module(_HOME[name], __name__), name)
    globals()[name] = value  # a sub-module of the same name must not take its place
    return value
