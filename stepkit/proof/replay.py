"""Doing the same thing again: random numbers, parameters and buffers as they were."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Randomness:
    """The state of every random generator a model draws from."""

    python: Any
    numpy: Any
    cpu: Tensor
    cuda: list[Tensor]

    @classmethod
    def now(cls) -> Randomness:
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]
        return cls(random.getstate(), np.random.get_state(), torch.get_rng_state(), cuda)

    def put_back(self) -> None:
        random.setstate(self.python)
        np.random.set_state(self.numpy)
        torch.set_rng_state(self.cpu)
        if self.cuda:
            torch.cuda.set_rng_state_all(self.cuda)

    def moved(self) -> bool:
        """Whether a random number was drawn since."""
        now = Randomness.now()
        torch_moved = not all(torch.equal(a, b) for a, b in zip([self.cpu, *self.cuda], [now.cpu, *now.cuda]))  # noqa: B905 (cuda may have started since)
        return torch_moved or self.python != now.python or str(self.numpy) != str(now.numpy)


class State:
    """Parameters and buffers of a module, to be put back."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._values = {name: tensor.detach().clone() for name, tensor in _tensors(module).items()}

    def put_back(self) -> None:
        """Values as they were, no gradients."""
        with torch.no_grad():
            for name, tensor in _tensors(self._module).items():
                tensor.copy_(self._values[name])
        self._module.zero_grad(set_to_none=True)

    def put_back_buffers(self) -> None:
        with torch.no_grad():
            for name, tensor in self._module.named_buffers():
                tensor.copy_(self._values[name])

    def __getitem__(self, name: str) -> Tensor:
        return self._values[name]


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


@contextmanager
def deterministic() -> Iterator[None]:
    """On a GPU sums in no fixed order would make two equal steps differ in the last bits."""
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    if torch.cuda.is_available():
        torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
