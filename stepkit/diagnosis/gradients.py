"""Rules on gradients: by layer, over time, and what is made of them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ..events.reading import Floats
from . import thresholds as t
from .evidence import Evidence, Ints, later_half, plain_name, span
from .finding import Finding, NotSeen, listed, rounded


def vanishing(run: Evidence) -> Iterator[Finding]:
    """Layers whose gradient is tiny beside the last layer's."""
    names, steps, ratios = _beside_the_last(run)
    for layers, figure in _by_layer(ratios < t.VANISHED, ratios, names):
        yield Finding(
            "vanishing gradients",
            f"the gradient of {listed(layers)} is {rounded(figure)} of the last layer's ({names[-1]}), "
            f"the median over steps {steps[0]} to {steps[-1]}",
            "these layers hardly learn",
            _normalised(run, "ReLU in place of sigmoid or tanh, or a normalization between the layers"),
            span(steps),
            figure,
            tuple(layers),
        )


def exploding_by_layer(run: Evidence) -> Iterator[Finding]:
    """Layers whose gradient is huge beside the last layer's."""
    names, steps, ratios = _beside_the_last(run)
    for layers, figure in _by_layer(ratios > t.EXPLODED, ratios, names):
        yield Finding(
            "exploding gradients",
            f"the gradient of {listed(layers)} is {rounded(figure)} times the last layer's ({names[-1]}), "
            f"the median over steps {steps[0]} to {steps[-1]}",
            "backward through the layers each one multiplies it, and the first ones take wild steps",
            _normalised(run, "smaller initial weights, or a normalization between the layers"),
            span(steps),
            figure,
            tuple(layers),
        )


