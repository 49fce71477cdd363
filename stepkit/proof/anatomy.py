"""One optimizer step of the configured experiment, taken apart: as stepkit takes it, and again by hand."""

from __future__ import annotations

import math
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from ..build import Parts, build, build_module, try_once
from ..config.hydra import Composed
from ..config.settings import StepSettings
from ..engine.quiet import hush
from ..errors import Unsupported
from ..guards.first_batch import CLASS_LOSSES, ELEMENTWISE_LOSSES
from ..observers import measures
from ..observers.graph import Graph, makers
from ..observers.tensors import tensors_of
from ..step import Step
from . import accumulation, by_stepkit, differences, phases, verdict
from .accumulation import norm
from .by_hand import Hand
from .findings import Anatomy, Check, ParameterFacts
from .replay import deterministic

Tensors = dict[str, Tensor]
WARM_UP = 3  # steps within which an optimizer must move something
TOLERANCE = {"64": 1e-10, "32": 1e-4, "16": 1e-2, "bf16": 5e-2}  # relative, of sums in another order, by precision


def take_apart(composed: Composed) -> Anatomy:
    """The first step of the run that the config declares; nothing is written.

    Raises UserError as training would at its first batch, Unsupported for a LightningModule that is no Step.
    """
    hush()
    parts = build(composed)
    if not isinstance(parts.module, Step):
        raise Unsupported(
            f"model {type(parts.module).__name__} is a LightningModule with a step of its own, not a Step"
        )
    with deterministic():
        taken = by_stepkit.take(composed, parts)
        hand = Hand(fresh(composed, parts), taken, StepSettings(**composed.cfg.step))
        return Examination(composed, parts, hand).anatomy()


def fresh(composed: Composed, parts: Parts) -> Step:
    """The module once more, made as build makes it: a copy would lose hooks that the model put on its parameters."""
    pl.seed_everything(int(composed.cfg.seed), verbose=False)
    module = build_module(composed)
    assert isinstance(module, Step)
    try_once(module, parts.loaders["train"])  # a model that counts its calls has counted this one in the run, too
    return module


