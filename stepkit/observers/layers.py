"""The parameters in forward order, and the few layers under which a person sees them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

ABSENT = -1.0  # stands for the norm of a gradient that is not there; NaN is one that went wrong
MOST = 20  # charts of layers that a page still shows well


class ForwardOrder:
    """Notes in which order modules run, for one forward pass."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._ran: dict[str, None] = {}
        self._hooks = [
            part.register_forward_pre_hook(lambda _part, _args, name=name: self._ran.setdefault(name, None))
            for name, part in module.named_modules()
        ]

    def stop(self) -> None:
        """Take the hooks away."""
        for hook in self._hooks:
            hook.remove()
        self._hooks = []

    def parameters(self) -> list[tuple[str, nn.Parameter]]:
        """The trainable parameters, those of modules that ran first in front; what never ran comes last."""
        place = {name: number for number, name in enumerate(self._ran)}
        named = [(name, p) for name, p in self._module.named_parameters() if p.requires_grad]
        return sorted(named, key=lambda pair: place.get(owner(pair[0]), len(place)))


def owner(parameter: str) -> str:
    """The name of the module that holds a parameter."""
    return parameter.rpartition(".")[0]


def layers(names: Sequence[str], most: int = MOST) -> list[str]:
    """For each parameter the layer it is shown under: its module; with more than `most` of those, the modules'
    names are cut at the depth at which there are few enough. The `network.` that wraps a plain model is left out."""
    plain = [name.removeprefix("network.") for name in names]
    owners = [owner(name) or name for name in plain]  # a parameter of the model itself stands for itself
    deepest = max((name.count(".") + 1 for name in owners), default=0)
    for depth in range(deepest, 0, -1):
        cut = [".".join(name.split(".")[:depth]) for name in owners]
        if len(set(cut)) <= most:
            return cut
    return ["all"] * len(owners)


def by_layer(norms: Tensor, shown: Sequence[str]) -> tuple[list[str], Tensor]:
    """Norms of parameters [K, P] to norms of layers: sqrt of the sum of squares over a layer's parameters; an ABSENT
    one counts as none. Returns the layers in order, and [K, layers]."""
    order = {layer: number for number, layer in enumerate(dict.fromkeys(shown))}
    places = torch.tensor([order[layer] for layer in shown])
    squares = norms.clamp(min=0).double().square()  # clamped, NaN stays NaN
    summed = squares.new_zeros(len(norms), len(order)).index_add_(1, places, squares)
    return list(order), summed.sqrt().float()
