"""Checked config -> data, step, callbacks, trainer. The only place that constructs plugins."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import Callback
from torch import nn

from .config.check import DATA_SETTINGS
from .config.describe import described
from .config.fill import fill_from_data, fill_from_run, resolved_monitor, run_facts, scheduler_interval
from .config.hydra import Composed
from .config.settings import DataSettings, Monitor, Observe, StepSettings
from .construct import construct, first_line
from .engine.checkpoint import Best, Carried
from .engine.ranks import place
from .errors import NoDevice, Unsupported, WrongValue, nearest
from .guards.first_batch import check_accumulation, check_first_batch, check_optimizer, check_skipping, undisturbed
from .guards.nonfinite import Guard
from .loading.adapt import adapt
from .loading.loader import loader
from .observers.gradients import Watch
from .observers.pictures import Pictures
from .spec import DataSpec
from .step import Step, parameter_groups

SPLITS = ("train", "val", "test")


@dataclass
class Parts:
    """What one run is made of."""

    data: Any
    loaders: dict[str, Iterable[Any]]
    spec: DataSpec | None
    module: pl.LightningModule
    monitor: Monitor
    callbacks: list[Callback]


def build(composed: Composed) -> Parts:
    """Data first, since it knows the sizes; then the step; then one batch is tried. Raises UserError."""
    data, settings = build_data(composed)
    spec = getattr(data, "spec", None)
    fill_from_data(composed, spec)
    loaders = build_loaders(data, settings, int(composed.cfg.seed))
    pl.seed_everything(int(composed.cfg.seed), verbose=False)
    fill_from_run(composed, run_facts(composed, length(loaders["train"])))
    module = build_module(composed)
    monitor = build_monitor(composed, module)
    try_once(module, loaders["train"])
    callbacks = [construct(composed, f"callback.{name}") for name in composed.cfg.callback]
    return Parts(data, loaders, spec, module, monitor, callbacks)


# -- data -------------------------------------------------------------------------------------------------------


def length(loader: Any) -> int | None:
    return len(loader) if hasattr(loader, "__len__") else None


def build_data(composed: Composed) -> tuple[Any, DataSettings]:
    """The data plugin, set up; and what stepkit reads beside its options."""
    node = composed.cfg.data
    if node is None:
        raise WrongValue("data", None, "nothing to train on; choose data=…")
    settings = DataSettings(**{name: node[name] for name in DATA_SETTINGS})
    data = adapt(construct(composed, "data", leave_out=DATA_SETTINGS))
    data.setup(seed=settings.split_seed)
    return data, settings


def build_loaders(data: Any, settings: DataSettings, seed: int) -> dict[str, Iterable[Any]]:
    """A loader a split; shuffled from (seed, epoch) for training. Raises WrongData."""
    here = place()
    common: dict[str, Any] = {
        "batch_size": settings.batch_size,
        "num_workers": settings.num_workers,
        "pin_memory": settings.pin_memory,
        "rank": here.rank,
        "world": here.world,
    }
    return {
        split: loader(getattr(data, split), split, seed=seed, shuffle=split == "train", **common)
        for split in SPLITS
        if getattr(data, split, None) is not None
    }


# -- the step ---------------------------------------------------------------------------------------------------


def build_module(composed: Composed) -> pl.LightningModule:
    """The model as a Step with its loss, metrics, optimizer and scheduler; or a foreign LightningModule as it is."""
    cfg = composed.cfg
    if cfg.model is None:
        raise WrongValue("model", None, "nothing to train; choose model=…")
    model = construct(composed, "model")
    if isinstance(model, pl.LightningModule) and not isinstance(model, Step):
        return _foreign(model, composed)
    if not isinstance(model, nn.Module):
        raise WrongValue("model", type(model).__name__, "an nn.Module, a Step or a LightningModule is wanted")
    if cfg.optimizer is None:
        raise WrongValue("optimizer", None, f"{type(model).__name__} brings none of its own; choose optimizer=…")
    step = model if isinstance(model, Step) else Step(model)
    step.attach(
        loss=None if cfg.loss is None else construct(composed, "loss"),
        metrics={name: construct(composed, f"metric.{name}") for name in cfg.metric},
        optimizer=lambda groups: construct(composed, "optimizer", groups),
        scheduler=None if cfg.scheduler is None else _scheduler(composed),
        decay=cfg.step.decay,
    )
    _try_optimizer(step, composed)
    return step


def _foreign(model: pl.LightningModule, composed: Composed) -> pl.LightningModule:
    """A LightningModule that is no Step runs unchanged, with what it brings."""
    chosen = [
        g for g in ("loss", "optimizer", "scheduler") if composed.cfg[g] is not None and not _automatic(composed, g)
    ]
    if chosen:
        off = " ".join(f"{group}=null" for group in chosen)
        raise Unsupported(
            f"model {type(model).__name__} is a LightningModule with its own loss and optimizer; add {off}"
        )
    return model


def _automatic(composed: Composed, group: str) -> bool:
    return composed.where(f"{group}._target_").startswith("follows") or composed.cfg[group].get("_target_") == "auto"


def _scheduler(composed: Composed) -> Callable[[torch.optim.Optimizer], dict[str, Any]]:
    cfg = composed.cfg
    plateau = composed.plugins["scheduler"].reference.endswith("ReduceLROnPlateau")
    interval = scheduler_interval(composed)

    def make(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
        scheduler = construct(composed, "scheduler", optimizer)
        how = {"scheduler": scheduler, "interval": interval, "frequency": 1}
        return {**how, "monitor": resolved_monitor(cfg.monitor).metric, "strict": True} if plateau else how

    return make


def _try_optimizer(step: Step, composed: Composed) -> None:
    """Made once now: Lightning makes optimizers inside fit, where a refusal (lr=nan, Muon of a bias) comes late."""
    groups = parameter_groups(step, composed.cfg.step.decay)
    if not groups or not any(group["params"] for group in groups):
        raise WrongValue("model", type(step).__name__, "has no trainable parameter")
    optimizer = construct(composed, "optimizer", groups)
    check_optimizer(optimizer, step)
    check_accumulation(optimizer, composed.cfg.step.accumulate)
    check_skipping(optimizer, composed.cfg.step.nonfinite)
    if composed.cfg.scheduler is not None:
        construct(composed, "scheduler", optimizer)


# -- what counts as better --------------------------------------------------------------------------------------


def build_monitor(composed: Composed, module: pl.LightningModule) -> Monitor:
    """The monitor, known to be logged. Raises WrongValue."""
    monitor = resolved_monitor(composed.cfg.monitor)
    if not isinstance(module, Step):
        return monitor
    known = [f"{name}/val" for name in ("loss", *composed.cfg.metric)]
    if monitor.metric not in known:
        where = composed.where("monitor.metric")
        raise WrongValue(
            "monitor.metric", monitor.metric, f"nothing logs it; {nearest(monitor.metric, known)}", where=where
        )
    if composed.cfg.monitor.mode == "auto" and monitor.metric != "loss/val":
        higher = getattr(module.val_metrics[monitor.metric.removesuffix("/val")], "higher_is_better", None)  # type: ignore[index]
        return Monitor(monitor.metric, "min" if higher is False else "max")
    return monitor


def try_once(module: pl.LightningModule, train: Any) -> None:
    """One batch through model and loss before anything is written. Raises WrongModel or WrongData."""
    with undisturbed(module):
        batch = next(iter(train))
        indices = train.indices(0, 0) if hasattr(train, "indices") else None
        if isinstance(module, Step):
            check_first_batch(module, batch, indices)


# -- the trainer ------------------------------------------------------------------------------------------------


def build_trainer(composed: Composed, parts: Parts, directory: Path, extra: Iterable[Callback] = ()) -> pl.Trainer:
    """Lightning's Trainer over a run's directory. Raises NoDevice."""
    cfg = composed.cfg
    step, observe = StepSettings(**cfg.step), Observe(**cfg.observe)
    options = {k: v for k, v in plain(cfg.trainer).items() if not k.startswith("_")}
    carried = Carried(parts.spec.plain() if parts.spec else None, state_of(parts.data))
    guard = Guard(step.nonfinite, step.nonfinite_limit, sync=step.nonfinite_sync)
    watch = Watch(observe, guard)
    best = [Best(directory, parts.monitor.metric, parts.monitor.mode)] if "val" in parts.loaders else []
    callbacks = [watch, Pictures(watch, parts.spec), carried, *parts.callbacks, *extra, *best]
    loggers = [_logger(composed, name, directory) for name in cfg.logger]
    try:
        return pl.Trainer(
            **{"num_sanity_val_steps": 0, "log_every_n_steps": 1, "min_epochs": 0, **options},
            accumulate_grad_batches=step.accumulate,
            gradient_clip_val=step.clip,
            gradient_clip_algorithm=step.clip_by if step.clip is not None else None,
            callbacks=callbacks,
            logger=loggers or False,
            default_root_dir=str(directory),
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
        )
    except (ValueError, TypeError, RuntimeError, MisconfigurationException) as error:
        accelerator = options.get("accelerator", "auto")
        if any(word in str(error).lower() for word in ("accelerator", "device", "backend", "gpu")):
            raise NoDevice(
                f"trainer.accelerator={accelerator}, devices={options.get('devices')}: {first_line(error)}"
            ) from error
        raise Unsupported(f"trainer: {first_line(error)}") from error


def _logger(composed: Composed, name: str, directory: Path) -> Any:
    key = f"logger.{name}"
    node = OmegaConf.select(composed.cfg, key)
    if "save_dir" in described(composed.plugins[key]).options and (
        node.get("save_dir") is None or composed.where(f"{key}.save_dir").startswith("default")
    ):
        return construct(composed, key, save_dir=str(directory))
    return construct(composed, key)


def state_of(data: Any) -> dict[str, Any]:
    return data.state_dict() if hasattr(data, "state_dict") else {}


def plain(node: DictConfig) -> dict[str, Any]:
    """A node as plain Python values, resolved."""
    return {str(k): v for k, v in OmegaConf.to_container(node, resolve=True).items()}  # type: ignore[union-attr]
