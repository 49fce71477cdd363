"""What watching costs: the same training with and without it, in turn; beside it the ways that people do without."""

from __future__ import annotations

import importlib.util
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import TensorBoardLogger as LightningsLogger
from pytorch_lightning.utilities import grad_norm
from torch import Tensor, nn

from stepkit.config.settings import Observe
from stepkit.engine.quiet import hush
from stepkit.guards.nonfinite import Guard
from stepkit.loggers.tensorboard import TensorBoardLogger
from stepkit.models.mlp import MLP
from stepkit.models.transformer import Transformer
from stepkit.observers import measures
from stepkit.observers.gradients import Watch
from stepkit.observers.statistics import Seen, Statistics
from stepkit.observers.written import Written
from stepkit.step import Step

from .paired import paired
from .report import Report

WARM, STEPS, FEW = 5, 50, 10  # steps of a turn: before the clock, under it, and of what is slow
EVERY_STEP = Observe(statistics_every=0, histograms=0, whole_model_every=0, activations=False)
WITHOUT_HISTOGRAMS = Observe(histograms=0)
HISTOGRAMS = 50  # steps between two of them in the turn that measures them

Batch = tuple[Tensor, Tensor]


# -- what is trained --------------------------------------------------------------------------------------------


def transformer() -> nn.Module:
    """12 blocks of 12 tensors and 6 more: 150."""
    return Transformer(vocab_size=64, context_length=16, width=32, depth=12)


def tokens() -> Batch:
    return torch.randint(64, (32, 16)), torch.randint(64, (32, 16))


def wide() -> nn.Module:
    return MLP(1024, 10, hidden=(1024, 1024, 1024))


def rows() -> Batch:
    return torch.randn(128, 1024), torch.randint(10, (128,))


class Batches:
    """Made before the clock runs. (Of a list Lightning would take each batch for a loader.)"""

    def __init__(self, made: list[Batch]) -> None:
        self.made = made

    def __len__(self) -> int:
        return len(self.made)

    def __iter__(self) -> Iterator[Batch]:
        return iter(self.made)


class Clock(Callback):
    """Milliseconds of processor time a step, which other processes do not lengthen as they do the clock's.

    The last callback of all, so that what others do at the end is in them.
    """

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, number: int) -> None:
        if number == WARM:
            self._started = time.process_time()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.ms = (time.process_time() - self._started) * 1e3 / (trainer.global_step - WARM)


def turn(
    model: Callable[[], nn.Module],
    batch: Callable[[], Batch],
    callbacks: Callable[[], Iterable[Callback]] = tuple,
    logger: Callable[[str], Any] = TensorBoardLogger,
    steps: int = STEPS,
) -> Callable[[], float]:
    """A training of its own, whose steps are timed; every turn does the same arithmetic."""

    def train() -> float:
        torch.manual_seed(0)
        module = Step(model()).attach(
            loss=nn.CrossEntropyLoss(), metrics={}, optimizer=lambda groups: torch.optim.AdamW(groups, fused=True)
        )
        batches, clock = Batches([batch() for _ in range(WARM + steps)]), Clock()
        with tempfile.TemporaryDirectory() as folder:
            trainer = pl.Trainer(
                accelerator="cpu", max_epochs=1, gradient_clip_val=1.0, logger=logger(folder), log_every_n_steps=1,
                callbacks=[*callbacks(), clock], enable_checkpointing=False, enable_progress_bar=False,
                enable_model_summary=False, default_root_dir=folder,
            )  # fmt: skip
            trainer.fit(module, batches)
        return clock.ms

    return train


# -- stepkit's way ----------------------------------------------------------------------------------------------


def watch(observe: Observe) -> Callable[[], list[Callback]]:
    return lambda: [Watch(observe, Guard("raise"))]


def watch_with_histograms() -> list[Callback]:
    made = Watch(EVERY_STEP, Guard("raise"))
    made.statistics.spread = lambda step: step % HISTOGRAMS == WARM + 1  # once in a turn, under the clock
    return [made]


# -- other ways -------------------------------------------------------------------------------------------------


class LightningsNorms(Callback):
    """As Lightning's documentation of `on_before_optimizer_step` shows it."""

    def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Any) -> None:
        pl_module.log_dict(grad_norm(pl_module, norm_type=2))


class NaiveLoop(Callback):
    def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Any) -> None:
        writer: Any = trainer.logger.experiment  # type: ignore[union-attr]
        for name, p in pl_module.named_parameters():
            writer.add_scalar(f"gradient/{name}", p.grad.norm().item(), trainer.global_step)  # type: ignore[union-attr]


