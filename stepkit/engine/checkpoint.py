"""best.ckpt and last.ckpt: tensors and plain values only, loadable with `weights_only=True`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback, ModelCheckpoint

FOLDER = "checkpoints"
BEST, LAST = "best.ckpt", "last.ckpt"


class Best(ModelCheckpoint):
    """Keeps the checkpoint of the best validation as best.ckpt."""

    def __init__(self, directory: Path, metric: str, mode: str) -> None:
        super().__init__(
            dirpath=directory / FOLDER,
            filename=BEST.removesuffix(".ckpt"),
            monitor=metric,
            mode=mode,
            save_top_k=1,
            enable_version_counter=False,
            save_on_train_epoch_end=False,  # after a validation only: without one there is nothing to compare
        )


class Carried(Callback):
    """Puts into every checkpoint what is needed to use the model without its data: the spec and the preparation."""

    def __init__(self, spec: dict[str, Any] | None, state: dict[str, Any]) -> None:
        self.carried = {"spec": spec, "data": state}

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint["stepkit"] = self.carried
