"""The tensors inside a batch, whatever it is made of."""

from __future__ import annotations

from typing import Any

from torch import Tensor


def map_tensors(batch: Any, change: Any) -> Any:
    """A batch with each of its tensors changed; tuples, lists and dicts are gone through."""
    if isinstance(batch, Tensor):
        return change(batch)
    if isinstance(batch, dict):
        return {key: map_tensors(value, change) for key, value in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(map_tensors(value, change) for value in batch))
    return type(batch)(map_tensors(value, change) for value in batch) if isinstance(batch, list | tuple) else batch


def tensors_of(batch: Any) -> list[Tensor]:
    """The tensors of a batch, in order."""
    found: list[Tensor] = []

    def note(tensor: Tensor) -> Tensor:
        found.append(tensor)
        return tensor

    map_tensors(batch, note)
    return found
