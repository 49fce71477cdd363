"""Stage 4 of checking: what the data and the run know is filled in, so that nobody repeats it in a config."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig, OmegaConf

from .. import plugins
from ..errors import MissingValue, Mistakes, UserError, WrongValue
from ..spec import DataSpec
from .check import FROM_DATA, FROM_RUN, Checker
from .describe import described
from .hydra import Composed
from .settings import Monitor
from .source import AUTO

# What fits a task where the config says auto. {task: (loss, metrics)}
FITTING = {
    "classification": ("cross_entropy", ("accuracy",)),
    "regression": ("mse", ("r2", "mae")),
    "language": ("cross_entropy", ("bits_per_character",)),
}


def fill_from_data(composed: Composed, spec: DataSpec | None) -> None:
    """Choose what follows the task, then fill sizes. Raises Mistakes."""
    checker = Checker(composed)
    if spec is None:
        return _fill_without_spec(checker)
    loss, metrics = FITTING[spec.task]
    if _auto(composed.cfg.loss):
        _choose(checker, "loss", composed.cfg, "loss", loss, f"follows the data ({spec.task})")
    if AUTO in composed.cfg.metric and _auto(composed.cfg.metric[AUTO]):
        del composed.cfg.metric[AUTO]
        for name in metrics:
            _choose(checker, "metric", composed.cfg.metric, name, name, f"follows the data ({spec.task})")
    facts = spec.known()
    if spec.task == "classification":
        facts["task"] = "multiclass"
    _fill(checker, facts, "filled from the data")
    _required(checker, FROM_DATA)
    if checker.found:
        raise Mistakes(checker.found)


def _fill_without_spec(checker: Checker) -> None:
    """A data set that does not say what it is: then the config must."""
    composed = checker.composed
    composed.cfg.metric.pop(AUTO, None)
    if _auto(composed.cfg.loss):
        plugin = composed.plugins["data"].reference.rpartition(":")[2]
        raise WrongValue("loss", AUTO, f"data {plugin} has no spec that says its task; give loss=… (or a spec)")
    _required(checker, FROM_DATA)
    if checker.found:
        raise Mistakes(checker.found)


def fill_from_run(composed: Composed, facts: dict[str, Any]) -> None:
    """Fill what only the run knows: total_steps, T_max, max_lr, monitor, mode. Raises Mistakes."""
    checker = Checker(composed)
    _fill(checker, facts, "filled from the run", over_defaults=False)
    _required(checker, FROM_RUN)
    if checker.found:
        raise Mistakes(checker.found)


def _auto(node: Any) -> bool:
    return OmegaConf.is_dict(node) and node.get("_target_") == AUTO


def _choose(checker: Checker, group: str, parent: DictConfig, key: str, name: str, who: str) -> None:
    """Put the plugin in the place of `auto`; options that somebody set beside it stay and are checked."""
    full = group if parent is checker.cfg else f"{group}.{key}"
    given = {k: v for k, v in (parent.get(key) or {}).items() if k != "_target_"}
    node = OmegaConf.create({"_target_": plugins.find(group, name).reference, **given})
    OmegaConf.set_struct(parent, False)
    parent[key] = node
    OmegaConf.set_struct(parent[key], False)
    checker.composed.origin[f"{full}._target_"] = who
    try:
        checker.plugin(group, full, parent[key])
    except UserError as error:
        checker.found.append(error)


def _nodes(composed: Composed) -> dict[str, DictConfig]:
    """Every plugin's node by its key, nested parts included; not the data's own."""
    return {
        key: OmegaConf.select(composed.cfg, key) for key in composed.plugins if key != "data" and "data." not in key
    }


def _fill(checker: Checker, facts: dict[str, Any], who: str, *, over_defaults: bool = True) -> None:
    composed = checker.composed
    for key, node in _nodes(composed).items():
        for option in _options(composed, key).values():
            if option.name not in facts or option.left_out:
                continue
            full = f"{key}.{option.name}"
            default = composed.origin.get(full, "").startswith("default of")
            if option.name not in node or (
                default and (over_defaults or node[option.name] is None or _placeholder(option))
            ):
                node[option.name] = facts[option.name]
                composed.origin[full] = who


def _placeholder(option: Any) -> bool:
    return option.required or option.default is None


def _required(checker: Checker, names: tuple[str, ...]) -> None:
    for key, node in _nodes(checker.composed).items():
        plugin = checker.composed.plugins[key]
        for option in _options(checker.composed, key).values():
            if option.required and option.name in names and option.name not in node:
                owner = plugin.reference.partition(":")[2]
                if option.name in FROM_DATA:
                    checker.found.append(
                        WrongValue(
                            f"{key}.{option.name}",
                            "",
                            f"required by {owner}, and the data does not know it; give {key}.{option.name}=…",
                        )
                    )
                else:
                    checker.found.append(MissingValue(f"{key}.{option.name}", owner))


def _options(composed: Composed, key: str) -> dict[str, Any]:
    return dict(described(composed.plugins[key]).options)


def run_facts(composed: Composed, batches: int | None) -> dict[str, Any]:
    """total_steps, T_max, max_lr, monitor and mode, for parameters of these names."""
    cfg = composed.cfg
    monitor = resolved_monitor(cfg.monitor)
    facts: dict[str, Any] = {"monitor": monitor.metric, "mode": monitor.mode}
    steps = optimizer_steps(cfg, batches)
    if steps is not None:
        facts["total_steps"] = steps
        facts["T_max"] = steps if scheduler_interval(composed) == "step" else max(1, cfg.trainer.get("max_epochs") or 1)
    if cfg.optimizer is not None and "lr" in cfg.optimizer:
        facts["max_lr"] = cfg.optimizer.lr
    return facts


def optimizer_steps(cfg: DictConfig, batches: int | None) -> int | None:
    """Optimizer steps of the whole run, or None if nothing bounds it."""
    trainer, most = cfg.trainer, cfg.trainer.get("max_steps", -1)
    epochs = trainer.get("max_epochs")
    if epochs is None or epochs < 0 or batches is None:
        return most if most and most > 0 else None
    limit = trainer.get("limit_train_batches")
    if isinstance(limit, int):
        batches = min(batches, limit)
    elif isinstance(limit, float):
        batches = int(batches * limit)
    steps = -(-batches // int(cfg.step.accumulate)) * int(epochs)
    return min(steps, most) if most and most > 0 else steps


def resolved_monitor(node: Any) -> Monitor:
    """What counts as better: the validation loss, unless said otherwise."""
    metric = "loss/val" if node.metric == "auto" else node.metric
    mode: Any = node.mode if node.mode != "auto" else "min" if metric.startswith("loss") else "max"
    return Monitor(metric, mode)


def scheduler_interval(composed: Composed) -> str:
    """By step for a scheduler that knows the number of steps, else by epoch; step.scheduler_interval decides."""
    asked = composed.cfg.step.scheduler_interval
    if asked != "auto" or composed.cfg.scheduler is None:
        return str(asked)
    return "step" if "total_steps" in described(composed.plugins["scheduler"]).options else "epoch"
