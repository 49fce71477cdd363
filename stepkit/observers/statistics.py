"""What is looked at every n-th step: weights, updates, gradients in comparison, activations, distributions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from ..config.settings import Observe
from . import measures
from .activations import Activations
from .cadence import Cadence, Doubling, Every

Named = Sequence[tuple[str, nn.Parameter]]
Factor = float | Tensor  # what a gradient is multiplied with to be unscaled


@dataclass
class Seen:
    """What one step showed.

    Attributes:
        scalars: by tag, 0-dim tensors on the device.
        distributions: by kind, the parameters' names and their counts [P, bins] of `measures.exponents`.
    """

    scalars: dict[str, Tensor] = field(default_factory=dict)
    distributions: dict[str, list[tuple[list[str], Tensor]]] = field(default_factory=dict)


@dataclass
class Compared:
    """The gradients of one step, measured an optimizer at a time: each holds parameters of its own."""

    gradients: list[Tensor] = field(default_factory=list)  # shapes alone are read later: clipping changes the values
    norms: list[Tensor] = field(default_factory=list)
    zeros: list[Tensor] = field(default_factory=list)
    nonfinite: list[Tensor] = field(default_factory=list)
    clipped: list[Tensor] = field(default_factory=list)
    dots: list[Tensor] = field(default_factory=list)
    both: list[Tensor] = field(default_factory=list)  # norms of those parameters that had a gradient a step before
    before: list[Tensor] = field(default_factory=list)  # and their norms then

    def scalars(self) -> dict[str, Tensor]:
        found = {
            "gradient/zero_share": measures.share(torch.cat(self.zeros), self.gradients),
            "gradient/nonfinite_share": measures.share(torch.cat(self.nonfinite), self.gradients),
        }
        if self.clipped:
            found["gradient/clipped"] = measures.total(torch.cat(self.clipped))
        if self.dots:
            lengths = measures.total(torch.cat(self.both)) * measures.total(torch.cat(self.before))
            found["gradient/cosine"] = torch.cat(self.dots).sum() / lengths
        return found


class Micro:
    """The micro-batches of one accumulated step: how long each one's own gradient is."""

    def __init__(self) -> None:
        self._squares: list[Tensor] = []
        self._sizes: list[int] = []
        self._so_far: dict[int, Tensor] = {}  # the gradient accumulated so far, by parameter

    def began(self, batch: object) -> None:
        self._sizes.append(samples(batch))

    def add(self, gradients: dict[int, Tensor], factor: Factor) -> None:
        """The accumulated gradients by parameter, after another micro-batch."""
        own = [g - self._so_far[n] if n in self._so_far else g for n, g in gradients.items()]
        self._squares.append((measures.total(measures.norms(own)) * factor).square())
        self._so_far = {number: gradient.clone() for number, gradient in gradients.items()}

    def noise_scale(self, whole: Tensor, accumulate: int, world: int) -> Tensor | None:
        """From the micro-batches and their mean; None without two of equal size.

        Args:
            whole: the squared norm of the accumulated gradient.
            accumulate: what each loss was divided by; an epoch's last step may have fewer.
            world: processes. The last backward leaves the mean over all of them, so it tells nothing of its own.
        """
        k, size = len(self._squares), self._sizes[0] if self._sizes else 0
        if k < 2 or not size or any(other != size for other in self._sizes):
            return None
        own = self._squares if world == 1 else self._squares[:-1]
        small, large = torch.stack(own).mean() * accumulate**2, whole * (accumulate / k) ** 2
        return measures.noise_scale(small, large, size, size * k * world)


