"""Data that was not written for stepkit, by stepkit's data contract: torch Datasets and LightningDataModules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, Subset, TensorDataset

from ..errors import Unsupported, WrongData
from ..spec import DataSpec
from .split import split


def adapt(obj: Any) -> Any:
    """What a data node constructed, as an object by the data contract; one that has `setup` already is left alone.

    Raises WrongData for what is none of: a data plugin, a map-style torch Dataset, a LightningDataModule.
    """
    if isinstance(obj, LightningDataModule):
        return FromDataModule(obj)
    if callable(getattr(obj, "setup", None)):
        return obj
    if isinstance(obj, Dataset) and not isinstance(obj, IterableDataset) and hasattr(obj, "__len__"):
        return FromDataset(obj)
    raise WrongData(
        f"data: {type(obj).__name__} cannot be split into train, val and test; give a class with setup and train, "
        "a map-style torch Dataset with __len__, or a LightningDataModule"
    )


class Foreign:
    """What both have in common. Neither says how raw input becomes a model's, so that must come as tensors."""

    spec: DataSpec | None

    def prepare(self, raw: Any) -> Tensor:
        """Inputs as the model takes them, [N, …]."""
        return torch.as_tensor(raw)

    def restore(self, output: Tensor) -> list[Any]:
        """For each row of outputs [N, …]: its likeliest class (by name, if known), else the numbers as they are."""
        if self.spec is None or self.spec.task != "classification":
            return list(output.tolist())
        numbers, names = output.argmax(dim=1).tolist(), self.spec.class_names
        return [names[number] for number in numbers] if names else numbers

    def rows(self, path: str) -> Any:
        """Raises Unsupported: nothing is known of the files."""
        raise Unsupported(f"{path}: this data cannot read files; predict from tensors, or write rows(path) in a plugin")

    def state_dict(self) -> dict[str, Any]:
        """The spec, which `restore` needs."""
        return {"spec": self.spec.plain() if self.spec else None}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self.spec = DataSpec.from_plain(state["spec"]) if state["spec"] else None


class FromDataset(Foreign):
    """A map-style torch Dataset, cut at random by the seed; in proportion of its classes, where they are known."""

    def __init__(self, dataset: Dataset[Any]) -> None:
        self.dataset = dataset
        self.spec = getattr(dataset, "spec", None)

    def setup(self, seed: int, fold: int | None = None, folds: int | None = None) -> None:
        """Split. Raises WrongData where there are too few samples."""
        n = len(self.dataset)  # type: ignore[arg-type]  # map style
        classes = class_numbers(self.dataset)
        strata = classes if classes is not None and len(classes) == n else None
        parts = split(n, seed, fold=fold, folds=folds, strata=strata)
        self.train, self.val, self.test = (Subset(self.dataset, rows.tolist()) for rows in parts)
        self.spec = self.spec or inferred_spec(self.dataset[0], classes, getattr(self.dataset, "classes", None))


class FromDataModule(Foreign):
    """A LightningDataModule: its own loaders and splits, as they are."""

    def __init__(self, module: LightningDataModule) -> None:
        self.module = module
        self.spec = getattr(module, "spec", None)

    def setup(self, seed: int, fold: int | None = None, folds: int | None = None) -> None:
        """Prepare and take the loaders; `seed` has no part in it. Raises Unsupported for folds, WrongData."""
        name = type(self.module).__name__
        if fold is not None or folds is not None:
            raise Unsupported(
                f"data: {name} is a LightningDataModule with splits of its own; it cannot be cut in folds"
            )
        self.module.prepare_data()
        self.module.setup("fit")
        self.module.setup("test")
        self.train, self.val, self.test = (self._loader(part) for part in ("train", "val", "test"))
        if self.train is None:
            raise WrongData(f"data: {name} has no train_dataloader; define it")
        self.spec = getattr(self.module, "spec", None)

    def _loader(self, part: str) -> Any:
        """The loader of a split, or None where the module defines none (Lightning's own method only raises)."""
        method = f"{part}_dataloader"
        if getattr(type(self.module), method) is getattr(LightningDataModule, method):
            return None
        loader = getattr(self.module, method)()
        if isinstance(loader, list | tuple | dict):
            raise Unsupported(f"data: {method} of {type(self.module).__name__} gives {len(loader)} loaders; give one")
        return loader


def class_numbers(dataset: Any) -> Tensor | None:
    """The class number of each sample, int64 [n], if the dataset has them at hand (as `targets`)."""
    targets = getattr(dataset, "targets", None)
    if targets is None and isinstance(dataset, TensorDataset):
        targets = dataset.tensors[-1]
    try:
        numbers = None if targets is None else torch.as_tensor(targets)
    except (TypeError, ValueError, RuntimeError):  # names, boxes of unequal number, …: no class numbers
        return None
    if numbers is None or numbers.ndim != 1 or numbers.dtype == torch.bool or numbers.is_floating_point():
        return None
    return numbers.long()


def inferred_spec(sample: Any, classes: Tensor | None, names: Sequence[Any] | None) -> DataSpec | None:
    """What a first sample (x, y) and the classes tell; None where that is not enough."""
    if not isinstance(sample, tuple | list) or len(sample) != 2 or not isinstance(sample[0], Tensor):
        return None
    x, y = sample[0], torch.as_tensor(sample[1]) if isinstance(sample[1], int | float | Tensor) else None
    sizes: dict[str, Any] = {"in_features": x.numel()}
    if x.ndim == 3:
        sizes.update(in_channels=x.shape[0], image_size=tuple(x.shape[1:]))
    if y is None or not x.is_floating_point() or y.dtype == torch.bool:
        return None
    if y.is_floating_point():
        return DataSpec("regression", out_features=y.numel(), **sizes)
    count = len(names) if names is not None else int(classes.max()) + 1 if classes is not None else None
    if y.ndim or count is None:
        return None
    class_names = None if names is None else tuple(map(str, names))
    return DataSpec("classification", num_classes=count, class_names=class_names, **sizes)