def _beside_the_last(run: Evidence) -> tuple[list[str], Ints, Floats]:
    """The later half's norms of layers that have a gradient at all, over the last one's: names, steps, ratios."""
    names, steps, table = run.layers
    moving = [n for n in range(len(names)) if np.nanmax(np.nan_to_num(table[:, n])) > 0]
    if len(moving) < t.LAYERS:
        raise NotSeen(f"{len(moving)} layers have a gradient, {t.LAYERS} are wanted to compare them")
    late = later_half(table[:, moving])
    if len(late) < t.ROWS:
        raise NotSeen(f"{len(steps)} steps with the layers' norms, {2 * t.ROWS} are wanted")
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = late / late[:, -1:]
    return [names[n] for n in moving], steps[len(steps) // 2 :], ratios


def _by_layer(hit: NDArray[np.bool_], ratios: Floats, names: list[str]) -> Iterator[tuple[list[str], float]]:
    """The layers that are hit in most steps, worst figure first told of."""
    judged = np.isfinite(ratios)
    share = (hit & judged).sum(axis=0) / np.maximum(1, judged.sum(axis=0))
    found = [n for n in range(len(names) - 1) if share[n] >= t.MOSTLY and judged[:, n].any()]
    if found:
        medians = [float(np.nanmedian(ratios[:, n])) for n in found]
        yield [names[n] for n in found], max(medians, key=lambda m: abs(np.log10(max(m, 1e-300))))


def _normalised(run: Evidence, otherwise: str) -> str:
    if "model.hidden" in run.seen.hyperparameters and run.setting("model.normalization") is None:
        return "model.normalization=layer"
    return otherwise


def exploding(run: Evidence) -> Iterator[Finding]:
    """Steps whose gradient is far above those of the first steps, while the loss got worse too."""
    norm, loss = run.series("gradient/norm", t.FEW), run.series("loss/train", t.FEW)
    steps, here, there = np.intersect1d(norm.steps, loss.steps, return_indices=True)
    values, losses = norm.values[here], loss.values[there]
    # The first steps may already explode: the very first one shows the untrained model.
    scale = max(min(float(np.median(values[: t.FIRST])), float(values[0])), 1e-30)
    began = float(losses[0])
    hit = (values > t.GROWN * scale) & (losses > began + t.WORSE * abs(began))
    if hit.sum() < t.SPIKES:
        return
    where, worst, peak = steps[hit], float(values[hit].max()), float(losses[hit].max())
    layers = _grown(run, where)
    most = f", most in {listed(layers)}" if layers else ""
    yield Finding(
        "exploding gradients",
        f"the gradient's norm reached {rounded(worst)}, {rounded(worst / scale)} times that of the first steps{most}; "
        f"so it was in {len(where)} of the steps {where[0]} to {where[-1]}, while the loss rose from "
        f"{rounded(began, 3)} to {rounded(peak, 3)}",
        "each such step throws away what was learnt",
        "step.clip=1.0" if run.setting("step.clip") is None else run.lr(0.1),
        span(where),
        worst,
        tuple(layers),
    )


def _grown(run: Evidence, where: Ints) -> list[str]:
    """The layers with the largest norm in these steps, largest first."""
    try:
        names, steps, table = run.layers
    except NotSeen:
        return []
    rows = np.nan_to_num(table[np.isin(steps, where)])
    if not len(rows):
        return []
    peaks = rows.max(axis=0)
    return [names[n] for n in np.argsort(-peaks)[:3] if peaks[n] > 0.3 * peaks.max()]


def nonfinite(run: Evidence) -> Iterator[Finding]:
    """Losses and gradients that were NaN or infinite, whether they ended the run or not."""
    bad: dict[str, Ints] = {}
    for tag in ("loss/train", "gradient/norm"):
        found = run.seen.scalars.get(tag)
        if found is not None and not np.isfinite(found.values).all():
            bad[tag] = found.steps[~np.isfinite(found.values)]
    half = str(run.setting("trainer.precision", "")).startswith("16")
    if half and "loss/train" not in bad and len(bad.get("gradient/norm", ())) <= t.OVERFLOWS * run.steps:
        bad = {}
    said = run.error.partition(";")[0] if "not finite" in run.error else ""
    if not bad and not said:
        return
    steps = np.unique(np.concatenate(list(bad.values()))) if bad else np.array([run.last_step])
    names = _not_finite(run, steps)
    seen = " and ".join({"loss/train": "the loss", "gradient/norm": "the gradient"}[tag] for tag in bad)
    told = f"{seen} was NaN or infinite in {len(steps)} steps, from {steps[0]} to {steps[-1]}" if bad else said
    yield Finding(
        "numbers gone wrong",
        told + (f"; the gradient of {listed(names)}" if names else ""),
        "a step with such numbers destroys the parameters for good",
        run.lr(0.1),
        span(steps),
        float(len(steps)),
        tuple(names),
    )


def _not_finite(run: Evidence, steps: Ints) -> list[str]:
    """Parameters whose gradient was not finite in these steps, and finite before or after."""
    norms = run.seen.norms
    if norms is None:
        return []
    finite = np.isfinite(norms.values)
    then = finite[np.isin(norms.steps, steps)]
    return [plain_name(name) for n, name in enumerate(norms.names) if finite[:, n].any() and not then[:, n].all()]


def clipping(run: Evidence) -> Iterator[Finding]:
    """Clipping that bites in nearly every step."""
    if "gradient/clipped" not in run.seen.scalars:
        return  # nothing is clipped
    norm, clipped = run.series("gradient/norm"), run.series("gradient/clipped", t.LOOKS)
    steps, here, there = np.intersect1d(norm.steps, clipped.steps, return_indices=True)
    before, after = norm.values[here], clipped.values[there]
    left = after / np.maximum(before, 1e-30)
    share = float((left < 0.999).mean())
    if share < t.CLIPPED or float(np.median(left)) > t.CUT:
        return
    limit = run.setting("step.clip")
    yield Finding(
        "clipping always bites",
        f"step.clip={limit} cut the gradient in {share:.0%} of the steps, from a median norm of "
        f"{rounded(float(np.median(before)))} to {rounded(float(np.median(after)))} (steps {steps[0]} to {steps[-1]})",
        "the step's length no longer follows the gradient's: the clip, not the learning rate, sets it",
        f"step.clip={rounded(float(np.quantile(before, 0.95)), 1)}",
        span(steps),
        share,
        tuple(run.layers[0]) if run.seen.norms is not None else (),
    )


def noise(run: Evidence) -> Iterator[Finding]:
    """A gradient noise scale far above the batch."""
    scale, norm = run.series("gradient/noise_scale", t.LOOKS), run.series("gradient/norm")
    size, accumulate = run.number("data.batch_size"), run.number("step.accumulate") or 1
    if not size:
        raise NotSeen("the batch size is not known")
    batch = size * accumulate * (run.number("trainer.devices") or 1)
    steps, here, there = np.intersect1d(scale.steps, norm.steps, return_indices=True)
    # Each value is tr(Σ) / |G|^2 of one step, and |g|^2 = |G|^2 + tr(Σ) / batch: both come back, to be averaged apart.
    single, squares = scale.values[here], norm.values[there] ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        signals = squares / (1 + single / batch)
    good = np.isfinite(signals)
    steps, single, signals = steps[good], single[good], signals[good]
    half = len(steps) // 2  # the end of every training is noise: its beginning must be too
    if half < t.LOOKS:
        raise NotSeen(f"{len(steps)} values of gradient/noise_scale, {2 * t.LOOKS} are wanted")
    signal, spread = float(signals[:half].mean()), float((single * signals)[:half].mean())
    doubt = t.NOISE * float(signals[:half].std()) / half**0.5
    if spread < t.NOISY * batch * (signal + doubt) or spread <= 0:
        return
    figure = spread / signal if signal > 0 else float("inf")
    told = f"about {rounded(figure)} samples" if np.isfinite(figure) else "beyond what these batches can tell"
    yield Finding(
        "gradient noise",
        f"the gradient noise scale is {told}, the batch has {batch:.0f} (steps {steps[0]} to {steps[half - 1]})",
        "most of each step is noise, which a larger batch averages away",
        f"step.accumulate={int(accumulate) * 4}",
        span(steps[:half]),
        figure,
    )
