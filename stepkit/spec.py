"""What the data knows, and nobody has to repeat in a config."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

Task = Literal["classification", "regression", "language"]


@dataclass(frozen=True)
class DataSpec:
    """Facts of a data set. A plugin's parameter of the same name is filled with them.

    Attributes:
        task: what is learnt; the default loss, metrics and monitor follow it.
        in_features: size of one flat input, x of shape [N, in_features].
        out_features: size of one output: the number of classes, 1 for a single number.
        num_classes: number of classes, y of shape [N] holding 0 … num_classes - 1.
        in_channels: channels of an image, x of shape [N, in_channels, height, width].
        image_size: height and width of an image.
        vocab_size: number of distinct tokens, x of shape [N, context_length] holding their numbers.
        context_length: tokens in one input window.
        class_names: what the class numbers (or the tokens) stand for.
    """

    task: Task
    in_features: int | None = None
    out_features: int | None = None
    num_classes: int | None = None
    in_channels: int | None = None
    image_size: tuple[int, int] | None = None
    vocab_size: int | None = None
    context_length: int | None = None
    class_names: tuple[str, ...] | None = None

    def known(self) -> dict[str, Any]:
        """The facts a config can be filled with: every field that is set, but the task and the names."""
        facts = {k: v for k, v in asdict(self).items() if v is not None and k not in ("task", "class_names")}
        if "out_features" not in facts and self.num_classes is not None:
            facts["out_features"] = self.num_classes
        return facts

    def plain(self) -> dict[str, Any]:
        """As JSON values, for a checkpoint."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items() if v is not None}

    @classmethod
    def from_plain(cls, facts: dict[str, Any]) -> DataSpec:
        """The inverse of `plain`."""
        names = {field.name for field in fields(cls)}
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in facts.items() if k in names}
        return cls(**values)
