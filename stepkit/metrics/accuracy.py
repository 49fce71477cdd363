"""The share of samples that are classified right."""

from __future__ import annotations

from typing import Any, Literal

from torchmetrics.classification import MulticlassAccuracy


class Accuracy(MulticlassAccuracy):
    """torchmetrics' MulticlassAccuracy, counting samples: by default that one averages over classes.

    The mean over classes is `metric=balanced_accuracy`.

    Shapes: logits [N, C] and class numbers [N] (or more dimensions after these, as torchmetrics has it).

    Args:
        num_classes: number of classes C.
        top_k: right is a sample whose class is among the k highest.
        average, ignore_index: as in torchmetrics.
    """

    def __init__(
        self,
        num_classes: int,
        top_k: int = 1,
        average: Literal["micro", "macro", "weighted", "none"] = "micro",
        ignore_index: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes=num_classes, top_k=top_k, average=average, ignore_index=ignore_index, **kwargs)
