"""Rules on what is learnt: nothing, no more than chance, the training set alone."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from ..events.reading import Floats, Series
from . import thresholds as t
from .evidence import CHANCE, Evidence, span
from .finding import Finding, NotSeen, rounded


def falling(run: Evidence) -> Iterator[Finding]:
    """A training loss that does not fall."""
    loss = run.series("loss/train", t.LEARNING_STEPS)
    first, last = loss.values[: t.FIRST // 2], loss.values[-(len(loss.values) // 4) :]
    began, now = float(np.median(first)), float(np.median(last))
    if began - now > t.FLAT * abs(began) or _val_fell(run):
        return
    scatter = t.NOISE * math.sqrt(float(np.var(last)) / len(last) + float(np.var(first)) / len(first))
    slope = "rose" if now - began > scatter else "hardly fell" if began - now > scatter else "did not fall"
    yield Finding(
        "loss not falling",
        f"the training loss {slope}: {rounded(began, 4)} at the start, "
        f"{rounded(now, 4)} over the last quarter (steps {loss.steps[0]} to {loss.steps[-1]})",
        "nothing was learnt",
        run.lr(_towards(run)),
        span(loss.steps),
        began - now,
    )


def _val_fell(run: Evidence) -> bool:
    """Losses of batches scatter: a validation loss that fell shows that something was learnt all the same."""
    try:
        values = run.series("loss/val", 2).values
    except NotSeen:
        return False
    return float(values[0] - values.min()) > t.FLAT * abs(float(values[0]))


def _towards(run: Evidence) -> float:
    """Which way the learning rate should go, by the size of the updates."""
    try:
        ratio = float(np.median(run.series("update/ratio").values))
    except NotSeen:
        return 0.1
    return 10.0 if ratio < 10 * t.RATIO[0] else 0.1


def chance(run: Evidence) -> Iterator[Finding]:
    """A validation loss that guessing gives as well."""
    level = run.told(CHANCE)
    if level is None:
        raise NotSeen(
            "what guessing gives was not recorded: it is for cross entropy, mse and bce_with_logits, with validation"
        )
    loss = run.series("loss/val")
    run.series("loss/train", t.LEARNING_STEPS)
    best = float(loss.values.min())
    if level <= 0 or best < t.CHANCE * level:
        return
    yield Finding(
        "loss at chance",
        f"the best validation loss is {rounded(best, 4)} (of steps {loss.steps[0]} to {loss.steps[-1]}); always "
        f"guessing the same gives {rounded(level, 4)}",
        "the model makes no use of its input",
        "stepkit check; do x and y belong together, row by row?" if _learnt(run) else run.lr(_towards(run)),
        span(loss.steps),
        best / level,
    )


def _learnt(run: Evidence) -> bool:
    """Whether the parameters moved as they should: then it is not the learning rate that fails."""
    try:
        ratio = float(np.max(run.series("update/ratio").values))
    except NotSeen:
        return False
    return t.RATIO[0] < ratio < t.MARGIN * t.RATIO[1]


def overfitting(run: Evidence) -> Iterator[Finding]:
    """A validation loss that ends clearly above its minimum, while the training loss went on falling."""
    val, train = run.series("loss/val", t.VALIDATIONS), run.series("loss/train", t.LEARNING_STEPS)
    smooth = _smooth(val.values)
    place = int(smooth.argmin())
    lowest, last = float(smooth[place]), float(np.median(val.values[-max(3, len(val.values) // 4) :]))
    rise, gained = last - lowest, float(np.median(train.values[:5])) - lowest
    at, now = _train_at(train, val, place), _train_at(train, val, len(val.values) - 1)
    if rise < t.RISEN * abs(lowest) or rise < t.LOST * gained or now > at - t.TRAIN_FELL * abs(at):
        return
    step = int(val.steps[place])
    yield Finding(
        "overfitting",
        f"the validation loss was lowest at step {step} ({rounded(lowest, 3)}) and rose by {rise / abs(lowest):.0%} to "
        f"{rounded(last, 3)} at step {val.steps[-1]}, while the training loss fell from {rounded(at, 3)} to "
        f"{rounded(now, 3)}",
        "since then the model learns its training samples by heart",
        _calmer(run),
        (step, int(val.steps[-1])),
        rise / abs(lowest),
    )


def _smooth(values: Floats) -> Floats:
    """Medians of three neighbours: one lucky validation is no minimum."""
    padded = np.concatenate([values[:1], values, values[-1:]])
    medians: Floats = np.median(np.lib.stride_tricks.sliding_window_view(padded, 3), axis=1)
    return medians


def _train_at(train: Series, val: Series, place: int) -> float:
    """The median training loss of the steps before a validation, as many as lie between two."""
    until = int(val.steps[place])
    since = until - int(np.median(np.diff(val.steps)))
    chosen = train.values[(train.steps > since) & (train.steps <= until)]
    return float(np.median(chosen)) if len(chosen) else float("nan")


def _calmer(run: Evidence) -> str:
    dropout, decay = run.number("model.dropout"), run.number("optimizer.weight_decay")
    if dropout is not None and dropout < 0.3:
        return "model.dropout=0.3"
    if decay is not None and decay < 0.1:
        return "optimizer.weight_decay=0.1"
    return "callback=early_stopping"


def improving(run: Evidence) -> Iterator[Finding]:
    """A monitored metric whose first validation was its best."""
    found = run.series(run.metric, t.VALIDATIONS)
    values = found.values if run.mode == "max" else -found.values
    first, rest = float(values[0]), values[1:]
    # Not a plateau at the best there is: all that follows is worse, by more than it varies.
    if rest.max() >= first or first - float(np.median(rest)) < max(t.FLAT * abs(first), float(np.std(rest))):
        return
    yield Finding(
        "validation not improving",
        f"{run.metric} was best at its first validation, step {found.steps[0]} ({rounded(float(found.values[0]), 4)}); "
        f"the last, at step {found.steps[-1]}, is {rounded(float(found.values[-1]), 4)}",
        "training since then has made the model no better",
        run.lr(0.1),
        span(found.steps),
        float(found.values[-1]),
    )
