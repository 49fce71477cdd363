"""The same step in plain PyTorch: zero_grad, forward, backward, clip, step, and each of them by itself."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from ..config.settings import StepSettings
from ..errors import Unsupported
from ..guards.first_batch import needs_closure
from ..observers.tensors import map_tensors
from ..step import Step
from .by_stepkit import Taken
from .replay import Randomness, State

TRUE = {"64-true": torch.float64, "32-true": torch.float32, "bf16-true": torch.bfloat16, "16-true": torch.float16}
MIXED = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
During = Callable[[str], AbstractContextManager[Any]]


def no_watch(phase: str) -> AbstractContextManager[Any]:
    """Nobody looks at the clock."""
    return nullcontext()


class Hand:
    """A step taken by hand from the same parameters, batches and random numbers, as often as wanted.

    Raises Unsupported for a precision or a set of optimizers that no hand-written loop is known for.
    """

    def __init__(self, module: Step, taken: Taken, settings: StepSettings) -> None:
        if taken.precision not in (*TRUE, *MIXED):
            raise Unsupported(f"trainer.precision={taken.precision}: stepkit step knows {', '.join((*TRUE, *MIXED))}")
        self.module = module.to(taken.device, TRUE.get(taken.precision))
        self.taken, self.settings = taken, settings
        self.start = State(self.module)
        self.reset()

    def reset(self) -> None:
        """As before the step: parameters and buffers, no gradients, a new optimizer."""
        self.start.put_back()
        self.used: dict[str, Tensor] | None = None
        self.optimizer = optimizer_of(self.module)
        self.scaler = torch.amp.GradScaler(self.taken.device.type, enabled=self.taken.precision == "16-mixed")

    def step(self, *, bare: bool = False) -> dict[str, Tensor]:
        """The parameters after one step from the start; `bare` leaves out weight decay and inner iterations."""
        self.reset()
        if bare:
            for group in self.optimizer.param_groups:
                group.update(
                    {key: value for key, value in {"weight_decay": 0.0, "max_iter": 1}.items() if key in group}
                )
        return self.go_on()

    def go_on(self) -> dict[str, Tensor]:
        """The parameters after one more step on the same batches."""
        self.optimizer.zero_grad()
        if not needs_closure(self.optimizer):
            self.forward_backward()
            self.clip()
        self.update()
        return self.parameters()

    def forward_backward(self, during: During = no_watch) -> list[float]:
        """Each micro-batch's loss; gradients add up in `.grad`."""
        losses = []
        for number in range(len(self.taken.batches)):
            with during("forward"):
                loss = self.loss(number)
            with during("backward"):
                self.scaler.scale(loss / self.settings.accumulate).backward()  # type: ignore[no-untyped-call]
            losses.append(float(loss.detach()))
        return losses

    def loss(self, number: int) -> Tensor:
        """The loss of a micro-batch, with its own random numbers."""
        self.taken.randomness[number].put_back()
        return self.loss_of(self.taken.batches[number], number)

    def loss_of(self, batch: Any, number: int = 0) -> Tensor:
        """The loss of any batch, in the run's precision."""
        with in_precision(self.taken.precision, self.taken.device):
            return loss_of(self.module, batch, number)

    def clip(self) -> None:
        """Unscale and clip what the optimizer holds, in the model's order; `used` is the first gradient it gets."""
        self.scaler.unscale_(self.optimizer)
        if self.settings.clip is not None:
            self._clip(self.settings.clip)
        if self.used is None:
            named = self.module.named_parameters()
            self.used = {name: p.grad.to_dense().cpu().clone() for name, p in named if p.grad is not None}

    def _clip(self, most: float) -> None:
        held = {id(p) for group in self.optimizer.param_groups for p in group["params"]}
        parameters = [p for p in self.module.parameters() if id(p) in held]
        clip = nn.utils.clip_grad_norm_ if self.settings.clip_by == "norm" else nn.utils.clip_grad_value_
        clip(parameters, most)

    def update(self) -> None:
        """`optimizer.step()`; with a closure for one that evaluates the loss itself."""
        if needs_closure(self.optimizer):
            self.taken.randomness[0].put_back()
            self.optimizer.step(self._closure)
        else:
            self.scaler.step(self.optimizer)
            self.scaler.update()

    def _closure(self) -> float:
        self.optimizer.zero_grad()
        loss = self.loss_of(self.taken.batches[0])
        loss.backward()  # type: ignore[no-untyped-call]
        self.clip()
        return float(loss.detach())

    def gradients(self, passes: int = 1) -> dict[str, Tensor]:
        """Gradients at the start, by name, after that many passes without zero_grad; without those that got none."""
        self.reset()
        for _ in range(passes):
            self.start.put_back_buffers()
            self.losses = self.forward_backward()
        return self.read_gradients()

    def read_gradients(self) -> dict[str, Tensor]:
        """Copies of `.grad` by name, dense and unscaled."""
        scale = self.scaler.get_scale()
        named = ((name, p.grad) for name, p in self.module.named_parameters())
        return {name: (g.to_dense() if g.is_sparse else g).clone() / scale for name, g in named if g is not None}

    def parameters(self) -> dict[str, Tensor]:
        """Copies of the parameters by name, on the CPU."""
        return {name: p.detach().cpu().clone() for name, p in self.module.named_parameters()}

    def gradients_of(self, batches: list[Any]) -> tuple[dict[str, Tensor], bool]:
        """Gradients of the mean of these batches' losses, and whether a random number was drawn for them."""
        self.reset()
        self.taken.randomness[0].put_back()
        before = Randomness.now()
        losses = [self.loss_of(batch, number) for number, batch in enumerate(batches)]
        drawn = before.moved()
        for loss in losses:
            self.scaler.scale(loss / len(batches)).backward()  # type: ignore[no-untyped-call]
        return self.read_gradients(), drawn


def loss_of(module: Step, batch: Any, number: int = 0) -> Tensor:
    """What the module's training_step gives. The batch is copied: a model may work in place."""
    with quiet_log():
        out: Any = module.training_step(map_tensors(batch, torch.clone), number)
    loss: Tensor = out["loss"] if isinstance(out, dict) else out
    return loss


def optimizer_of(module: Step) -> torch.optim.Optimizer:
    """The module's one optimizer, new, with its scheduler's first learning rate."""
    made = module.configure_optimizers()
    made = made.get("optimizer") if isinstance(made, dict) else made
    if not isinstance(made, torch.optim.Optimizer):
        raise Unsupported(
            f"model {type(module).__name__} makes {type(made).__name__}; stepkit step takes one optimizer"
        )
    return made


@contextmanager
def in_precision(precision: str, device: torch.device) -> Iterator[None]:
    """Autocast for a mixed precision; for a true one, new tensors are of its type."""
    before = torch.get_default_dtype()
    with ExitStack() as stack:
        if precision in MIXED:
            stack.enter_context(torch.autocast(device.type, MIXED[precision], cache_enabled=False))
        torch.set_default_dtype(TRUE.get(precision, before))
        stack.callback(torch.set_default_dtype, before)
        yield


@contextmanager
def quiet_log() -> Iterator[None]:
    """A Step of the user's may log in its training_step; by hand there is no trainer to log to."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r".*You are trying to `self\.log\(\)`.*")
        yield
