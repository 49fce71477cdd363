"""The file, section by section: settings, chance, data, model, evaluation, training."""

from __future__ import annotations

import ast
import importlib.metadata
import platform
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

import pytorch_lightning as pl
import torch

from ...build import Parts
from ...config.hydra import Composed
from ...errors import Unsupported
from . import loops, reading
from .bundle import Bundle
from .expressions import call, fitted, passed_on
from .sources import Key, copied
from .training import Training, facts

LONGEST = 200  # lines, the data's own source not counted
SECTIONS = ("chance", "data", "model", "evaluation", "training")
TAKEN = (
    "SEED",
    "BATCH_SIZE",
    "EPOCHS",
    "STEPS",
    "BATCHES",
    "DEVICE",
    "load_data",
    "batches",
    "evaluate",
    "train",
    "main",
    "drawn_batches",
    "loaded_batches",
    "data",
    "model",
    "loss_fn",
    "optimizer",
    "scheduler",
    "nn",
    "np",
)
USED = ("setup", "train", "val", "test", "batch")
AVAILABLE = {  # what the loops may use: how a name is imported
    "copy": Key("import", "copy", ""),
    "itertools": Key("import", "itertools", ""),
    "random": Key("import", "random", ""),
    "np": Key("import", "numpy", ""),
    "torch": Key("import", "torch", ""),
    "nn": Key("import", "torch", "nn"),
    "default_collate": Key("import", "torch.utils.data", "default_collate"),
    "MeanMetric": Key("import", "torchmetrics", "MeanMetric"),
}


@dataclass
class Script:
    """The written file.

    Attributes:
        training: the facts it was written from.
        data_lines: how many of its lines are the data's own source.
    """

    text: str
    training: Training
    data_lines: int

    @property
    def lines(self) -> int:
        return self.text.count("\n")


def write(composed: Composed, parts: Parts, trainer: pl.Trainer, file: str) -> Script:
    """The training of a built config as source. Raises UserError for what cannot be written so."""
    training = facts(composed, parts, trainer)
    for brief, copy_metrics in ((0, True), (1, True), (1, False), (2, False)):
        script = _write(composed, parts, training, file, brief, copy_metrics)
        if (lines := script.lines - script.data_lines) <= LONGEST:
            return script
    raise Unsupported(
        f"{file} would take {lines} lines beside the data's own source, more than {LONGEST}: "
        "choose a smaller model, optimizer or scheduler, or one from a package to import it from"
    )


def _write(composed: Composed, parts: Parts, training: Training, file: str, brief: int, copy_metrics: bool) -> Script:
    bundle = Bundle(SECTIONS, (*TAKEN, *AVAILABLE), USED, brief)
    bundle.names.update({key: name for name, key in AVAILABLE.items()})
    wanted = [kind for kind in dict.fromkeys(training.kinds.values())]
    randomness = "generator_from", *(["seed_from"] if "dataset" in wanted else [])
    for name in randomness:
        bundle.name(f"stepkit.loading.plan:{name}", "chance")
    body = _Body(composed, parts, training, bundle, copy_metrics)
    bundle.finish()
    data = bundle.copies("data")
    sections = [
        *_settings(composed, training),
        *_section("Chance: the seed and the epoch say which samples make up a batch", bundle.copies("chance")),
        *_section("Data", data, body.data),
        *(_section("Model", model) if (model := bundle.copies("model")) else []),
        *_section("Evaluation", bundle.copies("evaluation"), body.evaluation),
        *_section("Training", bundle.copies("training"), body.training),
        "",
        "",
        'if __name__ == "__main__":',
        "    main()",
    ]
    code = _spaced(sections)
    words = {node.id for node in ast.walk(ast.parse("\n".join(code))) if isinstance(node, ast.Name)}
    used = [key for name, key in AVAILABLE.items() if name in words]
    head = [
        *_docstring(composed, [*training.left_out, *body.left_out], bundle.strangers(), file),
        "",
        "from __future__ import annotations",
        "",
    ]
    text = "\n".join([*head, *bundle.imports(used), "", *code]) + "\n"
    return Script(text, training, len(data))


def _spaced(lines: Sequence[str]) -> list[str]:
    """Two blank lines at the most."""
    kept: list[str] = []
    for line in lines:
        if line or kept[-2:] != ["", ""]:
            kept.append(line)
    return kept


def _section(title: str, *parts: list[str]) -> list[str]:
    lines = [line for part in parts for line in part]
    while lines and not lines[0]:
        del lines[0]
    return ["", "", f"# == {title} {'=' * max(2, 110 - len(title))}", *lines]


