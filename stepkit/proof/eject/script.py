"""The file, section by section: settings, chance, data, model, evaluation, training."""

from __future__ import annotations

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
from . import loops
from .bundle import Bundle
from .expressions import call, fitted
from .sources import Key
from .training import Training, facts

LONGEST = 200  # lines, the data's own source not counted
SECTIONS = ("chance", "data", "model", "training")
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
)
TAKEN += ("drawn_batches", "loaded_batches", "show", "data", "model", "loss_fn", "optimizer", "scheduler", "nn", "np")
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
    for brief in (False, True):
        script = _write(composed, parts, training, file, brief)
        if (lines := script.lines - script.data_lines) <= LONGEST:
            return script
    raise Unsupported(
        f"{file} would take {lines} lines beside the data's own source, more than {LONGEST}: "
        "import large parts from a package of your own instead"
    )


def _write(composed: Composed, parts: Parts, training: Training, file: str, brief: bool) -> Script:
    bundle = Bundle(SECTIONS, (*TAKEN, *AVAILABLE), USED)
    bundle.names.update({key: name for name, key in AVAILABLE.items()})
    wanted = [kind for kind in dict.fromkeys(training.kinds.values())]
    randomness = "generator_from", *(["seed_from"] if "dataset" in wanted else [])
    for name in randomness:
        bundle.name(f"stepkit.loading.plan:{name}", "chance")
    body = _Body(composed, parts, training, bundle)
    bundle.finish()
    data = bundle.copies("data")
    sections = [
        *_settings(composed, training),
        *_title("Chance: which samples make up a batch depends on the seed and the epoch alone"),
        *bundle.copies("chance", brief=brief),
        *_title("Data"),
        *data,
        *body.data,
        *_title("Model"),
        *bundle.copies("model", brief=brief),
        *_title("Evaluation"),
        *body.evaluation,
        *_title("Training"),
        *bundle.copies("training", brief=brief),
        *body.training,
        "",
        "",
        'if __name__ == "__main__":',
        "    main()",
    ]
    code = _spaced(sections)
    words = "\n".join(code)
    used = [key for name, key in AVAILABLE.items() if f"{name}." in words or f"{name}(" in words]
    head = [*_docstring(composed, training, bundle, file), "", "from __future__ import annotations", ""]
    text = "\n".join([*head, *bundle.imports(used), "", *code]) + "\n"
    return Script(text, training, len(data))


def _spaced(lines: Sequence[str]) -> list[str]:
    """Two blank lines at the most."""
    kept: list[str] = []
    for line in lines:
        if line or kept[-2:] != ["", ""]:
            kept.append(line)
    return kept


def _title(text: str) -> list[str]:
    return ["", "", f"# == {text} {'=' * max(2, 110 - len(text))}"]


def _docstring(composed: Composed, training: Training, bundle: Bundle, file: str) -> list[str]:
    command = shlex.join(["stepkit", *composed.overrides])
    ours = "" if not bundle.strangers() else f" (but for what is copied from {', '.join(bundle.strangers())})"
    made_with = f"stepkit {importlib.metadata.version('stepkit')}, torch {torch.__version__}, Python {platform.python_version()}"
    callbacks = "".join(f", {name}" for name in training.left_out)
    lines = [
        f'"""{file.removesuffix(".py")}: the training of `{command}` as plain PyTorch.',
        "",
        f"Written by `{shlex.join(['stepkit', 'eject', *composed.overrides])}` with {made_with}.",
        f"This file is yours{ours}: MIT-0, no attribution needed.",
        "",
        "With the same versions on a CPU it trains the same parameters to the last bit. Left out is what only looks on:",
        f"logs, checkpoints, the stop at a number that is not finite{callbacks}.",
        '"""',
    ]
    safe = [line.replace("\\", "\\\\") for line in lines]
    if any(len(line) > 120 for line in safe):
        safe[-1] += "  # noqa: E501"
    return safe


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

    def __init__(self, composed: Composed, parts: Parts, training: Training, bundle: Bundle) -> None:
        self.data = [*_load_data(composed, parts, bundle), *loops.batches(training)]
        model = call(composed, bundle, "model", "model")
        metrics = {name: call(composed, bundle, f"metric.{name}", "training") for name in composed.cfg.metric}
        self.evaluation = loops.evaluate(training, metrics)
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
            metric=parts.monitor.metric.removesuffix("/val"),
            mode=parts.monitor.mode,
            endless=limited.get("max_epochs") is None or limited.max_epochs < 0,
            bounded=limited.get("max_steps", -1) > 0,
            every=limited.get("check_val_every_n_epoch") or 1,
        )


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
