"""The story of one run: seed, build, fit, test, record."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.utilities.model_helpers import is_overridden
from rich.console import Console

from .build import Parts, build, build_trainer
from .config.hydra import Composed
from .config.secrets import shown, to_yaml
from .engine import ranks
from .engine.checkpoint import BEST, FOLDER, LAST
from .engine.progress import Bar
from .engine.quiet import hush
from .engine.signals import ending_cleanly
from .errors import RunFailed, UserError
from .observers import hparams
from .observers.charts import write_band, write_charts
from .observers.gradients import Watch
from .observers.graph import model_graph
from .observers.warnings import Warnings
from .observers.written import event_writers
from .recompose import recomposed
from .record.directory import new_directory
from .record.record import RunDirectory, Status, new_record
from .step import Step

log = logging.getLogger("stepkit")


@dataclass
class Result:
    """How a run ended: its directory, and the exit code its process should end with."""

    directory: RunDirectory
    exit_code: int


def run(composed: Composed, *, path: Path | None = None, console: Console | None = None) -> Result:
    """Train what the config declares. Raises UserError before anything is written, RunFailed after."""
    hush()
    console = console or Console(soft_wrap=True)
    for note in composed.notes:
        console.print(f"note: {note}", markup=False, highlight=False)
    parts = build(composed)
    for note in getattr(parts.data, "notes", ()):
        console.print(f"data: {note}", markup=False, highlight=False)
    directory = prepare_directory(composed, path)
    trainer = build_trainer(composed, parts, directory.path, [Bar(console), Warnings(directory.path, console)])
    several = trainer.world_size > 1
    if several:
        ranks.check(composed.plugins.values())
    directory.begin(to_yaml(composed.cfg), composed.overrides)
    return in_ranks(directory, trainer.world_size) if several else fit(composed, parts, directory, trainer)


def fit(composed: Composed, parts: Parts, directory: RunDirectory, trainer: pl.Trainer) -> Result:
    """Fit, then test the best checkpoint; the record says how it ended."""
    with logged_to(directory), recorded(directory, trainer) as end:
        describe_run(trainer, composed, directory, parts)
        with ending_cleanly(trainer) as asked:
            started = time.monotonic()
            trainer.fit(parts.module, parts.loaders["train"], parts.loaders.get("val"))
            fitted = time.monotonic() - started
            trainer.save_checkpoint(directory.path / FOLDER / LAST)
            keep_metrics(directory, trainer, parts, fitted)
            write_band(trainer, trainer.global_step)
            hparams.write_best(trainer, directory.record)
        end.exit_code = asked.exit_code
        if not asked.signal and "test" in parts.loaders and is_overridden("test_step", parts.module):
            test(directory, trainer, parts)
    return Result(directory, end.exit_code)


def in_ranks(directory: RunDirectory, world: int) -> Result:
    """The same in several processes, each of which comes back to `fit` through `run_rank`."""
    try:
        code = ranks.launch(directory.path, world)
    except RunFailed as error:
        directory.reload()
        if directory.record.status == "running":  # the rank that keeps the record did not live to say so
            directory.end("failed", str(error))
        raise
    directory.reload()
    return Result(directory, code)


def run_rank(path: Path) -> Result:
    """One rank of a run whose directory is there; the first keeps the record and draws the bar."""
    hush()
    composed = recomposed(path)
    parts = build(composed)
    first = ranks.place().rank == 0
    directory = RunDirectory.open(path, keeps=first)
    console = Console(soft_wrap=True, quiet=not first)
    trainer = build_trainer(composed, parts, path, [Bar(console), Warnings(path, console)])
    return fit(composed, parts, directory, trainer)


def prepare_directory(composed: Composed, path: Path | None = None) -> RunDirectory:
    """The run's directory and record, not yet on disk."""
    cfg = composed.cfg
    experiment = composed.choices.get("experiment") or "run"
    path = path or new_directory(composed.project.outputs, experiment)
    written = shown(cfg)
    given = {"name": written["name"], "tags": written["tags"] or [], "notes": written["notes"], "seed": int(cfg.seed)}
    return RunDirectory(path, new_record(path, experiment, composed.plugins, **given))


def keep_metrics(directory: RunDirectory, trainer: pl.Trainer, parts: Parts, seconds: float) -> None:
    """The last validation's metrics, the best one's, and how fast it went, into the record."""
    record = directory.record
    record.metrics.update(numbers(trainer.callback_metrics))
    record.facts = {
        "parameters": sum(p.numel() for p in parts.module.parameters()),
        "steps": trainer.global_step,
        "epochs": trainer.current_epoch,
        "seconds": seconds,
        "skipped_steps": skipped_steps(trainer),
        "samples_per_second": samples_seen(trainer, parts) / seconds if seconds else math.nan,
    }
    score = getattr(trainer.checkpoint_callback, "best_model_score", None)
    if score is not None:
        record.best = {"metric": parts.monitor.metric, "mode": parts.monitor.mode, "value": float(score)}
    directory.save()


