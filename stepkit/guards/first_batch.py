"""Silent mistakes, stopped at the first batch, before any training."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import Unsupported, WrongData, WrongModel
from ..loading.workers import unchanged_random_state
from ..step import Step, places

CLASS_LOSSES = (nn.CrossEntropyLoss, nn.NLLLoss, nn.MultiMarginLoss)
ELEMENTWISE_LOSSES = (
    nn.MSELoss,
    nn.L1Loss,
    nn.HuberLoss,
    nn.SmoothL1Loss,
    nn.BCELoss,
    nn.BCEWithLogitsLoss,
    nn.PoissonNLLLoss,
)


@contextmanager
def undisturbed(module: nn.Module) -> Iterator[None]:
    """Whatever happens inside leaves random numbers, buffers and gradients as they were."""
    buffers = {name: buffer.clone() for name, buffer in module.named_buffers()}
    try:
        with unchanged_random_state():
            yield
    finally:
        with torch.no_grad():
            for name, buffer in module.named_buffers():
                buffer.copy_(buffers[name])
        module.zero_grad(set_to_none=True)


def check_first_batch(step: Step, batch: Any, indices: Tensor | None = None) -> None:
    """Forward, loss and backward of one batch. Raises WrongModel or WrongData, naming the shapes or values seen."""
    with undisturbed(step):
        plain = type(step).training_step is Step.training_step
        loss: Any = _pair_loss(step, batch, indices) if plain else step.training_step(batch, 0)
        check_loss(loss, step)
        made = step.configure_optimizers()
        optimizer = made.get("optimizer") if isinstance(made, dict) else made
        if isinstance(optimizer, torch.optim.Optimizer):
            check_reached(loss["loss"] if isinstance(loss, dict) else loss, optimizer)


def _pair_loss(step: Step, batch: Any, indices: Tensor | None) -> Tensor:
    """What `Step.training_step` gives, looked at on the way."""
    if not isinstance(batch, tuple | list) or len(batch) != 2:
        raise WrongModel(
            f"a batch is {_shape(batch)}; a plain model takes (x, y): give tensors, or override training_step in a Step"
        )
    x, y = batch
    try:
        output = step(x)
    except (RuntimeError, TypeError, IndexError, ValueError) as error:
        raise WrongModel(f"model {_name(step.network)} does not take x of {_shape(x)}: {_first_line(error)}") from error
    if step.loss is None:
        raise WrongModel("loss=null, but the model computes no loss of its own; give loss=…")
    if isinstance(output, Tensor) and isinstance(y, Tensor):
        check_shapes(step.loss, *places(output, y), indices)
    return step.compare(output, y)


def check_shapes(loss: Any, output: Tensor, target: Tensor, indices: Tensor | None = None) -> None:
    """Whether loss(output, target) means what it says. Raises WrongModel or WrongData."""
    name = _name(loss)
    if isinstance(loss, CLASS_LOSSES):
        _check_classes(name, output, target, indices)
    elif isinstance(loss, ELEMENTWISE_LOSSES) and output.shape != target.shape:
        raise WrongModel(
            f"{name} of predictions {_shape(output)} against targets {_shape(target)} would broadcast to "
            f"{_broadcast(output, target)}; give both the same shape"
        )


def _check_classes(name: str, output: Tensor, target: Tensor, indices: Tensor | None) -> None:
    if output.ndim < 2:
        raise WrongModel(f"{name} wants scores [N, classes], the model gives {_shape(output)}")
    if target.is_floating_point() and target.shape != output.shape:
        raise WrongModel(
            f"{name} wants class numbers, the targets are {target.dtype} {_shape(target)}; for numbers use loss=mse"
        )
    if target.is_floating_point():
        return _check_probabilities(name, target)
    if target.shape != output.shape[:1] + output.shape[2:]:
        raise WrongModel(
            f"{name} wants targets {_shape(output[:, 0])} for scores {_shape(output)}, the targets are {_shape(target)}"
        )
    classes = output.shape[1]
    wrong = ((target < 0) | (target >= classes)) & (target != -100)
    if wrong.any():
        place = tuple(wrong.nonzero()[0].tolist())
        sample = int(indices[place[0]]) if indices is not None and place[0] < len(indices) else place[0]
        label = int(target[place])
        raise WrongData(
            f"class {label} of sample {sample} is out of range: the model knows {classes} classes, 0 to {classes - 1}"
        )


def _check_probabilities(name: str, target: Tensor) -> None:
    """Targets of the scores' own shape mean a probability a class: of one class alone the loss is always 0."""
    if (
        target.shape[1] == 1
        or (target < 0).any()
        or not torch.allclose(target.sum(dim=1), torch.ones(()).to(target), atol=1e-3)
    ):
        raise WrongModel(
            f"{name} wants class numbers, or probabilities of several classes that sum to 1; the targets are "
            f"{target.dtype} {_shape(target)}; for numbers use loss=mse"
        )