def _docstring(composed: Composed, left_out: Sequence[str], strangers: Sequence[str], file: str) -> list[str]:
    """Who wrote it, whose it is, what it lacks."""
    command = shlex.join(["stepkit", "eject", *composed.overrides]).replace("\\", "\\\\").replace('"""', '\\"""')
    stepkit = importlib.metadata.version("stepkit")
    made_with = f"stepkit {stepkit}, torch {torch.__version__}, Python {platform.python_version()}"
    theirs = f" (what is copied from {', '.join(strangers)} stays under its own licence)" if strangers else ""
    left = ", ".join(["logs", "checkpoints", "the stop at a number that is not finite", *left_out])
    lines = [
        f'"""{file.removesuffix(".py")}: one training as a plain PyTorch file, which needs nothing of stepkit.',
        "",
        f"    {command}",
        "",
        f"wrote it ({made_with}). It is yours: MIT-0, no attribution needed{theirs}.",
        "On a CPU, with the same versions, it trains the same parameters as stepkit, to the last bit.",
        f"Left out is what only looks on: {left}.",
        '"""',
    ]
    if any(len(line) > 120 for line in lines):
        lines[-1] += "  # noqa: E501"
    return lines


def _settings(composed: Composed, training: Training) -> list[str]:
    cfg = composed.cfg
    lines = [
        f"SEED = {int(cfg.seed)}  # of the first weights, of dropout, and of the order of the batches",
        f"BATCH_SIZE = {int(cfg.data.batch_size)}",
    ]
    epochs = cfg.trainer.get("max_epochs")
    if epochs is not None and epochs >= 0:
        lines.append(f"EPOCHS = {epochs}")
    if cfg.trainer.get("max_steps", -1) > 0:
        lines.append(f"STEPS = {cfg.trainer.max_steps}  # of the optimizer, at the most")
    if training.settings.accumulate > 1:
        lines.append(f"BATCHES = {training.batches}  # an epoch")
    return [*lines, f"DEVICE = {training.device}"]


class _Body:
    """The file's own functions. All names are asked for here, before the bundle knows what to copy."""

    def __init__(
        self, composed: Composed, parts: Parts, training: Training, bundle: Bundle, copy_metrics: bool
    ) -> None:
        self.data = [*_load_data(composed, parts, bundle), *reading.batches(training)]
        model = call(composed, bundle, "model", "model")
        monitored = parts.monitor.metric.removesuffix("/val")
        names = [str(name) for name in composed.cfg.metric]
        self.left_out = [] if copy_metrics else [n for n in names if n != monitored and _is_copied(composed, n)]
        wanted = (name for name in names if name not in self.left_out)
        metrics = {name: call(composed, bundle, f"metric.{name}", "evaluation") for name in wanted}
        self.evaluation = reading.evaluate(training, metrics)
        make = loops.Make(
            model=model,
            loss=call(composed, bundle, "loss", "training"),
            optimizer=call(composed, bundle, "optimizer", "training", loops.parameters(training)),
            scheduler=None
            if training.scheduler is None
            else call(composed, bundle, "scheduler", "training", "optimizer"),
        )
        limited = composed.cfg.trainer
        self.training = loops.train(
            training,
            make,
            metric=monitored,
            mode=parts.monitor.mode,
            endless=limited.get("max_epochs") is None or limited.max_epochs < 0,
            bounded=limited.get("max_steps", -1) > 0,
            every=limited.get("check_val_every_n_epoch") or 1,
        )


def _is_copied(composed: Composed, metric: str) -> bool:
    cls = composed.plugins[f"metric.{metric}"].load()
    return copied(getattr(cls, "__module__", "")) and passed_on(cls) is None


def _load_data(composed: Composed, parts: Parts, bundle: Bundle) -> list[str]:
    made = call(composed, bundle, "data", "data", without=("batch_size", "num_workers", "pin_memory", "split_seed"))
    if type(parts.data).__module__ == "stepkit.loading.adapt":
        made = f"{bundle.name(f'stepkit.loading.adapt:{type(parts.data).__name__}', 'data')}({made})"
    return [
        "",
        "",
        "def load_data():",
        '    """The data, read and split; the split has a seed of its own, so that runs compare."""',
        *fitted(f"    data = {made}"),
        f"    data.setup(seed={int(composed.cfg.data.split_seed)})",
        "    return data",
    ]