def skipped_steps(trainer: pl.Trainer) -> int:
    """Optimizer steps left out because a number was not finite."""
    watching = [callback for callback in trainer.callbacks if isinstance(callback, Watch)]  # type: ignore[attr-defined]
    return sum(watch.guard.skipped for watch in watching)


def samples_seen(trainer: pl.Trainer, parts: Parts) -> int:
    """Samples trained on so far, repeated epochs counted; for loaders whose length in samples is known."""
    train: Any = parts.loaders["train"]
    batches = trainer.fit_loop.epoch_loop.total_batch_idx + 1
    per_epoch, n = len(train) if hasattr(train, "__len__") else 0, getattr(getattr(train, "plan", None), "n", None)
    size = n / per_epoch if n and per_epoch else getattr(train, "batch_size", None) or 0
    return int(batches * size)


def test(directory: RunDirectory, trainer: pl.Trainer, parts: Parts) -> None:
    """Test metrics of the best checkpoint; of the last state where no validation chose one."""
    best = directory.path / FOLDER / BEST
    chosen = str(best) if best.exists() else None
    trainer.test(parts.module, parts.loaders["test"], ckpt_path=chosen, verbose=False, weights_only=True)
    directory.record.metrics.update(numbers(trainer.callback_metrics))
    directory.save()


def numbers(metrics: Any) -> dict[str, float]:
    return {name: float(value) for name, value in metrics.items()}


def describe_run(trainer: pl.Trainer, composed: Composed, directory: RunDirectory, parts: Parts) -> None:
    """Config, what was typed, and where it ran, as text beside the curves."""
    if not directory.keeps:
        return
    write_charts(trainer)
    draw_graph(trainer, parts)
    hparams.write_start(trainer, hparams.hyperparameters(composed, shown(composed.cfg)))
    config = (directory.path / "config.yaml").read_text(encoding="utf-8")
    for logger in trainer.loggers:
        add_text = getattr(getattr(logger, "experiment", None), "add_text", None)
        if add_text is not None:
            add_text("config", f"```yaml\n{config}```")
            add_text("overrides", "```\n" + "\n".join(composed.overrides or ("(none)",)) + "\n```")
            add_text(
                "environment",
                "\n".join(f"- {k} {v}" for k, v in directory.record.versions.items())
                + f"\n- git {directory.record.git}",
            )


def draw_graph(trainer: pl.Trainer, parts: Parts) -> None:
    """The model's graph; a model that cannot be drawn trains all the same."""
    if not isinstance(parts.module, Step) or not event_writers(trainer):
        return
    try:
        drawn = model_graph(parts.module, next(iter(parts.loaders["train"])))
    except Exception as error:  # hooks on a stranger's forward may meet anything
        log.warning("the graph cannot be drawn: %s", reason_of(error))
        return
    for writer in event_writers(trainer):
        writer.graph(drawn)


@dataclass
class End:
    exit_code: int = 0


@contextlib.contextmanager
def recorded(directory: RunDirectory, trainer: pl.Trainer) -> Iterator[End]:
    """Whatever happens inside, run.json says how the run ended. Raises RunFailed for what training raised."""
    end = End()
    try:
        yield end
    except (KeyboardInterrupt, SystemExit):
        end.exit_code = 130
        _close(trainer, "interrupted", directory)
        directory.end("interrupted", "interrupted at once")
    except Exception as error:
        _close(trainer, "failed", directory)
        reason = reason_of(error)
        log.exception("the run failed")
        directory.end("failed", reason)
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        raise RunFailed(f"run {directory.path.name} failed: {reason}") from error
    else:
        status: Status = "interrupted" if end.exit_code else "finished"
        _close(trainer, status, directory)
        directory.end(status)


def _close(trainer: pl.Trainer, status: str, directory: RunDirectory) -> None:
    if directory.keeps and event_writers(trainer):
        hparams.write_end(directory.path, status == "finished")
    for logger in trainer.loggers:
        logger.finalize("success" if status == "finished" else status)


def reason_of(error: BaseException) -> str:
    """An exception in one line, with the place in the user's own code where it has one."""
    if isinstance(error, UserError | RunFailed):  # our own words, that need no class in front
        return str(error).partition("\n")[0]
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if lines and lines[0].startswith("Caught ") and "DataLoader worker" in lines[0]:
        return lines[-1].removeprefix("stepkit.errors.")  # torch puts the worker's whole traceback into the message
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


@contextlib.contextmanager
def logged_to(directory: RunDirectory) -> Iterator[None]:
    """What is logged and warned while a run is under way also stands in its log.txt."""
    if not directory.keeps:
        yield
        return
    handler = logging.FileHandler(directory.path / "log.txt", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    names = ("stepkit", "pytorch_lightning", "lightning_fabric", "py.warnings")
    loggers = [logging.getLogger(name) for name in names]
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
        handler.close()
