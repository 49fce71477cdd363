"""A doctor without false alarms: over every built-in experiment there is no finding, at the end and on the way."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

import stepkit as sk
from stepkit.diagnosis import of_run


def table(path: Path, number: bool, n: int = 600) -> Path:
    """Rows in which the target follows from three columns, with noise."""
    draw = np.random.default_rng(0)
    age, income, town = draw.normal(40, 12, n), draw.lognormal(10, 0.5, n), draw.choice(["north", "south", "east"], n)
    score = (age - 40) / 12 + (np.log(income) - 10) / 0.5 + (town == "north") * 1.5 + draw.normal(0, 0.7, n)
    y = (100 + 20 * score).round(3) if number else np.where(score > 0.3, "yes", "no")
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["age", "income", "town", "y"])
        rows.writerows(zip(age.round(2), income.round(2), town, y, strict=True))
    return path


def pictures(root: Path, n: int = 80) -> Path:
    """Circles, squares and crosses on noise."""
    draw = np.random.default_rng(0)
    for kind in ("circle", "square", "cross"):
        (root / kind).mkdir(parents=True)
        for number in range(n):
            image = Image.fromarray(draw.integers(0, 120, (40, 40, 3), dtype=np.uint8))
            pen, (x, y), side = ImageDraw.Draw(image), draw.integers(4, 16, 2).tolist(), int(draw.integers(12, 20))
            ink, box = tuple(draw.integers(130, 255, 3).tolist()), (x, y, x + side, y + side)
            if kind == "circle":
                pen.ellipse(box, ink)
            elif kind == "square":
                pen.rectangle(box, ink)
            else:
                pen.line(box, ink, 4)
                pen.line((x, y + side, x + side, y), ink, 4)
            image.save(root / kind / f"{number}.png")
    return root


def options(name: str, folder: Path) -> list[str]:
    if name.startswith("table"):
        path = table(folder / "rows.csv", number=name == "table of numbers")
        return ["experiment=table", f"data.path={path}", "data.target=y"]
    if name == "images":
        return ["experiment=images", f"data.path={pictures(folder / 'pictures')}"]
    return [f"experiment={name}"]


def assert_clean(run: sk.Run, said: str) -> None:
    report = of_run(run.path)
    assert report.findings == []
    assert "loss against chance" in report.looked and "update ratio" in report.looked
    assert "doctor:" not in said


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", ["digits", "diabetes", "table", "table of numbers"])
def test_a_small_experiment_has_no_finding(
    name: str, seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = sk.run(*options(name, tmp_path), f"seed={seed}")
    assert_clean(run, capsys.readouterr().out)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", ["digits_convnet", "images"])
def test_an_experiment_on_images_has_no_finding(
    name: str, seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = sk.run(*options(name, tmp_path), f"seed={seed}")
    assert_clean(run, capsys.readouterr().out)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_the_text_experiment_has_no_finding(seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert_clean(sk.run("experiment=text", f"seed={seed}"), capsys.readouterr().out)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 5))
def test_a_third_of_the_text_experiment_has_no_finding(seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert_clean(sk.run("experiment=text", f"seed={seed}", "trainer.max_epochs=1"), capsys.readouterr().out)


VARIANTS = (  # what people change first, and is no fault
    ("optimizer=sgd", "optimizer.lr=0.1", "optimizer.momentum=0.9"),
    ("optimizer.lr=3e-4",),
    ("data.batch_size=8", "step.accumulate=4"),
    ("step.clip=1.0",),
    ("scheduler=cosine_annealing",),
    ("scheduler=one_cycle",),
    ("trainer.max_epochs=60", "model.dropout=0.3"),
    ("model.normalization=batch", "model.hidden=[128,128,128]"),
    ("data.batch_size=1", "trainer.max_epochs=2", "optimizer.lr=3e-4"),
)


@pytest.mark.slow
@pytest.mark.parametrize("overrides", VARIANTS, ids=" ".join)
def test_a_usual_change_of_digits_has_no_finding(
    overrides: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert_clean(sk.run(*overrides), capsys.readouterr().out)
