"""Pictures drawn from numbers: uint8 [height, width, 3], with readable words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Pixels = NDArray[np.uint8]

# Viridis at nine places (Smith and van der Walt 2015): as bright as it is high, for any eye and on paper.
VIRIDIS = np.array(
    [[68, 1, 84], [71, 45, 123], [59, 82, 139], [44, 114, 142], [33, 145, 140],
     [40, 174, 128], [94, 201, 98], [173, 220, 48], [253, 231, 37]], np.float64
)  # fmt: skip
ROW, FONT, INK, PAPER, GREY = 22, 13, (30, 30, 30), (255, 255, 255), (225, 225, 225)


def colours(values: NDArray[np.float64], low: float, high: float) -> Pixels:
    """Numbers [...] as colours [..., 3]; what is not finite is grey."""
    with np.errstate(invalid="ignore"):
        place = np.clip((values - low) / max(high - low, 1e-12), 0, 1) * (len(VIRIDIS) - 1)
    place = np.nan_to_num(place)
    floor = np.minimum(place.astype(int), len(VIRIDIS) - 2)
    part = (place - floor)[..., None]
    shown = VIRIDIS[floor] * (1 - part) + VIRIDIS[floor + 1] * part
    shown[~np.isfinite(values)] = GREY
    pixels: Pixels = shown.astype(np.uint8)
    return pixels


def flow(norms: NDArray[np.float64], layers: Sequence[str], steps: Sequence[int], width: int = 640) -> Pixels:
    """Gradient norms [layers, times] as a picture, log colour: layers downwards in forward order, time to the right."""
    with np.errstate(divide="ignore"):
        logs = np.log10(norms)
    finite = logs[np.isfinite(logs)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (-1.0, 0.0)
    font = ImageFont.load_default(FONT)
    margin = int(max((font.getlength(name) for name in layers), default=0)) + 12
    row = max(ROW, 220 // max(1, len(layers)))  # few layers fill the card all the same
    height = row * len(layers)
    body = Image.fromarray(colours(logs, low, high)).resize((width, height), Image.Resampling.NEAREST)
    page = Image.new("RGB", (margin + width + 12, height + 44), PAPER)
    page.paste(body, (margin, 4))
    draw = ImageDraw.Draw(page)
    for number, name in enumerate(layers):
        draw.text((margin - 6, 4 + row * number + row / 2), name, INK, font, anchor="rm")
    bottom = height + 8
    draw.text((margin, bottom), f"step {steps[0]}", INK, font)
    draw.text((margin + width, bottom), f"step {steps[-1]}", INK, font, anchor="ra")
    scale = np.linspace(low, high, 160)[None, :].repeat(10, axis=0)
    page.paste(Image.fromarray(colours(scale, low, high)), (margin + width // 2 - 80, bottom + 20))
    draw.text((margin + width // 2 - 86, bottom + 18), f"1e{low:.1f}", INK, font, anchor="ra")
    draw.text((margin + width // 2 + 86, bottom + 18), f"1e{high:.1f}", INK, font)
    return np.asarray(page)


def confusion(counts: NDArray[np.int64], names: Sequence[str]) -> Pixels:
    """Counts [true, predicted] as a picture; colour is the share of the true class."""
    font = ImageFont.load_default(FONT)
    cell = int(max(26, *(font.getlength(str(count)) + 10 for count in counts.flat)))
    margin = int(max(font.getlength(name) for name in names)) + 14
    size = cell * len(names)
    page = Image.new("RGB", (margin + size + 8, size + margin + 24), PAPER)
    draw = ImageDraw.Draw(page)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    filled = colours(shares, 0, 1)
    for row, column in np.ndindex(*counts.shape):
        left, top = margin + column * cell, 20 + row * cell
        draw.rectangle((left, top, left + cell - 2, top + cell - 2), tuple(int(c) for c in filled[row, column]))
        ink = INK if shares[row, column] > 0.6 else PAPER
        if counts[row, column]:
            draw.text((left + cell / 2, top + cell / 2), str(counts[row, column]), ink, font, anchor="mm")
    for number, name in enumerate(names):
        draw.text((margin - 6, 20 + number * cell + cell / 2), name, INK, font, anchor="rm")
        sideways = Image.new("RGB", (margin, FONT + 6), PAPER)
        ImageDraw.Draw(sideways).text((margin - 6, 1), name, INK, font, anchor="ra")
        page.paste(sideways.rotate(90, expand=True), (margin + number * cell + (cell - FONT) // 2 - 3, 22 + size))
    draw.text((margin, 2), "true (rows) against predicted (columns)", INK, font)
    return np.asarray(page)


def grid(images: NDArray[np.uint8], captions: Sequence[str], right: Sequence[bool], scale: int = 96) -> Pixels:
    """Pictures [N, H, W] or [N, H, W, 3] beside each other, each with its caption, red where it is wrong."""
    font = ImageFont.load_default(FONT)
    across = min(8, len(images))
    down = -(-len(images) // across)
    page = Image.new("RGB", (across * (scale + 8) + 8, down * (scale + 28) + 8), PAPER)
    draw = ImageDraw.Draw(page)
    for number, picture in enumerate(images):
        left, top = 8 + number % across * (scale + 8), 8 + number // across * (scale + 28)
        shown = Image.fromarray(picture).convert("RGB").resize((scale, scale), Image.Resampling.NEAREST)
        page.paste(shown, (left, top))
        ink = INK if right[number] else (190, 20, 20)
        draw.text((left + scale / 2, top + scale + 3), captions[number], ink, font, anchor="ma")
    return np.asarray(page)
