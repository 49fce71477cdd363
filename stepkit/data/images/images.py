"""The data plugin `images`: a folder of pictures, decoded as they are needed."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor
from torch.utils.data import Dataset

from stepkit import DataSpec, split
from stepkit.errors import BrokenPlugin, WrongData, WrongValue, nearest

if TYPE_CHECKING:
    from PIL.Image import Image

CHUNK = 64  # images
MEASURED = 500  # training images, for mean and deviation of the colours


class Images:
    """Pictures in one folder for each class: x [N, channels, size, size], y [N] class numbers.

    If the folder has `train` (and `val`, `test`) folders above the classes they are kept; else, and for what is
    missing of them, the images are split at random with the classes in proportion. With folds, val joins train.
    Of each picture the middle square is taken, upright, and resized. Colours are shifted and scaled to mean 0 and
    deviation 1, measured on (at most 500 of) the training images. `notes` tells what was left out: files that are
    no images or are broken, folders without an image.

    Pictures are decoded anew in each epoch; `data.num_workers=4` does it in processes of its own.

    After `load_state_dict`, `setup` keeps the loaded classes and colours: evaluation of a trained model on another
    folder. There `test=1` makes every image of it a test image.

    Args:
        path: the folder.
        size: height and width of x, in pixels.
        channels: 3 for colour, 1 for grey.
        flip: mirror half of the training images, left to right, at random.
        crop: take a smaller square for training, by up to this share of its side, anywhere in the picture.
        val, test: the parts of the images for validation and test.
    """

    spec: DataSpec

    def __init__(
        self,
        path: str,
        size: int = 64,
        channels: Literal[1, 3] = 3,
        flip: bool = False,
        crop: float = 0.0,
        val: float = 0.15,
        test: float = 0.15,
    ) -> None:
        if importlib.util.find_spec("PIL") is None:
            raise BrokenPlugin("data=images decodes with Pillow, which is not installed: pip install 'stepkit[images]'")
        if size < 1:
            raise WrongValue("data.size", size, "give 1 or more pixels")
        if not 0 <= crop < 1:
            raise WrongValue("data.crop", crop, "give a share from 0 to less than 1")
        self.path, self.size, self.channels, self.flip, self.crop = path, size, channels, flip, crop
        self.fractions = {"val": val, "test": test}
        self.notes: list[str] = []
        self.loaded = False

    def setup(self, seed: int, fold: int | None = None, folds: int | None = None) -> None:
        """Find the images, split them, and measure the colours of training images.

        Raises:
            BadPlace: no such folder, or a file.
            WrongData: no folders in it, no images, one class only, a class that a loaded model does not know.
        """
        from .folder import find_images

        found = find_images(self.path)
        self.notes = found.notes
        if not self.loaded:
            self._use(sorted({name for pairs in found.parts.values() for _, name in pairs}))
        parts = self._parts(found.parts, seed, fold, folds)
        if not self.loaded:
            self._measure(parts["train"])
        self.train = Pictures(self, *parts["train"], augment=True)
        self.val, self.test = Pictures(self, *parts["val"]), Pictures(self, *parts["test"])

    def _use(self, classes: Sequence[str]) -> None:
        if len(classes) < 2:
            raise WrongData(
                f"data.path={self.path}: all images are of one class, '{classes[0]}'; there is nothing to learn"
            )
        self.classes = list(classes)
        self.mean, self.deviation = [0.5] * self.channels, [0.5] * self.channels
        self.spec = DataSpec(
            "classification",
            in_features=self.channels * self.size**2,  # for a model that flattens
            out_features=len(classes),
            num_classes=len(classes),
            in_channels=self.channels,
            image_size=(self.size, self.size),
            class_names=tuple(classes),
        )

    def _parts(
        self, found: dict[str, list[tuple[str, str]]], seed: int, fold: int | None, folds: int | None
    ) -> dict[str, tuple[list[str], Tensor]]:
        """Paths and class numbers of train, val and test: those of the folder, and the rest split off."""
        pairs = {
            part: ([path for path, _ in each], self._numbers([name for _, name in each]))
            for part, each in found.items()
        }
        if folds is not None and "val" in pairs:
            (paths, numbers), (more, theirs) = pairs["train"], pairs.pop("val")
            pairs["train"] = (paths + more, torch.cat([numbers, theirs]))
        if self.loaded and self.fractions["test"] == 1:
            every = [path for paths, _ in pairs.values() for path in paths]
            none: tuple[list[str], Tensor] = ([], torch.arange(0))
            return {"train": none, "val": none, "test": (every, torch.cat([numbers for _, numbers in pairs.values()]))}
        paths, numbers = pairs["train"]
        sizes = {part: 0.0 if part in pairs else size for part, size in self.fractions.items()}
        rows = split(len(paths), seed, fold=fold, folds=folds, strata=numbers, **sizes)
        cut = {part: ([paths[i] for i in own.tolist()], numbers[own]) for part, own in rows._asdict().items()}
        return cut | {part: own for part, own in pairs.items() if part != "train"}

    def _numbers(self, names: list[str]) -> Tensor:
        place = {name: number for number, name in enumerate(self.classes)}
        for name in names:
            if name not in place:
                raise WrongData(f"data.path={self.path}: '{name}' is no class of this model; {nearest(name, place)}")
        return torch.tensor([place[name] for name in names], dtype=torch.int64)

    def _measure(self, train: tuple[list[str], Tensor]) -> None:
        """Mean and deviation of each channel over training images spread evenly over the classes."""
        step = -(-len(train[0]) // MEASURED)
        measured = Pictures(self, train[0][::step], train[1][::step])
        pixels = torch.stack([measured[i][0] for i in range(len(measured))]) * 0.5 + 0.5
        self.mean = pixels.mean(dim=(0, 2, 3)).tolist()
        self.deviation = [max(each, 1e-3) for each in pixels.std(dim=(0, 2, 3), correction=0).tolist()]

    def normalized(self, image: Image, augment: bool = False) -> Tensor:
        """float32 [channels, size, size]: a square of the image, its colours scaled."""
        from .decoding import square, to_tensor

        width, height = image.size
        side = float(min(width, height))
        left, upper = (width - side) / 2, (height - side) / 2
        if augment and self.crop:
            less, right, down = torch.rand(3).tolist()
            side *= 1 - self.crop * less
            left, upper = right * (width - side), down * (height - side)
        x = to_tensor(square(image, self.size, self.channels, (left, upper, left + side, upper + side)))
        if augment and self.flip and torch.rand(()) < 0.5:
            x = x.flip(-1)
        return (x - torch.tensor(self.mean)[:, None, None]) / torch.tensor(self.deviation)[:, None, None]

    def prepare(self, raw: Any) -> Tensor:
        """x [N, channels, size, size] of a path, a PIL image, an array [H, W(, C)], a tensor [C, H, W], or many."""
        from .decoding import pictures

        return torch.stack([self.normalized(image) for image in pictures(raw, self.size)])

    def restore(self, output: Tensor) -> list[str]:
        """The likeliest class's name for each row of scores [N, C]."""
        return [self.classes[place] for place in output.argmax(dim=-1).flatten().tolist()]

    def rows(self, path: str) -> Iterator[tuple[list[int], Tensor]]:
        """(numbers from 1, x) of an image, or of all images of a folder and below in the order of their paths."""
        from .folder import files_in

        files = enumerate(files_in(path), 1)
        while chunk := list(islice(files, CHUNK)):
            yield [number for number, _ in chunk], self.prepare([file for _, file in chunk])

    def state_dict(self) -> dict[str, Any]:
        """Classes and colours: what prepare and restore need besides the options."""
        return {"classes": self.classes, "mean": self.mean, "deviation": self.deviation}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self._use(state["classes"])
        self.mean, self.deviation = list(state["mean"]), list(state["deviation"])
        self.loaded = True


class Pictures(Dataset[tuple[Tensor, Tensor]]):
    """Image files and their class numbers, decoded item by item; augmented from torch's global random numbers."""

    def __init__(self, images: Images, paths: list[str], numbers: Tensor, augment: bool = False) -> None:
        self.images, self.paths, self.numbers, self.augment = images, paths, numbers, augment

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        from .decoding import load

        return self.images.normalized(load(self.paths[index], self.images.size), self.augment), self.numbers[index]