class Histograms(Callback):
    def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Any) -> None:
        writer: Any = trainer.logger.experiment  # type: ignore[union-attr]
        for name, p in pl_module.named_parameters():
            writer.add_histogram(f"gradient/{name}", p.grad, trainer.global_step)


class WandbWatch(Callback):
    """The default of `wandb.watch`: gradients, every 100 steps; here at every one, as the others."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        trainer.logger.watch(pl_module, log="gradients", log_freq=1)  # type: ignore[union-attr]


def lightnings_logger(folder: str) -> Any:
    return LightningsLogger(folder)


def wandb_logger(folder: str) -> Any:
    from pytorch_lightning.loggers import WandbLogger

    return WandbLogger(save_dir=folder, offline=True)


def others() -> dict[str, Callable[[], float]]:
    found = {
        "Lightning's grad_norm and log_dict": turn(
            transformer, tokens, lambda: [LightningsNorms()], lightnings_logger, FEW
        ),
        "a loop with .item() and add_scalar": turn(transformer, tokens, lambda: [NaiveLoop()], lightnings_logger, FEW),
        "add_histogram a parameter": turn(transformer, tokens, lambda: [Histograms()], lightnings_logger, FEW),
    }
    if importlib.util.find_spec("wandb"):
        found["wandb.watch, offline"] = turn(transformer, tokens, lambda: [WandbWatch()], wandb_logger, FEW)
    return found


# -- size -------------------------------------------------------------------------------------------------------


def megabytes(directory: Path, steps: int = 10_000) -> float:
    """What `steps` steps of the 150-tensor model at the defaults leave in the event file, in 10^6 bytes.

    Numbers are drawn, not trained: each parameter's norm and entries differ by as much as gradients do.
    """
    observe, logger = Observe(), TensorBoardLogger(str(directory))
    trainer: Any = SimpleNamespace(
        loggers=[logger], is_global_zero=True, world_size=1, gradient_clip_val=1.0, gradient_clip_algorithm="norm"
    )
    written, statistics = Written(observe), Statistics(observe)
    parameters = list(Step(transformer()).named_parameters())
    names = [name for name, _ in parameters]
    for step in range(1, steps + 1):
        written.step(step, time.time(), 1e-3, 32, torch.rand(()), torch.rand(len(names)).exp())
        statistics.expect(step)
        gradients = {n: torch.randn_like(p) * torch.randn_like(p).exp() for n, (_, p) in enumerate(parameters)}
        seen = _drawn(statistics, parameters, gradients) if statistics.due else None
        written.statistics(step, seen)
        if written.full:
            written.flush(trainer, names, 0)
    written.finish(trainer, names)
    return logger.offset() / 1e6


def _drawn(
    statistics: Statistics, parameters: list[tuple[str, nn.Parameter]], gradients: dict[int, Tensor]
) -> Seen | None:
    statistics.before_step(parameters, gradients, measures.norms(list(gradients.values())), 1.0, None)
    with torch.no_grad():
        for number, (_, p) in enumerate(parameters):
            p.sub_(1e-4 * gradients[number])
    return statistics.after_step(parameters, 1, 1)


# -- all of it --------------------------------------------------------------------------------------------------


def run() -> Report:
    """About two minutes."""
    hush()
    report = Report()
    small = paired(
        {
            "not observed": turn(transformer, tokens),
            "loss, lr, all gradient norms, clipped norm": turn(transformer, tokens, watch(EVERY_STEP)),
            f"the same, and histograms every {HISTOGRAMS}": turn(transformer, tokens, watch_with_histograms),
            "all defaults between histograms": turn(transformer, tokens, watch(WITHOUT_HISTOGRAMS)),
        },
        rounds=10,
    )
    report.tables["Transformer of 150 tensors, batch 32"] = small
    report.tables["MLP 1024 wide, batch 128"] = paired(
        {
            "not observed": turn(wide, rows),
            "all defaults between histograms": turn(wide, rows, watch(WITHOUT_HISTOGRAMS)),
        },
        rounds=8,
    )
    slow = {"not observed": turn(transformer, tokens, steps=FEW), **others()}
    report.tables["Other ways, at every step, on the transformer"] = paired(slow, rounds=3)
    more = 100 * (small[2].ratio - small[1].ratio)
    report.notes.append(
        f"Histograms every {HISTOGRAMS} steps add {more:.1f} %; at the defaults 14 are written in 10,000 steps."
    )
    with tempfile.TemporaryDirectory() as folder:
        report.notes.append(f"10,000 steps of the transformer at the defaults: {megabytes(Path(folder)):.1f} MB.")
    if "wandb.watch, offline" not in slow:
        report.notes.append("wandb is not installed: its watch was left out.")
    return report
