"""Whether the two sides of a cell are equal, and whether that means anything."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch

from .cells import Cell, refusal
from .problems import PROBLEMS
from .sides import Trained, by_hand, by_stepkit


@dataclass
class Outcome:
    """What came of a cell; `told` says what differs, or with which message it was refused."""

    kind: Literal["equal", "refused", "wrong"]
    told: list[str]


def outcome(cell: Cell) -> Outcome:
    """Train a cell on both sides."""
    expected = refusal(cell)
    if expected is None:
        stepkit, hand = by_stepkit(cell), by_hand(cell)
        wrong = [*differences(stepkit, hand), *nothing_trained(cell, stepkit)]
        return Outcome("wrong" if wrong else "equal", wrong)
    told = [message_of(by_stepkit, cell)]
    if not expected.alone:
        told.append(message_of(by_hand, cell))
    alike = all(expected.message in message for message in told)
    return Outcome("refused" if alike else "wrong", told)


def differences(stepkit: Trained, hand: Trained) -> list[str]:
    """Every parameter and buffer that is not equal to the last bit, then losses and learning rates."""
    assert stepkit.state.keys() == hand.state.keys()
    found = []
    for name, expected in hand.state.items():
        got = stepkit.state[name]
        if got.dtype != expected.dtype:
            found.append(f"{name}: {got.dtype}, by hand {expected.dtype}")
        elif not torch.equal(got, expected):
            found.append(f"{name}: differs by up to {(got - expected).abs().max().item():.3g}")
    if stepkit.losses != hand.losses:
        found.append("the losses differ")
    if stepkit.rates != hand.rates:
        found.append(f"learning rates {stepkit.rates}, by hand {hand.rates}")
    return found


def nothing_trained(cell: Cell, trained: Trained) -> list[str]:
    """Why equality would prove nothing: a parameter that stayed, a loss that did not change, a number gone wrong."""
    first = PROBLEMS[cell.row.problem].fresh()
    found = [
        f"{name} did not move"
        for name, parameter in first.named_parameters()
        if torch.equal(parameter.to(trained.state[name].dtype), trained.state[name])
    ]
    found += [f"{name} is not finite" for name, tensor in trained.state.items() if not tensor.isfinite().all()]
    if not all(map(math.isfinite, trained.losses)) or len(set(trained.losses)) < len(trained.losses) / 2:
        found.append("the loss did not change, or is not finite")
    return found


def message_of(side: Callable[[Cell], Trained], cell: Cell) -> str:
    """With which error a side refuses a cell."""
    try:
        side(cell)
    except Exception as error:  # whatever torch, Lightning or stepkit raises: the message is compared
        return f"{type(error).__name__}: {error}"
    return "trained without an error"
