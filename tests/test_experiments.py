"""The built-in experiments learn what they should, a stranger's data included; bad input is told in a line."""

from __future__ import annotations

import csv
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stepkit as sk
from stepkit.cli import main

Command = Callable[..., subprocess.CompletedProcess[str]]


def last_metrics() -> dict[str, float]:
    return sk.runs()[0].metrics


@pytest.mark.slow
def test_digits_convnet_learns() -> None:
    assert main(["experiment=digits_convnet"]) == 0
    assert last_metrics()["accuracy/test"] >= 0.97


def test_diabetes_beats_the_mean_predictor_clearly() -> None:
    assert main(["experiment=diabetes"]) == 0
    metrics = last_metrics()
    assert metrics["r2/test"] > 0.4 and "mae/test" in metrics


@pytest.mark.slow
def test_text_gets_below_three_bits_a_character_within_three_minutes(stepkit: Command) -> None:
    started = time.monotonic()
    assert stepkit("experiment=text", OMP_NUM_THREADS=os.environ.get("OMP_NUM_THREADS", "1")).returncode == 0
    assert time.monotonic() - started < 180
    assert last_metrics()["bits_per_character/test"] < 3.0


def write_csv(file: Path, names: list[str], rows: list[list[Any]]) -> Path:
    with file.open("w", newline="") as handle:
        csv.writer(handle).writerows([names, *rows])
    return file


@pytest.mark.parametrize("name", ["iris", "wine", "breast_cancer"])
def test_a_stranger_s_table_does_as_well_as_logistic_regression(name: str, own_folder: Path) -> None:
    from sklearn import datasets
    from sklearn.linear_model import LogisticRegression

    from stepkit import plugins

    bunch = getattr(datasets, f"load_{name}")()
    rows = [[*row, bunch.target_names[label]] for row, label in zip(bunch.data.tolist(), bunch.target, strict=True)]
    write_csv(own_folder / "people.csv", [*bunch.feature_names, "kind"], rows)
    assert main(["experiment=table", "data.path=people.csv", "data.target=kind"]) == 0

    table = plugins.find("data", "table").load()(path="people.csv", target="kind")
    table.setup(seed=0)
    regression = LogisticRegression(max_iter=2000).fit(*(part.numpy() for part in table.train))
    expected = float(np.mean(regression.predict(table.test[0].numpy()) == table.test[1].numpy()))
    assert last_metrics()["accuracy/test"] >= expected - 0.02


def test_a_table_alone_brings_its_loss_metrics_and_monitor(own_folder: Path) -> None:
    rows = [[i, i % 7, (i % 7) * 3.25 + i / 50] for i in range(200)]
    write_csv(own_folder / "numbers.csv", ["a", "b", "price"], rows)
    assert main(["data=table", "data.path=numbers.csv", "data.target=price", "trainer.max_epochs=5"]) == 0
    assert {"r2/test", "mae/test", "loss/test"} <= set(last_metrics())
    assert "MSELoss" in sk.runs()[0].config.loss._target_
    assert (
        main(
            ["data=table", "data.path=numbers.csv", "data.target=b", "data.task=classification", "trainer.max_epochs=2"]
        )
        == 0
    )
    assert "accuracy/test" in last_metrics()


def pictures(folder: Path) -> Path:
    from PIL import Image

    rng = np.random.default_rng(0)
    for kind, colour in (("rot", (200, 40, 40)), ("grün", (40, 200, 40))):
        (folder / "bilder" / kind).mkdir(parents=True)
        for number in range(24):
            noise = rng.integers(0, 40, (20, 24, 3))
            Image.fromarray((np.array(colour) + noise).clip(0, 255).astype(np.uint8)).save(
                folder / "bilder" / kind / f"{number}.png"
            )
    return folder / "bilder"


@pytest.mark.slow
def test_a_folder_of_pictures_trains_with_and_without_workers(own_folder: Path) -> None:
    pictures(own_folder)
    common = ["experiment=images", "data.path=bilder", "data.size=16", "data.batch_size=8", "trainer.max_epochs=4"]
    assert main([*common]) == 0
    first = last_metrics()
    assert first["accuracy/test"] == 1.0
    assert main([*common, "data.num_workers=2"]) == 0
    assert last_metrics() == first


