"""A gradient against central finite differences, at random places, with kinks told apart from faults.

At a place θ the loss is evaluated at θ ± h for a few h. Where it is smooth, the slopes to the left and to the right
differ by h·f″, so their gap shrinks with h; where it has a kink (ReLU at zero, max), the gap stays. This is decided
from values of the loss alone: a wrong gradient cannot pass as a kink.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..observers.tensors import map_tensors
from ..step import Step
from .by_hand import in_precision, loss_of
from .by_stepkit import Taken
from .findings import Difference
from .replay import State

# The error of a central difference is about h² and 1e-16 / h (Nocedal and Wright, "Numerical Optimization", 8.1).
STEPS = (1e-4, 1e-5, 1e-6, 1e-7)
SAMPLES = 8  # of the first batch: the gradient of a few samples is as good a witness, and costs less
EPSILON = torch.finfo(torch.float64).eps


def compare(
    loss: Callable[[], Tensor],
    parameters: Sequence[tuple[str, Tensor]],
    *,
    places: int = 16,
    tolerance: float = 1e-5,
    seed: int = 0,
) -> list[Difference]:
    """The gradient at random places of the parameters, and along one random direction through all of them.

    Args:
        loss: a function of the parameters alone: called twice it gives the same number, in float64.
        parameters: by name, float64, each one a leaf that requires a gradient.
        places: how many; as many parameters as possible get one.
        tolerance: where a difference is decided to be of a smooth loss; `Difference.error` is relative.

    Nothing is changed: parameters are put back to the last bit.
    """
    tensors = [tensor for _, tensor in parameters]
    found = torch.autograd.grad(loss(), tensors, allow_unused=True)
    gradients = [torch.zeros_like(t) if g is None else g.to_dense() for t, g in zip(tensors, found, strict=True)]
    generator = torch.Generator().manual_seed(seed)
    compared = []
    for number, index in _places(tensors, places, generator):
        tensor = tensors[number]
        unit = torch.zeros_like(tensor)
        unit.view(-1)[index] = 1.0
        place = tuple(int(i) for i in torch.unravel_index(torch.tensor(index), tensor.shape))
        slope = Slope(loss, [tensor], [unit], max(1.0, abs(float(tensor.detach().view(-1)[index]))))
        analytic = float(gradients[number].view(-1)[index])
        compared.append(slope.against(analytic, parameters[number][0], place, tolerance))
    direction = [torch.randn(t.shape, generator=generator, dtype=t.dtype) for t in tensors]
    length = float(torch.stack([d.square().sum() for d in direction]).sum().sqrt())
    direction = [d / length for d in direction]
    along = float(torch.stack([(d * g).sum() for d, g in zip(direction, gradients, strict=True)]).sum())
    return [
        *compared,
        Slope(loss, tensors, direction, 1.0).against(along, "all, along a random direction", (), tolerance),
    ]


def _places(tensors: Sequence[Tensor], places: int, generator: torch.Generator) -> list[tuple[int, int]]:
    """(number of the tensor, index in it): tensors in turns, in random order."""
    turns = [number for number in torch.randperm(len(tensors), generator=generator).tolist() if tensors[number].numel()]
    chosen = [turns[i % len(turns)] for i in range(places)] if turns else []
    return sorted((n, int(torch.randint(tensors[n].numel(), (), generator=generator))) for n in chosen)


@dataclass(frozen=True)
class Slope:
    """The slope of a loss along a direction; `scale` is the size of what is moved."""

    loss: Callable[[], Tensor]
    tensors: Sequence[Tensor]
    direction: Sequence[Tensor]
    scale: float

    def against(self, analytic: float, name: str, place: tuple[int, ...], tolerance: float) -> Difference:
        """Try smaller and smaller steps until two of them agree that the loss is smooth."""
        middle = self._at(0.0)
        wide = self._slopes(STEPS[0], middle)
        for h in STEPS[1:]:
            near = self._slopes(h, middle)
            noise = 32 * EPSILON * max(1.0, abs(middle)) / (h * self.scale)
            size = max(abs(near[0]), abs(analytic))
            # The gap is J + h·|f″|, J being that of a kink: two steps, one ten times the other, give J.
            jump = abs(10 * near[1] - wide[1]) / 9
            if jump <= max(tolerance * size, noise):
                beyond = max(0.0, abs(near[0] - analytic) - noise)
                return Difference(name, place, analytic, near[0], beyond / size if size else 0.0, kink=False)
            wide = near
        return Difference(name, place, analytic, wide[0], math.nan, kink=True)

    def _slopes(self, h: float, middle: float) -> tuple[float, float]:
        """(central difference, gap between the slope to the right and to the left)."""
        step = h * self.scale
        right, left = self._at(step), self._at(-step)
        return (right - left) / (2 * step), abs(right - 2 * middle + left) / step

    @torch.no_grad()
    def _at(self, step: float) -> float:
        before = [tensor.clone() for tensor in self.tensors]
        for tensor, along in zip(self.tensors, self.direction, strict=True):
            tensor.add_(along, alpha=step)
        try:
            return float(self.loss())
        finally:
            for tensor, value in zip(self.tensors, before, strict=True):
                tensor.copy_(value)


def of_step(module: Step, taken: Taken) -> tuple[list[Difference], str]:
    """The step's gradient in float64 on the CPU, with random numbers and buffers held; or why there is none.

    Args:
        module: one that nobody needs any more.
    """
    module = module.to("cpu", torch.float64)
    state = State(module)
    batch = map_tensors(taken.batches[0], _few_in_float64)

    def loss() -> Tensor:
        taken.randomness[0].put_back()
        state.put_back_buffers()
        with in_precision("64-true", torch.device("cpu")):
            return loss_of(module, batch)

    try:
        first = float(loss().detach())
        if not math.isfinite(first) or first != float(loss().detach()):
            return [], "the model keeps state between passes: its loss is not a function of its parameters"
        named = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
        return compare(loss, named), ""
    except (RuntimeError, TypeError, ValueError) as error:
        return [], f"the model does not run in float64: {str(error).strip().partition(chr(10))[0]}"


def _few_in_float64(tensor: Tensor) -> Tensor:
    few = tensor[:SAMPLES] if tensor.ndim else tensor
    return few.detach().cpu().to(torch.float64 if tensor.is_floating_point() else tensor.dtype)
