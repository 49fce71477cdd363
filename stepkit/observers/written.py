"""What was seen and is not written yet: kept on the device, fetched in one transfer, handed to every logger."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..config.settings import Observe
from .cadence import Every
from .layers import ABSENT, by_layer, layers
from .measures import edges
from .statistics import Seen

LONGEST = 640  # times that the picture of gradient flow shows
BLOCK = 64  # steps a blocked tensor summary holds: TensorBoard keeps a bounded number of summaries, not of steps
CARD = [float(power) for power in range(-24, 9)]  # log2 norms of the whole model's card


class Written:
    """Rows of steps and of statistics, and how they become scalars, tensors and histograms."""

    def __init__(self, observe: Observe) -> None:
        self.observe = observe
        self.often, self.card = Every(observe.statistics_every), Every(observe.whole_model_every)
        self._rows: list[tuple[int, float, float, int, Tensor, Tensor]] = []
        self._seen: list[tuple[int, Seen]] = []
        self._block = np.empty((0, 0), np.float32)
        self._skipped = 0
        self._shown: list[str] = []
        self._history: list[tuple[int, NDArray[np.float32]]] = []

    @property
    def full(self) -> bool:
        return len(self._rows) >= self.observe.flush_every

    def step(self, step: int, when: float, lr: float, samples: int, loss: Tensor, norms: Tensor) -> None:
        """Another step: `when` in seconds since the epoch, `samples` seen since the row before, `norms` [P]."""
        self._rows.append((step, when, lr, samples, loss, norms))

    def statistics(self, step: int, seen: Seen | None) -> None:
        if seen is not None:
            self._seen.append((step, seen))

    def flush(
        self, trainer: pl.Trainer, names: Sequence[str], skipped: int, *, together: bool = True
    ) -> tuple[list[int], Tensor, Tensor]:
        """Write all rows. Returns their steps, losses [K] and total gradient norms [K].

        Args:
            names: the parameters' names, P.
            skipped: optimizer steps left out so far.
            together: whether all ranks are here, so that the loss can be averaged over them.
        """
        rows, self._rows = self._rows, []
        seen, self._seen = self._seen, []
        if trainer.is_global_zero:
            self._statistics(trainer, seen)
        if not rows:
            return [], torch.empty(0), torch.empty(0)
        steps, times, rates, counts, losses, norms = (list(column) for column in zip(*rows, strict=True))
        loss = torch.stack(losses).float()
        if trainer.world_size > 1 and together:  # each rank saw its own share; the gradient was averaged already
            loss = trainer.strategy.reduce(loss, reduce_op="mean")
        fetched = torch.cat([loss[:, None], torch.stack(norms)], dim=1).cpu()
        loss, parts = fetched[:, 0], fetched[:, 1:]
        there = parts != ABSENT
        whole = torch.linalg.vector_norm(parts.double() * there, dim=1)  # squares of float32 do not overflow here
        shown = torch.where(there, parts, float("nan"))
        if trainer.is_global_zero:
            self._steps(trainer, steps, times, self._columns(trainer, loss, whole, rates))
            self._layers(trainer, names, steps, times, parts)
            self._tensors(trainer, names, steps, shown)
            self._throughput(trainer, steps, times, counts)
            self._count(trainer, steps[-1], skipped)
        return steps, loss, whole

    def _columns(self, trainer: pl.Trainer, loss: Tensor, whole: Tensor, rates: list[float]) -> dict[str, Tensor]:
        columns = {"loss/train": loss, "gradient/norm": whole, "lr": torch.tensor(rates)}
        if trainer.gradient_clip_val and trainer.gradient_clip_algorithm != "value":
            # torch.nn.utils.clip_grad_norm_: the gradient times min(1, most / (norm + 1e-6))
            factor = (float(trainer.gradient_clip_val) / (whole + 1e-6)).clamp(max=1.0)
            columns["gradient/clipped"] = whole * factor
        return columns

    def _steps(self, trainer: pl.Trainer, steps: list[int], times: list[float], columns: dict[str, Tensor]) -> None:
        write_table(trainer, list(columns), steps, torch.stack(list(columns.values()), dim=1), times)

    def _throughput(self, trainer: pl.Trainer, steps: list[int], times: list[float], counts: list[int]) -> None:
        """From the first of these steps to the last: between them nothing was validated."""
        seen, seconds = sum(counts[1:]) * trainer.world_size, times[-1] - times[0]
        if seen and seconds > 0:
            log(trainer, {"throughput/samples_per_second": seen / seconds}, steps[-1])

    def _layers(
        self, trainer: pl.Trainer, names: Sequence[str], steps: list[int], times: list[float], parts: Tensor
    ) -> None:
        due = [number for number, step in enumerate(steps) if self.often(step)]
        if not due or not names:
            return
        shown, table = by_layer(parts[due], layers(names))
        self._remember(shown, [steps[n] for n in due], table.numpy())
        tags = [f"gradient/norm/{layer}" for layer in shown]
        if self.observe.per_parameter:
            tags = [f"gradient/norm/{name}" for name in names]
            table = torch.where(parts[due] == ABSENT, float("nan"), parts[due])
        write_table(trainer, tags, [steps[n] for n in due], table, [times[n] for n in due])

    def _remember(self, shown: list[str], steps: list[int], table: NDArray[np.float32]) -> None:
        """The layers' norms for the picture of their flow; when it grows too long, every second one is kept."""
        self._shown = shown
        self._history += list(zip(steps, table, strict=True))
        while len(self._history) > LONGEST:
            self._history = self._history[::2]

    def history(self) -> tuple[NDArray[np.float64], list[str], list[int]] | None:
        """(norms [layers, times], layers, steps) seen so far, if there are two times at least."""
        if len(self._history) < 2:
            return None
        return np.array([row for _, row in self._history], np.float64).T, self._shown, [s for s, _ in self._history]

    def _tensors(self, trainer: pl.Trainer, names: Sequence[str], steps: list[int], parts: Tensor) -> None:
        """All parameters' norms as blocks [64, 1 + P], the step in front; and the whole model as one histogram card."""
        rows = np.concatenate([np.array(steps, np.float32)[:, None], parts.numpy()], axis=1)
        self._block = np.concatenate([self._block, rows]) if self._block.size else rows
        content = json.dumps(list(names)).encode()
        for writer in event_writers(trainer):
            for start in range(0, len(self._block) - len(self._block) % BLOCK, BLOCK):
                block = self._block[start : start + BLOCK]
                writer.tensor("gradient/norms", block, int(block[-1, 0]), content=content)
            for number, step in enumerate(steps):
                if self.card(step):
                    row = parts[number][torch.isfinite(parts[number])].numpy()
                    counts, _ = np.histogram(np.log2(np.clip(row, 2.0 ** CARD[0], 2.0 ** CARD[-1])), CARD)
                    writer.histogram("gradient/log2_norms", CARD, counts, step)
        self._block = self._block[len(self._block) - len(self._block) % BLOCK :]

    def finish(self, trainer: pl.Trainer, names: Sequence[str]) -> None:
        """The last, incomplete block."""
        if self._block.size and trainer.is_global_zero:
            for writer in event_writers(trainer):
                content = json.dumps(list(names)).encode()
                writer.tensor("gradient/norms", self._block, int(self._block[-1, 0]), content=content)
        self._block = np.empty((0, 0), np.float32)

    def _statistics(self, trainer: pl.Trainer, seen: list[tuple[int, Seen]]) -> None:
        flat = [value.float() for _, one in seen for value in one.scalars.values()]
        values = iter(torch.stack(flat).cpu().tolist() if flat else [])
        for step, one in seen:
            scalars = {tag: next(values) for tag in one.scalars}
            if scalars:
                log(trainer, scalars, step)
            for kind, tables in one.distributions.items():
                for names, counts in tables:
                    self._distributions(trainer, kind, names, counts.cpu().numpy(), step)

    def _distributions(
        self, trainer: pl.Trainer, kind: str, names: list[str], counts: NDArray[np.int64], step: int
    ) -> None:
        for writer in event_writers(trainer):
            for name, column in zip(names, counts, strict=True):
                writer.histogram(f"{kind}/{name.removeprefix('network.')}", edges(), column, step)

    def _count(self, trainer: pl.Trainer, step: int, skipped: int) -> None:
        if skipped != self._skipped:
            log(trainer, {"step/skipped": float(skipped)}, step)
            self._skipped = skipped


def write_table(
    trainer: pl.Trainer, tags: Sequence[str], steps: Sequence[int], table: Tensor, times: Sequence[float]
) -> None:
    """Scalars [K, n] of K steps to every logger: at once where it can, else step by step."""
    for logger in trainer.loggers:
        if hasattr(logger, "log_table"):
            logger.log_table(tags, steps, table.numpy(), times)
        else:
            for step, values in zip(steps, table.tolist(), strict=True):
                logger.log_metrics(dict(zip(tags, values, strict=True)), step)


def log(trainer: pl.Trainer, scalars: dict[str, float], step: int) -> None:
    for logger in trainer.loggers:
        logger.log_metrics(scalars, step)


def event_writers(trainer: pl.Trainer) -> list[Any]:
    """stepkit's own event writers among the loggers; on the first rank alone."""
    if not trainer.is_global_zero:
        return []
    return [logger.writer for logger in trainer.loggers if hasattr(logger, "writer") and hasattr(logger, "log_table")]
