"""The loops as people write them: plain PyTorch, nothing of stepkit, nothing of Lightning.

They are what stepkit is compared with, so read them first: each is the five lines of any tutorial, with accumulation,
clipping and a scheduler where they belong.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

Pair = tuple[Tensor, Tensor]
Clip = Callable[[Iterable[nn.Parameter]], Any]


def shuffled(x: Tensor, y: Tensor, size: int, seed: int, epoch: int) -> Iterator[Pair]:
    """The batches of an epoch. What stepkit promises of their order, written a second time: randperm from a hash."""
    digest = hashlib.blake2b(f"({seed}, {epoch})".encode(), digest_size=8).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)
    order = torch.randperm(len(x), generator=generator)
    for rows in order.split(size):  # type: ignore[no-untyped-call]
        yield x[rows], y[rows]


def no_clipping(parameters: Iterable[nn.Parameter]) -> None:
    """Gradients stay as they are."""


@dataclass
class Loop:
    """What a hand-written loop works with.

    Attributes:
        batches: the batches (x, y) of an epoch, counted from 0.
        validation: the one batch that is validated on.
        optimizers: one, or several that share the parameters; `schedulers` and `plateaus` are theirs.
        steps: optimizer steps to train for.
        accumulate: micro-batches an optimizer step.
        autocast: the context in which forward and loss are computed.
    """

    model: nn.Module
    loss: Callable[[Tensor, Tensor], Tensor]
    batches: Callable[[int], Iterable[Pair]]
    validation: Pair
    optimizers: Sequence[torch.optim.Optimizer]
    steps: int
    accumulate: int = 1
    clip: Clip = no_clipping
    schedulers: Sequence[LRScheduler] = ()
    plateaus: Sequence[ReduceLROnPlateau] = ()
    autocast: Callable[[], AbstractContextManager[Any]] = nullcontext


def train(loop: Loop) -> list[float]:
    """zero_grad, forward, backward, clip, step. Returns the loss of every micro-batch."""
    losses: list[float] = []
    done = epoch = 0
    while done < loop.steps:
        batches = list(loop.batches(epoch))
        for number, (x, y) in enumerate(batches, start=1):
            if done == loop.steps:
                return losses
            if number % loop.accumulate == 1 or loop.accumulate == 1:
                for optimizer in loop.optimizers:
                    optimizer.zero_grad()
            with loop.autocast():
                loss = loop.loss(loop.model(x), y)
            (loss / loop.accumulate).backward()  # type: ignore[no-untyped-call]
            losses.append(loss.item())
            if number % loop.accumulate != 0 and number != len(batches):
                continue
            loop.clip(loop.model.parameters())
            for optimizer in loop.optimizers:
                optimizer.step()
            for scheduler in loop.schedulers:
                scheduler.step()
            done += 1
        validate(loop)
        epoch += 1
    return losses


def train_with_closure(loop: Loop) -> list[float]:
    """The same for an optimizer that evaluates the loss several times a step (LBFGS), without accumulation."""
    losses: list[float] = []
    (optimizer,) = loop.optimizers
    done = epoch = 0
    while done < loop.steps:
        for x, y in loop.batches(epoch):
            if done == loop.steps:
                return losses

            def closure(x: Tensor = x, y: Tensor = y) -> Tensor:
                optimizer.zero_grad()
                with loop.autocast():
                    loss = loop.loss(loop.model(x), y)
                loss.backward()  # type: ignore[no-untyped-call]
                loop.clip(loop.model.parameters())
                losses[-1] = loss.item()  # the last evaluation is the one that is kept
                return loss

            losses.append(float("nan"))
            optimizer.step(closure)  # type: ignore[arg-type]
            for scheduler in loop.schedulers:
                scheduler.step()
            done += 1
        validate(loop)
        epoch += 1
    return losses


def validate(loop: Loop) -> None:
    """The end of an epoch: a learning rate that waits for the validation loss gets it."""
    loop.model.eval()
    x, y = loop.validation
    with torch.no_grad(), loop.autocast():
        loss = loop.loss(loop.model(x), y).item()
    loop.model.train()
    for plateau in loop.plateaus:
        plateau.step(loss)
