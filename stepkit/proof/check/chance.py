"""The loss before any training against what guessing gives."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from ...observers.tensors import map_tensors
from ...step import Step, places
from .result import CannotTell, Check, rounded
from .subject import Subject

NAME = "loss at initialisation"
CLASSES, NUMBERS = (nn.CrossEntropyLoss, nn.NLLLoss), (nn.MSELoss, nn.L1Loss, nn.SmoothL1Loss, nn.HuberLoss)
KNOWN = (*CLASSES, *NUMBERS, nn.BCEWithLogitsLoss)
# How far above guessing is told, and how far is a fault. Torch's own initialisations stay within 0.5 nats on inputs of
# deviation 1, and reach 1.5 times ln C on grey values that were not scaled.
CLOSE, FAR = (1.25, 0.25), (2.0, 0.5)  # times guessing, and so many nats more
CLOSE_TIMES, FAR_TIMES = 2.0, 4.0  # times guessing, for numbers: guessing itself follows their spread
BELOW = 0.5


def loss_at_initialisation(subject: Subject) -> Check:
    """A fresh model knows nothing: its loss should be that of guessing, within a stated tolerance.

    Guessing is the same score for every class (ln C under cross entropy), a probability of 1/2 for yes or no
    (ln 2), the mean of the targets for a number (their variance under mean squared error).
    """
    module, batch = subject.copy().train(), subject.batch
    with torch.no_grad():
        if subject.plain and isinstance(module, Step) and isinstance(module.loss, KNOWN):
            return _judged(module.loss, *_outputs(subject, module))
        value = rounded(float(subject.loss(module, batch)))
    kind = type(getattr(module, "loss", None)).__name__ if subject.plain else f"the own loss of {subject.name}"
    raise CannotTell(f"the loss is {value}; what guessing gives under {kind} is not known")


def _outputs(subject: Subject, module: Step) -> tuple[list[Tensor], list[Tensor]]:
    """Outputs and targets of the first batches, in the form the loss takes."""
    pairs = [places(module(map_tensors(x, torch.clone)), y) for x, y in subject.batches]
    return [output for output, _ in pairs], [y for _, y in pairs]


def _judged(loss: nn.Module, outputs: list[Tensor], targets: list[Tensor]) -> Check:
    seen, chance = _mean(loss, outputs, targets), _mean(loss, _guesses(loss, outputs, targets), targets)
    most = _beyond(loss, chance, FAR, FAR_TIMES)
    guessing = f"guessing gives {_written(loss, outputs[0], chance)}{rounded(chance)}"
    saw = f"{type(loss).__name__} {rounded(seen)}; {guessing}, a fault from {rounded(most)}"
    if told := _not_scores(loss, outputs[0]):
        return Check(NAME, False, saw, told)
    if chance < 1e-8 and isinstance(loss, NUMBERS):
        raise CannotTell("the targets of the first batches are all the same")
    if not seen <= _beyond(loss, chance, CLOSE, CLOSE_TIMES):
        advice = _advice(loss, outputs, targets)
        return Check(NAME, seen <= most, saw, f"hint: {advice}" if seen <= most else advice)
    if seen < BELOW * chance:
        return Check(
            NAME, True, saw, "hint: better than guessing before training: pretrained, or the target is in the input"
        )
    return Check(NAME, True, saw, "the model starts without an opinion")


def _beyond(loss: nn.Module, chance: float, classes: tuple[float, float], numbers: float) -> float:
    """A loss so far above guessing: times it, and for classes some nats more."""
    times, more = (numbers, 0.0) if isinstance(loss, NUMBERS) else classes
    return times * chance + more


def _written(loss: nn.Module, output: Tensor, chance: float) -> str:
    """Where the number of guessing comes from."""
    if isinstance(loss, nn.MSELoss):
        return "the targets' variance "
    classes = output.shape[1] if isinstance(loss, CLASSES) else 2
    known = not isinstance(loss, NUMBERS) and math.isclose(chance, math.log(classes), rel_tol=1e-3)
    return f"ln {classes} = " if known else ""


def _mean(loss: nn.Module, outputs: list[Tensor], targets: list[Tensor]) -> float:
    return sum(float(loss(output, y).mean()) for output, y in zip(outputs, targets, strict=True)) / len(targets)


def _guesses(loss: nn.Module, outputs: list[Tensor], targets: list[Tensor]) -> list[Tensor]:
    """What one would answer without looking at x."""
    if isinstance(loss, NUMBERS):
        mean = torch.cat([y.double() for y in targets]).mean(0)
        return [torch.zeros_like(output) + mean.to(output.dtype) for output in outputs]
    same_scores = [torch.zeros_like(output) for output in outputs]
    return [scores.log_softmax(1) for scores in same_scores] if isinstance(loss, nn.NLLLoss) else same_scores


def _not_scores(loss: nn.Module, output: Tensor) -> str:
    """Outputs in another form than the loss takes: probabilities where scores are wanted, and the like."""
    if output.ndim < 2 or output.shape[1] < 2 or not isinstance(loss, CLASSES):
        return ""
    if isinstance(loss, nn.NLLLoss):
        whole = output.logsumexp(1)
        fits = torch.allclose(whole, torch.zeros_like(whole), atol=1e-3)
        return (
            "" if fits else "NLLLoss wants log probabilities: end the model in log_softmax, or use loss=cross_entropy"
        )
    total = output.sum(1)
    if bool((output >= 0).all()) and torch.allclose(total, torch.ones_like(total), atol=1e-4):
        return "the scores of each sample sum to 1: drop the softmax at the model's end, cross entropy applies its own"
    return ""


def _advice(loss: nn.Module, outputs: list[Tensor], targets: list[Tensor]) -> str:
    scores = torch.cat([output.flatten() for output in outputs]).double()
    spread = rounded(float(scores.std(correction=0)))
    if not isinstance(loss, NUMBERS):
        return f"above guessing: the scores' std is {spread}, not 1 or less: smaller initial weights, or scaled inputs"
    y: Any = torch.cat([target.flatten() for target in targets]).double()
    mean, std = float(y.mean()), float(y.std(correction=0))
    if abs(mean) > 2 * std:
        return f"the targets' mean {rounded(mean)} is far from 0 against their std {rounded(std)}: standardize them"
    return f"above guessing: the outputs' std is {spread}, the targets' {rounded(std)}; look at the initialisation"