BAD: dict[str, tuple[list[str], list[str]]] = {
    "no path": (["experiment=table"], ["data.path: required", "data.target: required"]),
    "no such table": (
        ["experiment=table", "data.path=nope.csv", "data.target=x"],
        ["data.path=nope.csv", "no such file"],
    ),
    "a folder for a table": (["experiment=table", "data.path=.", "data.target=x"], ["data.path=."]),
    "an empty table": (["experiment=table", "data.path=empty.csv", "data.target=x"], ["empty.csv"]),
    "a one-row table": (["experiment=table", "data.path=one.csv", "data.target=b"], ["one.csv"]),
    "an unknown target": (["experiment=table", "data.path=good.csv", "data.target=prize"], ["did you mean 'price'?"]),
    "names only": (["experiment=table", "data.path=names.csv", "data.target=price"], ["nothing left to learn from"]),
    "no Parquet": (["experiment=table", "data.path=fake.parquet", "data.target=x"], ["fake.parquet"]),
    "a misspelt option": (["experiment=table", "data.pth=good.csv"], ["did you mean 'data.path'?"]),
    "no such text": (["experiment=text", "data.path=nope.txt"], ["nope.txt"]),
    "a short text": (["experiment=text", "data.path=short.txt"], ["short.txt"]),
    "a text that is none": (["experiment=text", "data.path=bytes.bin"], ["bytes.bin"]),
    "a window without length": (["experiment=text", "data.context_length=0"], ["data.context_length=0"]),
    "no such pictures": (["experiment=images", "data.path=nowhere"], ["nowhere"]),
    "no classes": (["experiment=images", "data.path=empty_folder"], ["empty_folder"]),
    "digits with a wrong option": (["data.standardise=true"], ["did you mean 'data.standardize'?"]),
    "diabetes with classes": (
        ["experiment=diabetes", "loss=cross_entropy"],
        ["CrossEntropyLoss wants class numbers", "loss=mse"],
    ),
    "a gpu that is not there": (["trainer=gpu"], ["trainer.accelerator=gpu"]),
    "apple's gpu": (["trainer=mps"], ["trainer.accelerator=mps"]),
    "many gpus": (["trainer=ddp"], ["trainer.accelerator=gpu"]),
    "fsdp without gpus": (["trainer=fsdp"], ["trainer.accelerator=gpu"]),
    "a precision that is none": (["trainer.precision=17-mixed"], ["trainer.precision=17-mixed"]),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_of_data_or_device_is_a_line_and_leaves_nothing(
    case: str, own_folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    write_csv(own_folder / "good.csv", ["a", "price"], [[i, i * 2.5] for i in range(40)])
    write_csv(own_folder / "one.csv", ["a", "b"], [[1, 2]])
    write_csv(own_folder / "names.csv", ["name", "price"], [[f"person {i}", i * 2.5] for i in range(40)])
    (own_folder / "empty.csv").write_text("")
    (own_folder / "fake.parquet").write_text("not parquet")
    (own_folder / "short.txt").write_text("ab")
    (own_folder / "bytes.bin").write_bytes(bytes(range(128, 256)) * 40)
    (own_folder / "empty_folder").mkdir()
    arguments, said = BAD[case]
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    for words in said:
        assert words in err
    assert "Traceback" not in out + err and len(err.strip().splitlines()) <= 3
    assert not (own_folder / "outputs").exists()


@pytest.mark.parametrize("precision", ["bf16-mixed", "64-true", "bf16-true"])
def test_precisions_serve_by_config(precision: str) -> None:
    assert main([f"trainer.precision={precision}", "trainer.max_epochs=2"]) == 0
    assert last_metrics()["accuracy/test"] > 0.8


class Module(__import__("pytorch_lightning").LightningDataModule):  # type: ignore[misc]
    """A LightningDataModule of a user's own."""

    def setup(self, stage: str) -> None:
        import torch
        from torch.utils.data import DataLoader, TensorDataset

        x = torch.randn(200, 4, generator=torch.Generator().manual_seed(0))
        self.pairs = TensorDataset(x, (x.sum(dim=1) > 0).long())
        self.make = lambda: DataLoader(self.pairs, batch_size=20)

    def train_dataloader(self) -> Any:
        return self.make()

    def val_dataloader(self) -> Any:
        return self.make()

    def test_dataloader(self) -> Any:
        return self.make()


def test_a_lightning_data_module_serves_and_must_be_told_its_loss() -> None:
    given = (
        "experiment=null",
        "model.in_features=4",
        "model.out_features=2",
        "optimizer.lr=0.05",
        "trainer.max_epochs=5",
    )
    with pytest.raises(sk.UserError, match=r"has no spec that says its task; give loss="):
        sk.run(*given, data=Module)
    run = sk.run(*given, "loss=cross_entropy", data=Module)
    assert run.metrics["loss/test"] < 0.3
