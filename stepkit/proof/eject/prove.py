"""K steps of the file and K steps of stepkit's own run, and what differs."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from torch import Tensor

from ...build import build, build_trainer
from ...config.prepare import prepare
from ...errors import RunFailed
from .training import Training

State = dict[str, Tensor]
MANY = 300  # steps that one is willing to wait for
ALONE = Path(__file__).with_name("alone.py")


@dataclass
class Verdict:
    """Attributes:
    steps: optimizer steps that both sides took.
    tensors, numbers: how many were compared: parameters and buffers.
    moved: how many of the tensors left their first values.
    different: None, or the first tensor that differs.
    shape, largest: of that tensor: its shape and its largest difference.
    """

    steps: int
    tensors: int
    numbers: int
    moved: int
    different: str | None = None
    shape: tuple[int, ...] = ()
    largest: float = 0.0

    @property
    def equal(self) -> bool:
        return self.different is None and self.moved > 0

    def __str__(self) -> str:
        if self.different is not None:
            return (
                f"after {self.steps} steps {self.different} {list(self.shape)} differs by up to {self.largest:.3g}: "
                "the file is not the same training"
            )
        if not self.moved:
            return f"after {self.steps} steps no parameter has moved: that proves nothing"
        return f"after {self.steps} steps all {self.tensors} tensors ({self.numbers:,} numbers) equal to the last bit"


def steps_to_prove(training: Training) -> tuple[int, str]:
    """(K, a note on what K leaves out): by default past the end of an epoch, with its validation, scheduler step and
    last, incomplete window of micro-batches; of small epochs three."""
    epoch = training.steps_an_epoch
    wanted = epoch * (3 if epoch <= 20 else 1) + 3
    if wanted > MANY:
        note = f"an epoch has {epoch:,} steps: --steps {epoch + 3} goes past its end"
        wanted = MANY
    else:
        note = ""
    return (wanted if training.steps is None else min(wanted, training.steps)), note


def prove(overrides: Sequence[str], file: Path, steps: int) -> Verdict:
    """Train on both sides and compare. Raises RunFailed where one of them cannot take its steps."""
    own = by_stepkit(overrides, steps)
    return compare(own, by_file(file, steps, own.root))


def compare(own: Trained, theirs: State) -> Verdict:
    """The first tensor that differs, in the model's order."""
    after = own.after
    moved = sum(not torch.equal(own.before[name], tensor) for name, tensor in after.items())
    verdict = Verdict(own.steps, len(after), sum(tensor.numel() for tensor in after.values()), moved)
    if after.keys() != theirs.keys():
        verdict.different, verdict.largest = min(after.keys() ^ theirs.keys()), float("inf")
        return verdict
    for name, tensor in after.items():
        if not _same(tensor, theirs[name]):
            verdict.different, verdict.shape = name, tuple(tensor.shape)
            verdict.largest = _largest(tensor, theirs[name])
            break
    return verdict


def _same(one: Tensor, other: Tensor) -> bool:
    return one.dtype == other.dtype and torch.equal(one, other)


def _largest(one: Tensor, other: Tensor) -> float:
    if one.shape != other.shape:
        return float("inf")
    return float((one.double() - other.double()).abs().max())


@dataclass
class Trained:
    """stepkit's own run: parameters and buffers before and after, and the folder that its parts come from."""

    steps: int
    before: State
    after: State
    root: str


def by_stepkit(overrides: Sequence[str], steps: int) -> Trained:
    """Some steps of stepkit's own run, told to no logger; callbacks that look on have nothing to tell."""
    composed = prepare(overrides)
    parts = replace(build(composed), callbacks=[])  # with the run's own length: a scheduler must not be cut short
    composed.cfg.logger = {}
    OmegaConf.update(composed.cfg, "trainer.max_steps", steps, force_add=True)
    module: Any = parts.module
    before = _state(module)
    with tempfile.TemporaryDirectory() as folder:
        trainer = build_trainer(composed, parts, Path(folder))
        trainer.fit(module, parts.loaders["train"], parts.loaders.get("val"))
    if (taken := trainer.global_step) != steps:
        raise RunFailed(f"the run ended after {taken} of {steps} steps; give --steps {taken}")
    after = _state(module)
    return Trained(
        steps, {name: t.to(after[name].dtype) for name, t in before.items()}, after, str(composed.project.root)
    )


def _state(module: Any) -> State:
    kept = {f"network.{name}": tensor for name, tensor in module.network.state_dict().items()}
    if isinstance(module.loss, torch.nn.Module):
        kept |= {f"loss.{name}": tensor for name, tensor in module.loss.state_dict().items()}
    return {name: tensor.detach().cpu().clone() for name, tensor in kept.items()}


def by_file(file: Path, steps: int, *folders: str) -> State:
    """Parameters and buffers after some steps of the file."""
    with tempfile.TemporaryDirectory() as folder:
        left = Path(folder) / "state.pt"
        own = [str(file.absolute()), str(steps), str(left), str(torch.get_num_threads())]
        command = [sys.executable, "-P", "-W", "ignore", str(ALONE), *own, *folders, *_paths()]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace")
        if done.returncode:
            told = [line for line in done.stderr.strip().splitlines() if line.strip()] or [
                f"exit code {done.returncode}"
            ]
            raise RunFailed(f"{file}: does not run: {told[-1].strip()}")
        return dict(torch.load(left, weights_only=True))


def _paths() -> list[str]:
    """Where this process imports from, for plugins that are on its path alone."""
    return [path for path in sys.path if path and Path(path).is_dir()]
