"""The prepared page of Custom Scalars: what belongs together in one chart."""

from __future__ import annotations

import pytorch_lightning as pl

from .written import event_writers

BAND = (1e-4, 1e-2)  # update ratios that a healthy training mostly keeps within
LOW, HIGH = "update/band/low", "update/band/high"


def write_charts(trainer: pl.Trainer) -> None:
    """The layout, in the run's own directory and the same in all: TensorBoard merges what the runs say."""
    for writer in event_writers(trainer):
        writer.custom_scalars_layout(
            {
                "training": {
                    "loss: train against validation": ("Multiline", ["^loss/(train|val)$"]),
                    "gradient norm, and what clipping leaves": ("Multiline", ["^gradient/(norm|clipped)$"]),
                    "update ratio, and the band it should be in": ("Multiline", ["^update/ratio$", "^update/band/.*$"]),
                    "learning rate": ("Multiline", ["^lr$"]),
                },
                "gradients": {"gradient norm by layer": ("Multiline", ["^gradient/norm/.*$"])},
            }
        )


def write_band(trainer: pl.Trainer, last: int) -> None:
    """The two constant lines of the update ratio's band, from the first step to the last."""
    for writer in event_writers(trainer):
        for step in sorted({1, max(1, last)}):
            writer.scalars(step, {LOW: BAND[0], HIGH: BAND[1]})
