"""What the units do: shares that are dead (zero for a whole batch) or saturated, a layer, at due steps only."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from .measures import dead_share, saturated_share

CAN_DIE = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.GELU, nn.SiLU, nn.ELU)
BOUNDED = {nn.Sigmoid: (0.0, 1.0), nn.Tanh: (-1.0, 1.0), nn.Hardsigmoid: (0.0, 1.0), nn.Hardtanh: (-1.0, 1.0)}


class Activations:
    """Forward hooks on activation modules, there for one batch: an idle hook would cost every step."""

    def __init__(self) -> None:
        self._hooks: list[RemovableHandle] = []
        self._dead: list[Tensor] = []
        self._saturated: list[Tensor] = []

    def start(self, module: nn.Module) -> None:
        self.stop()
        self._dead, self._saturated = [], []
        for part in module.modules():
            if isinstance(part, (*CAN_DIE, *BOUNDED)):
                self._hooks.append(part.register_forward_hook(self._look))

    def _look(self, part: nn.Module, _inputs: Any, output: Any) -> None:
        if not part.training or not isinstance(output, Tensor) or output.ndim < 2:
            return
        with torch.no_grad():
            limits = next((limits for kind, limits in BOUNDED.items() if isinstance(part, kind)), None)
            if limits is None:
                self._dead.append(dead_share(output))
            else:
                self._saturated.append(saturated_share(output, *limits))

    def stop(self) -> None:
        """Take the hooks away."""
        for hook in self._hooks:
            hook.remove()
        self._hooks = []

    def take(self) -> dict[str, Tensor]:
        """The mean shares over all layers, and the worst layer's."""
        found: dict[str, Tensor] = {}
        for name, shares in (("dead", self._dead), ("saturated", self._saturated)):
            if shares:
                stacked = torch.stack(shares)
                found |= {f"activation/{name}": stacked.mean(), f"activation/{name}_worst": stacked.max()}
        return found
