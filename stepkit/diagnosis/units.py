"""Rules on what the units do: dead ones, and saturated ones."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..events.reading import Series
from . import thresholds as t
from .evidence import Evidence, later_half, quarters, span
from .finding import Finding, NotSeen, listed


def dead(run: Evidence) -> Iterator[Finding]:
    """Units that are zero for whole batches, over the later half."""
    found, worst = run.series("activation/dead", t.LOOKS), run.series("activation/dead_worst", t.LOOKS)
    late = later_half(worst.values)
    mean, layer = float(np.median(later_half(found.values))), float(np.median(late))
    if (run.number("data.batch_size") or 0) < t.BATCH:
        if late.min() < 1.0:  # of one sample every other unit is zero
            raise NotSeen(f"batches below {t.BATCH} samples cannot tell dead units from quiet ones")
    elif mean < t.DEAD and layer < t.DEAD_LAYER:
        return
    steps = span(found.steps[len(found.steps) // 2 :])
    names = _without_gradient(run)
    where = f"; the gradients of {listed(names)} are mostly zero" if names else ""
    yield Finding(
        "dead units",
        f"{mean:.0%} of the units behind a ReLU or its like are zero for whole batches, {layer:.0%} in the worst layer "
        f"(steps {steps[0]} to {steps[-1]}){where}",
        "a unit that is zero for every input has no gradient and does not come back",
        "smaller initial weights and biases, or LeakyReLU in place of ReLU" if _born(worst) else run.lr(0.1),
        steps,
        max(mean, layer),
        tuple(names),
    )


def _born(worst: Series) -> bool:
    """Whether they were dead at the first step already: then no learning rate killed them."""
    return bool(worst.steps[0] == 1 and worst.values[0] >= t.DEAD_LAYER)


def _without_gradient(run: Evidence) -> list[str]:
    """Parameters whose gradient is mostly zeros, by the last distribution: those in front of and behind dead units."""
    shares = {name: seen.zero_share for name, seen in run.latest("gradient").items()}
    return [name for name, share in shares.items() if share >= t.DEAD]


def saturated(run: Evidence) -> Iterator[Finding]:
    """Activations at the ends of a bounded function, from the beginning on."""
    try:
        found, worst = run.series("activation/saturated", t.LOOKS), run.series("activation/saturated_worst", t.LOOKS)
    except NotSeen:
        if "activation/dead" in run.seen.scalars:
            return  # there is no bounded function in the model
        raise
    # A confident output saturates too, once it has learnt: what is wrong is so in the first quarter already.
    mean, layer = (min(quarters(series.values)) for series in (found, worst))
    if mean < t.SATURATED and layer < t.SATURATED_LAYER:
        return
    yield Finding(
        "saturated units",
        f"{mean:.0%} of the activations of sigmoid, tanh and the like lie at the ends of their range, {layer:.0%} in "
        f"the worst layer, from step {found.steps[0]} to {found.steps[-1]}",
        "there the function is flat and lets no gradient through",
        "smaller initial weights or inputs (standardized), or a normalization in front",
        span(found.steps),
        max(mean, layer),
    )
