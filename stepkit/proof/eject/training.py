"""What there is to write: the facts of a training that a plain file repeats, and what it cannot repeat."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.strategies import SingleDeviceStrategy

from ...build import Parts
from ...config.fill import optimizer_steps, scheduler_interval
from ...config.hydra import Composed
from ...config.settings import StepSettings
from ...errors import Mistakes, Unsupported, UserError
from ...guards.first_batch import needs_closure, undisturbed
from ...loading.adapt import FromDataModule
from ...loading.batches import Batches
from ...loading.workers import WorkerLoader
from ...plugins import LOCAL
from ...step import Step, numbers, parameter_groups, places

# Callbacks that look on: a training without them is the same.
ONLOOKERS = (
    "DeviceStatsMonitor",
    "LearningRateMonitor",
    "ModelCheckpoint",
    "ModelSummary",
    "OnExceptionCheckpoint",
    "RichModelSummary",
)
WRITTEN = (
    "accelerator",
    "devices",
    "precision",
    "max_epochs",
    "max_steps",
    "limit_train_batches",
    "limit_val_batches",
    "limit_test_batches",
    "check_val_every_n_epoch",
)
SILENT = (
    "log_every_n_steps",
    "num_sanity_val_steps",
    "profiler",
    "detect_anomaly",
    "inference_mode",
    "strategy",
    "limit_predict_batches",
    "enable_autolog_hparams",
    "barebones",
    "num_nodes",
    "min_epochs",
)
PRECISIONS = {"64-true": "float64", "32-true": "", "16-true": "float16", "bf16-true": "bfloat16"}
MIXED = {"bf16-mixed": "bfloat16", "16-mixed": "float16"}
KNOWN_SETTINGS = (
    "accumulate",
    "clip",
    "clip_by",
    "decay",
    "nonfinite",
    "nonfinite_limit",
    "nonfinite_sync",
    "scheduler_interval",
)


@dataclass
class Training:
    """The facts of one training.

    Attributes:
        kinds: how each split gives its batches: tensors, whole batches at once, or items of a Dataset.
        batches: training batches an epoch.
        scheduler: None, or when it steps: "step", "epoch", or "plateau" (at the end of an epoch, with a metric).
        flattened: scores [N, T, C] are compared place by place; `squeezed`: metrics see [N] instead of [N, 1].
        floats: whether x and y hold floats, which a true precision converts.
        left_out: callbacks that look on.
    """

    settings: StepSettings
    precision: str
    device: str
    kinds: dict[str, str]
    limits: dict[str, int | None]
    batches: int
    steps: int | None
    scheduler: str | None
    closure: bool
    flattened: bool
    squeezed: bool
    floats: tuple[bool, bool]
    frozen: bool
    loss_parameters: bool
    loss_tensors: bool
    left_out: list[str]

    @property
    def steps_an_epoch(self) -> int:
        return -(-self.batches // self.settings.accumulate)


def facts(composed: Composed, parts: Parts, trainer: pl.Trainer) -> Training:
    """Raises Mistakes with all that cannot be written into a plain file."""
    if found := list(refusals(composed, parts, trainer)):
        raise Mistakes(found)
    step: Any = parts.module
    cfg, loaders = composed.cfg, dict[str, Any](parts.loaders)
    settings = StepSettings(**cfg.step)
    with undisturbed(step), torch.no_grad():
        x, y = next(iter(loaders["train"]))
        output = step(x)
        flat = places(output, y)
        squeezed = numbers(*flat)[0] is not flat[0]
    limits = {split: _limit(len(loaders[split]), cfg.trainer.get(f"limit_{split}_batches")) for split in loaders}
    return Training(
        settings=settings,
        precision=str(trainer.precision),
        device=device_of(composed, trainer),
        kinds={split: _kind(loaders[split]) for split in loaders if limits[split] != 0},
        limits=limits,
        batches=len(loaders["train"]) if limits["train"] is None else limits["train"],
        steps=optimizer_steps(cfg, len(loaders["train"])),
        scheduler=_when(composed),
        closure=needs_closure(_optimizer(step)),
        flattened=flat[0] is not output,
        squeezed=squeezed,
        floats=(x.is_floating_point(), y.is_floating_point()),
        frozen=any(not p.requires_grad for p in step.parameters()),
        loss_parameters=_count(step.loss, "parameters") > 0,
        loss_tensors=_count(step.loss, "parameters") + _count(step.loss, "buffers") > 0,
        left_out=[name for name in cfg.callback],
    )


def refusals(composed: Composed, parts: Parts, trainer: pl.Trainer) -> Iterator[UserError]:
    """A line for each thing that the plain file would not have."""
    module, settings = parts.module, StepSettings(**composed.cfg.step)
    if not isinstance(module, Step):
        yield Unsupported(f"model {type(module).__name__} is a LightningModule, whose training Lightning alone knows")
    elif type(module) is not Step:
        yield Unsupported(f"model {type(module).__name__} is a Step, which needs stepkit; give its network as a model")
    for key, plugin in composed.plugins.items():
        if plugin.reference.startswith(LOCAL) and not key.startswith("logger"):
            yield Unsupported(f"{key}: {plugin.name} was handed over in Python; put it into a module to import it from")
    for key, callback in zip((f"callback.{name}" for name in composed.cfg.callback), parts.callbacks, strict=True):
        if not (type(callback).__module__.startswith("pytorch_lightning") and type(callback).__name__ in ONLOOKERS):
            yield Unsupported(f"{key}: changes or ends the training, or may do so; leave it out: callback=null")
    yield from _of_the_data(parts)
    yield from _of_the_trainer(composed, trainer)
    unknown = (each for each in fields(settings) if each.name not in KNOWN_SETTINGS)
    for field in unknown:
        if getattr(settings, field.name) != field.default:
            yield Unsupported(f"step.{field.name}={getattr(settings, field.name)}: eject cannot write it; leave it out")
    if _when(composed) == "plateau" and (composed.cfg.trainer.get("check_val_every_n_epoch") or 1) != 1:
        yield Unsupported("trainer.check_val_every_n_epoch: a scheduler that waits for a metric needs it every epoch")
    if _when(composed) == "plateau" and scheduler_interval(composed) == "step":
        yield Unsupported("step.scheduler_interval=step: a scheduler that waits for a metric steps by epoch; leave it")


def _of_the_data(parts: Parts) -> Iterator[UserError]:
    if isinstance(parts.data, FromDataModule):
        yield Unsupported(f"data: {type(parts.data.module).__name__} is a LightningDataModule, which needs Lightning")
        return
    for split, made in parts.loaders.items():
        if not isinstance(made, Batches | WorkerLoader):
            yield Unsupported(
                f"data: .{split} is a loader of the data's own ({type(made).__name__}), whose order eject does not know"
            )


def _of_the_trainer(composed: Composed, trainer: pl.Trainer) -> Iterator[UserError]:
    if trainer.world_size > 1 or not isinstance(trainer.strategy, SingleDeviceStrategy):
        several = f"{trainer.world_size} processes" if trainer.world_size > 1 else type(trainer.strategy).__name__
        yield Unsupported(
            f"trainer: {several} cannot be written as one plain loop; give trainer.devices=1 and no strategy"
        )
    if str(trainer.precision) not in (*PRECISIONS, *MIXED):
        yield Unsupported(f"trainer.precision={trainer.precision}: eject knows {', '.join((*PRECISIONS, *MIXED))}")
    defaults = inspect.signature(pl.Trainer).parameters
    for name, value in composed.cfg.trainer.items():
        name = str(name)
        if name.startswith("_") or name in (*WRITTEN, *SILENT) or name not in defaults:
            continue
        if value != defaults[name].default and value is not None:
            yield Unsupported(f"trainer.{name}={value}: eject cannot write it; leave it out")


def device_of(composed: Composed, trainer: pl.Trainer) -> str:
    """The device as an expression: what is there, unless the config says which."""
    kind = trainer.strategy.root_device.type
    if composed.cfg.trainer.get("accelerator", "auto") != "auto":
        return f'"{kind}"'
    return (
        '"mps" if torch.backends.mps.is_available() else "cpu"'
        if kind == "mps"
        else ('"cuda" if torch.cuda.is_available() else "cpu"')
    )


def _optimizer(step: Step) -> torch.optim.Optimizer:
    """A new optimizer, without its scheduler."""
    assert step._optimizer is not None
    with undisturbed(step):
        return step._optimizer(parameter_groups(step, step._decay))


def _when(composed: Composed) -> str | None:
    if composed.cfg.scheduler is None:
        return None
    plateau = composed.plugins["scheduler"].reference.endswith("ReduceLROnPlateau")
    return "plateau" if plateau else scheduler_interval(composed)


def _kind(made: Any) -> str:
    if isinstance(made, WorkerLoader):
        return "dataset"
    return "tensors" if isinstance(made.source, tuple) else "source"


def _limit(batches: int, limit: int | float | None) -> int | None:
    """How many batches Lightning takes of an epoch; None for all."""
    if limit is None:
        return None
    kept = min(batches, limit) if isinstance(limit, int) else int(batches * limit)
    return kept if kept < batches else None


def _count(loss: Any, what: str) -> int:
    return len(list(getattr(loss, what)())) if isinstance(loss, torch.nn.Module) else 0