class Statistics:
    """Measures the due steps; at all others it does nothing."""

    def __init__(self, observe: Observe) -> None:
        self.often: Cadence = Every(observe.statistics_every)
        self.spread: Cadence = Doubling(observe.histograms)
        self.activations = Activations() if observe.activations else None
        self._before: list[Tensor] = []  # parameters before the step
        self._last: dict[int, tuple[Tensor, Tensor]] = {}  # gradients of the step before a due one, and their norms
        self._spare: list[Tensor] = []  # memory for the next copy: asking the system anew costs more than copying
        self._micro, self._compared = Micro(), Compared()
        self._gradients: list[tuple[list[str], Tensor]] = []  # their distributions, an optimizer at a time
        self.expect(1)

    def expect(self, step: int) -> None:
        """Which step comes next, counted from 1: what is due is decided here alone."""
        self._scalars, self._distributions = self.often(step), self.spread(step)
        self._remember = self.often(step + 1)

    @property
    def due(self) -> bool:
        """Whether the coming step is looked at."""
        return self._scalars or self._distributions

    def before_forward(self, module: pl.LightningModule, batch: object) -> None:
        if self._scalars:
            self._micro.began(batch)
            if self.activations is not None:
                self.activations.start(module)

    def after_backward(self, parameters: Named, accumulate: int, factor: Factor) -> None:
        if self._scalars:
            self.stop()
            if accumulate > 1:
                self._micro.add({n: p.grad for n, (_, p) in enumerate(parameters) if p.grad is not None}, factor)

    def before_step(
        self, parameters: Named, gradients: dict[int, Tensor], norms: Tensor, factor: Factor, clip: float | None
    ) -> None:
        """Called by each optimizer once a step.

        Args:
            gradients: of this optimizer's parameters, by their number.
            norms: theirs, unscaled.
            factor: unscales a gradient.
            clip: the largest value that clipping will leave, where it is each value that is clipped.
        """
        if self.due:
            unscaled = list(gradients.values())
            if isinstance(factor, Tensor):
                unscaled = [gradient * factor for gradient in unscaled]
            if self._scalars:
                self._compare(dict(zip(gradients, unscaled, strict=True)), norms, clip)
            if self._distributions:
                counted = [parameters[number][0] for number in gradients], measures.exponents(unscaled)
                self._gradients.append(counted)
            if not self._before:
                self._before = self._copied([p.detach() for _, p in parameters])
        if self._remember:
            copies = self._copied([gradient.detach() for gradient in gradients.values()])
            lengths = (norms / factor).unbind()  # of the gradients as they are, which may be scaled
            self._last.update(zip(gradients, zip(copies, lengths, strict=True), strict=True))

    def _copied(self, tensors: list[Tensor]) -> list[Tensor]:
        spare, self._spare = self._spare, []
        if [(t.shape, t.dtype, t.layout) for t in spare] != [(t.shape, t.dtype, t.layout) for t in tensors]:
            return [t.clone() for t in tensors]
        torch._foreach_copy_(spare, tensors)
        return spare

    def _compare(self, gradients: dict[int, Tensor], norms: Tensor, clip: float | None) -> None:
        seen, parts = self._compared, list(gradients.values())
        seen.gradients += parts
        seen.norms.append(norms)
        seen.zeros.append(measures.zeros(parts))
        # A finite norm has finite parts only. On the CPU asking costs nothing; a device would have to be waited for.
        none = norms.device.type == "cpu" and bool(torch.isfinite(norms).all())
        seen.nonfinite.append(torch.zeros_like(norms) if none else measures.nonfinite(parts))
        if clip is not None:
            limited = torch._foreach_clamp_max(torch._foreach_clamp_min(measures.dense(parts), -clip), clip)
            seen.clipped.append(measures.norms(limited))
        pairs = [(n, place) for place, n in enumerate(gradients) if n in self._last]
        if pairs:
            last, lengths = (list(column) for column in zip(*(self._last.pop(n) for n, _ in pairs), strict=True))
            seen.dots.append(measures.dots([gradients[n] for n, _ in pairs], last))
            seen.both.append(norms[[place for _, place in pairs]])
            seen.before.append(torch.stack(lengths))
            self._spare = last

    def after_step(self, parameters: Named, accumulate: int, world: int) -> Seen | None:
        """Everything of this step, if it was due."""
        before, compared, micro = self._before, self._compared, self._micro
        self._before, self._compared, self._micro = [], Compared(), Micro()
        if not before:
            return None
        now, seen = [p.detach() for _, p in parameters], Seen()
        weight = measures.total(measures.norms(before)) if self._scalars else None
        updates = _moved(before, now)
        if weight is not None:
            moved = measures.total(measures.norms(updates))
            seen.scalars = compared.scalars()
            noise = micro.noise_scale(measures.total(torch.cat(compared.norms)).square(), accumulate, world)
            if noise is not None:
                seen.scalars["gradient/noise_scale"] = noise
            seen.scalars |= {"weight/norm": weight, "update/norm": moved, "update/ratio": moved / weight}
            if self.activations is not None:
                seen.scalars |= self.activations.take()
        if self._distributions:
            names = [name for name, _ in parameters]
            seen.distributions = {
                "gradient": self._gradients,
                "weight": [(names, measures.exponents(now))],
                "update": [(names, measures.exponents(updates))],
            }
        self._gradients = []
        self._spare = before if before[0].device.type == "cpu" else []
        return seen

    def stop(self) -> None:
        if self.activations is not None:
            self.activations.stop()


def _moved(before: list[Tensor], now: list[Tensor]) -> list[Tensor]:
    """θ before - θ now, in place of the former: its norm and magnitudes are the update's, and no memory is asked for.
    Half-width floats are subtracted in float32, where nothing of a small update is lost."""
    if any(t.dtype in measures.NARROW for t in before):
        before, now = ([t.float() if t.dtype in measures.NARROW else t for t in side] for side in (before, now))
    torch._foreach_sub_(before, now)
    return before


def samples(batch: object) -> int:
    """Samples in a batch (x, y); 0 if it does not tell."""
    first = batch[0] if isinstance(batch, tuple | list) and batch else batch
    return len(first) if isinstance(first, Tensor) and first.ndim else 0
