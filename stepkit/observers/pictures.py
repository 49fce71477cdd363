"""What a validation looks like: the flow of gradients, inputs with predictions, the confusion matrix, a sample of text.

Renewed at validations 1, 2, 4, 8, … and at the last one, so that a long run stays small.
"""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor, nn

from ..spec import DataSpec
from . import drawing
from .cadence import Doubling
from .gradients import Watch
from .written import event_writers

CLASSES, IMAGES, PROMPT, SAMPLE, TEMPERATURE = 50, 16, 32, 160, 0.8


class Pictures(Callback):
    """Draws for stepkit's own event files what the data's kind allows.

    Args:
        watch: knows the layers' gradient norms.
        spec: what the data is; None draws the gradients alone.
    """

    def __init__(self, watch: Watch, spec: DataSpec | None) -> None:
        self.watch, self.spec = watch, spec
        self.due = Doubling(24)
        self._validations = 0
        self._drawn_at = -1
        self.confusion: Tensor | None = None
        self._first: tuple[Tensor, Tensor, Tensor] | None = None

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.confusion, self._first = None, None

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if not isinstance(outputs, Tensor) or not isinstance(batch, tuple | list) or len(batch) != 2:
            return
        if self._first is None:
            self._first = batch[0][:IMAGES], batch[1][:IMAGES], outputs[:IMAGES]
        classes = self.spec.num_classes if self.spec and self.spec.task == "classification" else None
        if classes and classes <= CLASSES and outputs.ndim == 2 and batch[1].ndim == 1:
            pairs = batch[1] * classes + outputs.argmax(dim=1)
            counts = torch.bincount(pairs, minlength=classes * classes).view(classes, classes)
            self.confusion = counts if self.confusion is None else self.confusion + counts

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.sanity_checking:
            return
        self._validations += 1
        if self.due(self._validations):
            self._draw(trainer, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._drawn_at != trainer.global_step:
            self._draw(trainer, pl_module)

    def _draw(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._drawn_at = step = trainer.global_step
        if not trainer.is_global_zero:
            return
        for writer in event_writers(trainer):
            if (history := self.watch.written.history()) is not None:
                writer.image("gradient/flow", drawing.flow(*history), step)
            if self.confusion is not None and self.spec is not None:
                names = self.spec.class_names or tuple(map(str, range(len(self.confusion))))
                writer.image("validation/confusion", drawing.confusion(self.confusion.cpu().numpy(), names), step)
            if (shown := self._grid()) is not None:
                writer.image("validation/predictions", shown, step)
            if (text := self._sample(module)) is not None:
                writer.text("validation/sample", f"```\n{text}\n```", step)

    def _grid(self) -> drawing.Pixels | None:
        """The first validation images with what was predicted."""
        if self._first is None or self.spec is None or not self.spec.image_size or self.spec.task != "classification":
            return None
        x, y, output = (part.detach().float().cpu() for part in self._first)
        images = x.reshape(len(x), self.spec.in_channels or 1, *self.spec.image_size)
        low, high = images.amin(dim=(1, 2, 3), keepdim=True), images.amax(dim=(1, 2, 3), keepdim=True)
        pixels = ((images - low) / (high - low).clamp(min=1e-9) * 255).byte().permute(0, 2, 3, 1).numpy()
        names = self.spec.class_names or tuple(map(str, range(output.shape[1])))
        predicted, true = output.argmax(dim=1).tolist(), y.long().tolist()
        captions = [names[p] if p == t else f"{names[p]} not {names[t]}" for p, t in zip(predicted, true, strict=True)]
        right = [p == t for p, t in zip(predicted, true, strict=True)]
        return drawing.grid(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels, captions, right)

    def _sample(self, module: pl.LightningModule) -> str | None:
        """A validation text continued by the model."""
        if self.spec is None or self.spec.task != "language" or self._first is None or not self.spec.class_names:
            return None
        prompt = self._first[0][0, :PROMPT]
        names = self.spec.class_names
        shown = "".join(names[int(token)] for token in prompt)
        added = continued(module, prompt, SAMPLE, self.spec.context_length or len(prompt), TEMPERATURE)
        return shown + "▸" + "".join(names[int(token)] for token in added)


@torch.no_grad()
def continued(module: nn.Module, prompt: Tensor, length: int, window: int, temperature: float, seed: int = 0) -> Tensor:
    """`length` tokens [length] drawn one by one after the prompt [T]; the global random state is not touched."""
    generator = torch.Generator(device="cpu").manual_seed(seed)
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    tokens = prompt
    for _ in range(length):
        scores = module(tokens[-window:].unsqueeze(0))[0, -1].float().cpu() / temperature
        drawn = torch.multinomial(scores.softmax(dim=0), 1, generator=generator)
        tokens = torch.cat([tokens, drawn.to(tokens)])
    for part, training in modes:
        part.training = training  # each as it was: a frozen part may stay in eval mode
    return tokens[len(prompt) :]
