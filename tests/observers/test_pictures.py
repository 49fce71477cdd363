"""What a validation looks like: pictures that decode, of plausible sizes, and that show the right numbers."""

from __future__ import annotations

import io
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from sklearn.metrics import confusion_matrix
from tensorboard.util import tensor_util
from torch import nn

import stepkit as sk
from stepkit.build import build, build_trainer
from stepkit.config.prepare import prepare
from stepkit.observers import drawing
from stepkit.observers.pictures import Pictures, continued

from .runs import Read


def images(read: Read, tag: str) -> list[Image.Image]:
    """Decoded, each of the size that stands beside it."""
    found: list[Image.Image] = []
    for event in read.reader.Tensors(tag):
        width, height, png = tensor_util.make_ndarray(event.tensor_proto)
        picture = Image.open(io.BytesIO(png))
        picture.load()
        assert picture.size == (int(width), int(height))
        found.append(picture)
    return found


def test_the_pictures_of_a_run_on_images(own_folder: Path) -> None:
    run = sk.run("experiment=digits_convnet", "trainer.max_epochs=3", "trainer.limit_train_batches=12")
    read = Read(run.path)
    for tag, least, most in (("gradient/flow", 600, 1200), ("validation/confusion", 250, 800)):
        shown = images(read, tag)
        assert shown, tag
        for picture in shown:
            assert least <= picture.width <= most and 40 <= picture.height <= most
            assert len(picture.convert("RGB").getcolors(1 << 20) or ()) > 10, tag
    (first, *_) = images(read, "validation/predictions")
    assert first.width == 8 * 104 + 8 and first.height == 2 * 124 + 8  # two rows of eight
    drawn = [event.step for event in read.reader.Tensors("validation/confusion")]
    assert drawn == [12, 24, 36]  # at validations 1, 2 and the last


def test_the_confusion_counts_are_those_of_scikit_learn(tmp_path: Path, own_folder: Path) -> None:
    composed = prepare(["trainer.max_epochs=1"])
    parts = build(composed)
    trainer = build_trainer(composed, parts, tmp_path)
    trainer.fit(parts.module, parts.loaders["train"], parts.loaders["val"])
    pictures = next(c for c in trainer.callbacks if isinstance(c, Pictures))  # type: ignore[attr-defined]
    parts.module.eval()
    with torch.no_grad():
        pairs = [(y, parts.module(x).argmax(dim=1)) for x, y in parts.loaders["val"]]
    true, predicted = (torch.cat(side).numpy() for side in zip(*pairs, strict=True))
    expected = confusion_matrix(true, predicted)
    assert pictures.confusion is not None
    assert pictures.confusion.tolist() == expected.tolist()
    assert 0 < np.trace(expected) < expected.sum()  # some right and some wrong


def test_a_text_is_continued_and_nothing_else_changes(own_folder: Path) -> None:
    run = sk.run(
        "experiment=text", "trainer.max_epochs=1", "trainer.limit_train_batches=3", "trainer.limit_val_batches=2"
    )
    (event, *_) = Read(run.path).reader.Tensors("validation/sample")
    (shown,) = tensor_util.make_ndarray(event.tensor_proto)
    prompt, _, added = shown.decode().strip("`\n").partition("▸")
    assert len(prompt) >= 30 and len(added) >= 150


class Echo(nn.Module):
    """Scores for the token after each one; noisy while it trains."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.noise, self.frozen = nn.Embedding(7, 7), nn.Dropout(0.5), nn.BatchNorm1d(7)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.noise(self.table(x))  # type: ignore[no-any-return]


def test_continuing_touches_no_random_state_and_no_mode_and_repeats() -> None:
    model = Echo()
    model.train()
    model.frozen.eval()
    before: tuple[Any, ...] = torch.get_rng_state(), random.getstate(), np.random.get_state(legacy=True)[1]  # type: ignore[index]
    prompt = torch.tensor([1, 2, 3])
    one, two = (continued(model, prompt, 20, 4, 0.8) for _ in range(2))
    assert torch.equal(one, two) and len(one) == 20 and len(set(one.tolist())) > 1
    assert torch.equal(torch.get_rng_state(), before[0]) and random.getstate() == before[1]
    assert (np.random.get_state(legacy=True)[1] == before[2]).all()  # type: ignore[index]
    assert model.training and model.noise.training and not model.frozen.training
    assert continued(model, prompt, 20, 4, 0.8, seed=1).tolist() != one.tolist()


def test_the_flow_shows_larger_norms_brighter_and_layers_downwards() -> None:
    norms = np.array([[1e-6, 1e-5], [1e-1, 1.0]])
    picture = drawing.flow(norms, ["first", "second"], [10, 20]).astype(int)
    left = picture.shape[1] - 12 - 640
    dark, bright = picture[8, left + 100], picture[-50, left + 600]
    assert dark.sum() < bright.sum() and tuple(bright) == tuple(drawing.VIRIDIS[-1].astype(int))
    nothing = drawing.flow(np.full((1, 2), np.nan), ["only"], [1, 2])
    assert tuple(nothing[8, -200]) == drawing.GREY
