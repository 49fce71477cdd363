"""The step as a picture: forward, loss, backward, step, zero_grad with their numbers, and each parameter's share."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from .page import Html, element, joined, picture
from .tables import number

if TYPE_CHECKING:
    from ..proof.findings import Anatomy, ParameterFacts

WIDTH, TOP, HEIGHT, GAP = 1120, 16, 176, 26
BARS, ROW = 40, 22  # parameters drawn, and the height of one


def flow(anatomy: Anatomy) -> Html:
    """Five stations of one step, and the way back to the next batch."""
    stations = _stations(anatomy)
    wide = (WIDTH - GAP * (len(stations) - 1)) / len(stations)
    drawn = []
    for place, station in enumerate(stations):
        x = place * (wide + GAP)
        drawn.append(_station(x, wide, station))
        if place:
            drawn.append(_arrow(x - GAP + 3, x - 3))
    bottom = TOP + HEIGHT
    way = f"M {WIDTH - wide / 2:g} {bottom + 2:g} v 18 h {-(WIDTH - wide):g} v -12"
    back = element("path", d=way, fill="none", stroke="var(--line)", stroke_width=2, marker_end="url(#tip)")
    words = _text(WIDTH / 2, bottom + 38, "next batch, from the new θ", size=12, anchor="middle", class_="soft")
    label = "One optimizer step: " + ", then ".join(title for title, *_ in stations)
    return picture(WIDTH, bottom + 48, _tip(), *drawn, back, words, label=label)


Station = tuple[str, str, str, list[str], str]  # title, colour, formula, lines, time and memory


def _stations(a: Anatomy) -> list[Station]:
    costs = {phase.name: f"{milliseconds(phase.seconds)}{_peak(phase.peak_bytes)}" for phase in a.phases}
    k = len(a.batches)
    operations = f"{sum(a.graph.operations.values())} operations"
    forward = [*_inputs(a), f"Ŷ {_bare(a.output)}", operations]
    loss = [a.loss, a.kind, f"L = {number(_mean(a.losses))}", *([f"mean of {k} micro-batches"] if k > 1 else [])]
    clipped = [] if a.clipped_norm is None else [f"clipped to {number(a.clipped_norm)}"]
    backward = [f"|g| = {number(a.gradient_norm)}", *clipped, f"{len(a.parameters)} parameters"]
    rate = ", ".join(dict.fromkeys(number(lr) for lr in a.lr))
    step = [f"{a.optimizer}, η = {rate}", f"|Δθ| = {number(a.update_norm)}", f"|Δθ|/|θ| = {number(a.update_ratio)}"]
    again = "–" if a.without_zero_grad is None else f"{number(a.without_zero_grad)} ×"
    zero = ["without it, a second", "backward would give", f"{again} the gradient"]
    gradient = "g = ∇L(θ)" if k == 1 else f"g = Σ ∇L(θ) / {k}"
    return [
        ("forward", "blue", "Ŷ = f(X; θ)", forward, costs.get("forward", "")),
        ("loss", "purple", "L = ℓ(Ŷ, Y)", loss, ""),
        ("backward", "amber", gradient, backward, costs.get("backward", "")),
        ("step", "green", "θ′ = θ + Δθ", step, costs.get("step", "")),
        ("zero_grad", "grey", "g = 0", zero, costs.get("zero_grad", "")),
    ]


def _inputs(a: Anatomy) -> list[str]:
    """`X [32, 64]`, `Y [32]`: the parts of the first micro-batch."""
    shapes = re.findall(r"\[[^\]]*\]", a.batches[0]) if a.batches else []
    return [f"{name} {shape}" for name, shape in zip("XY", shapes, strict=False)]


def _bare(shape: str) -> str:
    """`[32, 64] float32` -> `[32, 64]`"""
    return shape.partition("]")[0] + "]" if shape else "–"


def _mean(losses: list[float]) -> float:
    return sum(losses) / len(losses) if losses else math.nan


def _peak(count: int | None) -> str:
    return "" if count is None else f", {size(count)}"


def milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.3g} ms"


def size(count: float) -> str:
    """Bytes for people."""
    for unit in ("B", "KiB", "MiB"):
        if abs(count) < 1024:
            return f"{count:.3g} {unit}" if unit != "B" else f"{count:.0f} B"
        count /= 1024
    return f"{count:.3g} GiB"


def _station(x: float, wide: float, station: Station) -> Html:
    title, colour, formula, lines, cost = station
    fill = f"var(--{colour})"
    parts = [
        element(
            "rect",
            x=f"{x:g}",
            y=TOP,
            width=f"{wide:g}",
            height=HEIGHT,
            rx=10,
            fill="var(--shade)",
            stroke="var(--line)",
        ),
        element("rect", x=f"{x:g}", y=TOP, width=f"{wide:g}", height=4, rx=2, fill=fill),
        element("text", title, x=f"{x + 14:g}", y=TOP + 30, font_size=15, font_weight=600, style=f"fill: {fill}"),
        element("text", formula, x=f"{x + 14:g}", y=TOP + 55, font_size=15, font_style="italic"),
    ]
    parts += [_text(x + 14, TOP + 80 + 18 * place, line, size=12.5) for place, line in enumerate(lines)]
    parts.append(_text(x + 14, TOP + HEIGHT - 12, cost, size=12, class_="soft"))
    return joined(parts)


def _text(x: float, y: float, words: str, *, size: float, anchor: str | None = None, class_: str | None = None) -> Html:
    return element("text", words, x=f"{x:g}", y=f"{y:g}", font_size=size, text_anchor=anchor, class_=class_)


def _arrow(start: float, end: float) -> Html:
    y = TOP + HEIGHT / 2
    return element(
        "line",
        x1=f"{start:g}",
        y1=y,
        x2=f"{end - 5:g}",
        y2=y,
        stroke="var(--soft)",
        stroke_width=2,
        marker_end="url(#tip)",
    )


def _tip() -> Html:
    shape = element("path", d="M 0 0 L 6 3 L 0 6 z", fill="var(--soft)")
    size = {"markerWidth": 6, "markerHeight": 6, "refX": 3, "refY": 3}
    return element("defs", element("marker", shape, id="tip", orient="auto", **size))


def gradient_flow(parameters: list[ParameterFacts]) -> Html:
    """|∇L| and |Δθ|/|θ| of each parameter in forward order, on logarithmic axes of their own."""
    shown = parameters[:BARS]
    left, wide = 330, 330
    parts = [
        _text(left, 14, "|∇L|", size=13, class_="soft"),
        _text(left + wide + 60, 14, "|Δθ| / |θ|", size=13, class_="soft"),
    ]
    gradients, ratios = [p.gradient for p in shown], [p.ratio for p in shown]
    for place, parameter in enumerate(shown):
        y = 26 + ROW * place
        parts.append(
            element(
                "text", _short(parameter.name), x=left - 14, y=y + 12, font_size=12.5, text_anchor="end", class_="mono"
            )
        )
        parts += _bar(
            left, wide, y, parameter.gradient, gradients, "amber", "no gradient" if parameter.trainable else "frozen"
        )
        parts += _bar(left + wide + 60, wide, y, parameter.ratio, ratios, "green", "θ = 0")
    return picture(
        WIDTH,
        32 + ROW * len(shown),
        *parts,
        label="Gradient norm and relative update of each parameter, in forward order",
    )


def _short(name: str, most: int = 42) -> str:
    return name if len(name) <= most else "…" + name[1 - most :]


def _bar(
    left: float, wide: float, y: float, value: float | None, all_: list[float | None], colour: str, missing: str
) -> list[Html]:
    """A bar with its number, or what is missing; its length is logarithmic, from below the smallest to the largest."""
    if value is None:
        colour = "red" if missing == "no gradient" else "soft"
        return [element("text", missing, x=left, y=y + 12, font_size=12, style=f"fill: var(--{colour})")]
    known = [math.log10(v) for v in all_ if v and math.isfinite(v)]
    low, high = (min(known) - 0.5, max(known)) if known else (0.0, 1.0)
    share = 0.0 if not value or not math.isfinite(value) else (math.log10(value) - low) / max(high - low, 1e-9)
    length = max(1.0, share * (wide - 70))
    return [
        element("rect", x=left, y=y + 2, width=f"{length:.1f}", height=12, rx=2, fill=f"var(--{colour})", opacity=0.85),
        _text(left + length + 8, y + 12, number(value), size=12, class_="soft"),
    ]