class Examination:
    """The questions asked of one step, in an order in which a model that keeps state still answers the first ones."""

    def __init__(self, composed: Composed, parts: Parts, hand: Hand) -> None:
        self.composed, self.parts, self.hand = composed, parts, hand
        after = hand.taken.after
        self.by_hand = largest(after, hand.step())
        self.clipped = hand.used or {}
        self.start = {name: hand.start[name].cpu() for name in after}
        self.changes = {name: after[name] - self.start[name] for name in after}
        self.graph, self.output = self._graph()
        self.gradients = on_cpu(hand.gradients())
        self.losses = hand.losses
        self.tried, self.moved = self._moved()
        self.cosine = downhill(self.gradients, self.moved)
        self.doubled, self.off = doubling(self.gradients, on_cpu(hand.gradients(passes=2)))
        self.formula, self.rounding = self._formula(after)
        self.accumulation = accumulation.compare(hand, self.graph)
        self.differences, self.refused = differences.of_step(fresh(composed, parts), hand.taken)
        self.phases, self.memory = phases.measure(hand)

    def _graph(self) -> tuple[Graph, str]:
        """The first micro-batch's graph, and the shape of the model's output."""
        self.hand.reset()
        with makers(self.hand.module) as found:
            loss = self.hand.loss(0)
        output = found.outputs.get("network")
        return Graph(loss, self.hand.module, found), "" if output is None else shapes(output)

    def _moved(self) -> tuple[int, Tensors]:
        """(steps, Δθ) until something changes; without weight decay, which changes parameters by itself."""
        after = self.hand.step(bare=True)
        for steps in range(1, WARM_UP + 1):
            changes = {name: after[name] - self.start[name] for name in after}
            if steps == WARM_UP or any(change.any() for change in changes.values()):
                break
            after = self.hand.go_on()
        return steps, changes

    def _formula(self, after: Tensors) -> tuple[float | None, float]:
        """(largest |θ' - (θ - η ∇L)|, what rounding explains) for SGD without momentum and decay."""
        self.hand.reset()
        groups = self.hand.optimizer.param_groups
        if type(self.hand.optimizer) is not torch.optim.SGD or any(
            group["momentum"] or group["weight_decay"] or group["maximize"] for group in groups
        ):
            return None, 0.0
        rates = {id(p): float(group["lr"]) for group in groups for p in group["params"]}
        worst = allowed = 0.0
        for name, p in self.hand.module.named_parameters():
            if name in self.clipped and id(p) in rates:
                theta, step = self.start[name].double(), rates[id(p)] * self.clipped[name].double()
                worst = max(worst, float((after[name].double() - (theta - step)).abs().max()))
                size = float(theta.abs().max() + step.abs().max())
                allowed = max(allowed, 2 * torch.finfo(p.dtype).eps * size)  # a product and a difference are rounded
        return worst, allowed

    def checks(self) -> list[Check]:
        """What must hold; after a number that is not finite nothing else is judged but what still has a meaning."""
        module, hand = self.hand.module, self.hand
        name, allowed = type(hand.optimizer).__name__, TOLERANCE[hand.taken.precision.partition("-")[0]]
        first = [
            verdict.finite(self.losses, self.gradients),
            verdict.gradient_reaches(module, self.gradients),
            verdict.given_to_optimizer(module, hand.optimizer),
            verdict.equal_by_hand(self.by_hand, hand.taken.device.type),
        ]
        if not first[0].held:
            return first
        return [
            *first,
            verdict.moves(module, hand.optimizer, self.gradients, self.moved, self.tried),
            verdict.downhill(name, self.cosine),
            verdict.formula(self.formula, self.rounding),
            self._zeroed(),
            verdict.doubles(self.doubled, self.off, allowed),
            verdict.accumulated(self.accumulation, hand.settings.accumulate, allowed),
            verdict.agrees(self.differences, self.refused),
        ]

    def _zeroed(self) -> Check:
        self.hand.gradients()
        self.hand.module.optimizer_zero_grad(0, 0, self.hand.optimizer)  # as Lightning calls it
        return verdict.zeroed(self.hand.module)

    def parameters(self) -> list[ParameterFacts]:
        """In forward order; those that the loss does not reach come last."""
        named = dict(self.hand.module.named_parameters())
        order = dict.fromkeys([*(name for name in self.graph.order() if name in named), *named])
        return [self._parameter(name, named[name]) for name in order]

    def _parameter(self, name: str, parameter: Tensor) -> ParameterFacts:
        gradient, length, update = self.gradients.get(name), norm(self.start[name]), norm(self.changes[name])
        return ParameterFacts(
            name=name,
            shape=tuple(parameter.shape),
            trainable=parameter.requires_grad,
            norm=length,
            gradient=None if gradient is None else norm(gradient),
            zeros=None if gradient is None else float((gradient == 0).double().mean()),
            update=update,
            ratio=update / length if length else None,
        )

    def anatomy(self) -> Anatomy:
        module, hand, taken = self.hand.module, self.hand, self.hand.taken
        moved, start = norm(*self.changes.values()), norm(*self.start.values())
        checks = self.checks()
        return Anatomy(
            experiment=str(self.composed.choices.get("experiment") or "run"),
            model=type(getattr(module, "network", module)).__name__,
            loss="its own" if module.loss is None else getattr(module.loss, "__name__", type(module.loss).__name__),
            kind=kind_of(self.parts, module.loss),
            optimizer=type(hand.optimizer).__name__,
            precision=taken.precision,
            device=str(taken.device),
            batches=[shapes(batch) for batch in taken.batches],
            output=self.output,
            losses=self.losses,
            lr=[float(group["lr"]) for group in hand.optimizer.param_groups if "lr" in group],
            graph=self.graph.facts(),
            parameters=self.parameters(),
            gradient_norm=norm(*self.gradients.values()),
            clipped_norm=None if hand.settings.clip is None else norm(*self.clipped.values()),
            update_norm=moved,
            update_ratio=moved / start if start else None,
            descent=self.cosine,
            by_hand=self.by_hand,
            formula=self.formula,
            without_zero_grad=self.doubled,
            accumulation=self.accumulation,
            phases=self.phases,
            memory=self.memory,
            differences=self.differences,
            graph_def=self.graph.graph_def(),
            checks=checks,
        )


def kind_of(parts: Parts, loss: Any) -> str:
    """What is learnt: the data says it, else the loss."""
    if parts.spec is not None:
        return parts.spec.task
    if isinstance(loss, CLASS_LOSSES):
        return "classification"
    return "regression" if isinstance(loss, ELEMENTWISE_LOSSES) else "its own"


def shapes(batch: Any) -> str:
    """`[32, 64] float32, [32] int64`"""
    return ", ".join(f"{list(t.shape)} {str(t.dtype).removeprefix('torch.')}" for t in tensors_of(batch))


def on_cpu(tensors: Tensors) -> Tensors:
    return {name: tensor.cpu() for name, tensor in tensors.items()}


def largest(ours: Tensors, theirs: Tensors) -> float:
    """The largest difference of two sets of parameters; 0.0 if they are equal to the last bit, NaN to NaN."""
    worst = 0.0
    for name, a in ours.items():
        b = theirs[name]
        off = torch.where((a == b) | (a.isnan() & b.isnan()), torch.zeros_like(a), (a - b).abs())
        worst = max(worst, float(off.nan_to_num(nan=math.inf).max()) if off.numel() else 0.0)
    return worst


def downhill(gradients: Tensors, changes: Tensors) -> float | None:
    """Cosine between −∇L and Δθ; None if one of them is zero or not finite."""
    pairs = [(gradients[name].double(), changes[name].double()) for name in gradients]
    found = -float(measures.cosine([g for g, _ in pairs], [c for _, c in pairs])) if pairs else math.nan
    return found if math.isfinite(found) else None


def doubling(once: Tensors, twice: Tensors) -> tuple[float | None, float]:
    """(|g after two backwards| / |g|, relative distance from exactly double)."""
    length = norm(*once.values())
    if not length or not math.isfinite(length):
        return None, 0.0
    off = norm(*(twice[name] - 2 * once[name] for name in once)) / (2 * length)
    return norm(*twice.values()) / length, off