def check_loss(loss: Any, module: nn.Module) -> None:
    """A loss must be one number that depends on a parameter. Raises WrongModel."""
    if isinstance(loss, dict):
        loss = loss.get("loss")
    if not isinstance(loss, Tensor):
        raise WrongModel(f"training_step gives {type(loss).__name__}; the loss, a scalar tensor, is wanted")
    if loss.numel() != 1:
        raise WrongModel(f"the loss is {_shape(loss)}, not one number; reduce it (reduction=mean)")
    if not loss.requires_grad:
        frozen = not any(p.requires_grad for p in module.parameters())
        reason = "the model has no trainable parameter" if frozen else "it was detached on the way"
        raise WrongModel(f"the loss does not depend on any parameter: {reason}; nothing would be trained")


def check_reached(loss: Tensor, optimizer: torch.optim.Optimizer) -> None:
    """The loss must reach a parameter that the optimizer holds. Raises WrongModel."""
    held = [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]
    try:
        gradients = torch.autograd.grad(loss, held, allow_unused=True)
    except RuntimeError as error:
        raise WrongModel(f"loss.backward() fails: {_first_line(error)}") from error
    if all(gradient is None for gradient in gradients):
        raise WrongModel(
            f"{_name(optimizer)} holds {len(held)} parameters and the loss reaches none of them; nothing would be "
            "trained: give the optimizer the parameters that forward uses"
        )


def check_optimizer(optimizer: torch.optim.Optimizer, module: nn.Module) -> None:
    """An optimizer must hold a parameter that can get a gradient. Raises WrongModel."""
    held = [p for group in optimizer.param_groups for p in group["params"]]
    if not any(p.requires_grad for p in held):
        raise WrongModel(f"{_name(optimizer)} holds no trainable parameter; nothing would be trained")


def check_accumulation(optimizer: torch.optim.Optimizer, accumulate: int) -> None:
    """An optimizer that evaluates the loss itself (LBFGS) would see the last micro-batch only. Raises Unsupported."""
    if accumulate > 1 and needs_closure(optimizer):
        raise Unsupported(
            f"step.accumulate={accumulate}: {_name(optimizer)} evaluates the loss several times a step, each time on "
            f"one micro-batch; give step.accumulate=1 and a larger data.batch_size"
        )


def check_skipping(optimizer: torch.optim.Optimizer, nonfinite: str) -> None:
    """A step is skipped by taking its gradients away, which stops no LBFGS. Raises Unsupported."""
    if nonfinite == "skip" and needs_closure(optimizer):
        raise Unsupported(f"step.nonfinite=skip: {_name(optimizer)} evaluates the loss itself; give raise or ignore")


def needs_closure(optimizer: torch.optim.Optimizer) -> bool:
    """Whether its `step` cannot be called without a closure: it evaluates the loss itself."""
    # Of the class: a scheduler replaces the instance's `step` by one whose signature counts `self`.
    _, *given = inspect.signature(type(optimizer).step).parameters.values()
    needed = [p for p in given if p.default is p.empty]
    return any(p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in needed)


def _name(obj: Any) -> str:
    return type(obj).__name__


def _shape(value: Any) -> str:
    if isinstance(value, Tensor):
        return str(list(value.shape))
    if isinstance(value, tuple | list):
        return "(" + ", ".join(_shape(item) for item in value) + ")"
    return type(value).__name__


def _broadcast(output: Tensor, target: Tensor) -> str:
    try:
        return str(list(torch.broadcast_shapes(output.shape, target.shape)))  # type: ignore[no-untyped-call]
    except RuntimeError:
        return "nothing: the shapes do not fit"


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
