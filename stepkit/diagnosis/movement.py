"""Rules on how parameters move: not at all, too little, too far, or with a learning rate of zero."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from . import thresholds as t
from .evidence import Evidence, plain_name, quarters, span
from .finding import Finding, NotSeen, listed, rounded


def still(run: Evidence) -> Iterator[Finding]:
    """Parameters that never had a gradient, or only zeros."""
    norms = run.seen.norms
    if norms is None or len(norms.steps) < 2:
        raise NotSeen("the parameters' gradient norms were not recorded")
    ever = (np.nan_to_num(norms.values, nan=0.0) != 0).any(axis=0)
    if not ever.any():  # nothing moves at all: no layer to name, other rules say it
        return
    absent = np.isnan(norms.values).all(axis=0)
    for chosen, told, why in (
        (~ever & absent, "never had a gradient", "no way leads from the loss to them: they stay as they were made"),
        (~ever & ~absent, "never had a gradient other than zero", "whatever they do, the loss does not feel it"),
    ):
        names = [plain_name(name) for name, hit in zip(norms.names, chosen, strict=True) if hit]
        if names:
            yield Finding(
                "parameters that never move",
                f"{listed(names)} {told} (steps {norms.steps[0]} to {norms.steps[-1]})",
                why,
                "stepkit check shows where the way breaks; use them in forward, or freeze them: requires_grad_(False)",
                span(norms.steps),
                0.0,
                tuple(names),
            )


def ratio(run: Evidence) -> Iterator[Finding]:
    """Updates too small or too large beside the weights, in a whole quarter of the run and more."""
    found = run.series("update/ratio", t.LOOKS)
    low, high = t.RATIO
    medians = quarters(found.values)
    largest, lately = max(medians), min(medians[len(medians) // 2 :])
    if largest < low / t.MARGIN and not _fell(run):
        yield _outside(
            run, "updates too small", largest, "even in its fastest quarter", 1e-3, "hardly moves", below=True
        )
    elif lately > high * t.MARGIN:
        yield _outside(run, "updates too large", lately, "over the later half", 3e-3, "jumps about", below=False)


def _outside(run: Evidence, kind: str, figure: float, when: str, aim: float, does: str, *, below: bool) -> Finding:
    steps = run.series("update/ratio").steps
    names = _worst(run, below)
    times = float(np.clip(aim / figure, 1e-3, 1e3)) if figure > 0 else 10.0
    told = f", most of all {listed(names)}" if names else ""
    return Finding(
        kind,
        f"a step changes the weights by {rounded(figure)} of their size {when} (steps {steps[0]} to {steps[-1]})"
        f"{told}; 1e-4 to 1e-2 is usual",
        f"a model at this rate {does}",
        run.lr(times),
        span(steps),
        figure,
        tuple(names),
    )


def _fell(run: Evidence) -> bool:
    losses = run.series("loss/train").values
    return float(np.median(losses[-t.FIRST :])) < t.FALLEN * float(np.median(losses[: t.FIRST // 4]))


def _worst(run: Evidence, below: bool) -> list[str]:
    """Parameters whose own ratio lies outside, by the last distributions of weights and updates; worst first."""
    weights, updates = run.latest("weight"), run.latest("update")
    ratios = {
        name: updates[name].norm / weights[name].norm for name in weights if name in updates and weights[name].norm
    }
    low, high = t.RATIO
    outside = [name for name, value in ratios.items() if (value < low if below else value > high)]
    return sorted(outside, key=lambda name: ratios[name], reverse=not below)


def resting(run: Evidence) -> Iterator[Finding]:
    """A learning rate of zero over many steps in one piece."""
    found = run.series("lr", t.STEPS)
    zero = found.values == 0
    edges = np.flatnonzero(np.diff(np.concatenate([[0], zero.astype(np.int8), [0]])))
    if not len(edges):
        return
    starts, ends = edges[::2], edges[1::2]
    place = int(np.argmax(ends - starts))
    steps = found.steps[starts[place] : ends[place]]
    share = len(steps) / len(zero)
    if share < t.RESTING or len(steps) < t.STEPS:
        return
    yield Finding(
        "learning rate zero",
        f"the learning rate is 0 from step {steps[0]} to {steps[-1]}, {share:.0%} of the run",
        "nothing is learnt in these steps",
        "scheduler=null" if run.setting("scheduler") else "optimizer.lr=1e-3",
        span(steps),
        share,
    )
