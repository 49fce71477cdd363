"""How many bits a language model needs for a character, on the average."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torchmetrics import Metric


class BitsPerCharacter(Metric):
    """Mean cross entropy of the true next character, in bits: -mean log2 p(character).

    Every character counts alike, however they lie in batches. (Graves 2013, "Generating Sequences With Recurrent
    Neural Networks", section 3.1.) Guessing evenly among V characters gives log2 V.

    Shapes: logits [N, V] with targets [N], or logits [N, T, V] with targets [N, T]; V is the vocabulary's size.
    """

    is_differentiable = True
    higher_is_better = False
    full_state_update = False

    nats: Tensor
    characters: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("nats", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("characters", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, logits: Tensor, targets: Tensor) -> None:
        """Add a batch. Raises ValueError where the shapes are not one logit vector for each target."""
        if logits.shape[:-1] != targets.shape:
            raise ValueError(f"logits {list(logits.shape)} do not hold one vector for each of {list(targets.shape)}")
        self.nats += cross_entropy(logits.flatten(0, -2).float(), targets.flatten(), reduction="sum")
        self.characters += targets.numel()

    def compute(self) -> Tensor:
        """Bits a character, of all batches since the last reset."""
        return self.nats / self.characters / math.log(2)
