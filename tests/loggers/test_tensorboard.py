"""The logger as Lightning uses it: one run directory, one event file, one TensorBoard run."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_only
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from stepkit.loggers.tensorboard import TensorBoardLogger

Found = Callable[[Path], Any]


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.fixture
def logger(run_dir: Path) -> TensorBoardLogger:
    return TensorBoardLogger(save_dir=str(run_dir))


class Foreign(pl.LightningModule):
    """A module that knows of torch's SummaryWriter only."""

    def __init__(self) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.Linear(4, 2)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        x, y = batch
        loss = nn.functional.cross_entropy(self.net(x), y)
        self.log("loss/train", loss)
        self.logger.log_metrics({"by/part": {"a": loss, "b": 2 * loss}}, self.global_step)  # type: ignore[union-attr,dict-item]
        self.logger.experiment.add_image("input", x.reshape(1, -1, 4).sigmoid(), self.global_step)  # type: ignore[union-attr]
        self.logger.experiment.add_histogram("weights", self.net.weight, self.global_step)  # type: ignore[union-attr]
        return loss

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self.log("loss/test", nn.functional.cross_entropy(self.net(batch[0]), batch[1]))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_a_foreign_module_trains_and_tests_into_one_file(
    logger: TensorBoardLogger, run_dir: Path, found: Found
) -> None:
    dataset = TensorDataset(torch.randn(40, 4), torch.randint(2, (40,)))
    batches = DataLoader(dataset, batch_size=8)
    trainer = pl.Trainer(
        max_epochs=2,
        logger=logger,
        log_every_n_steps=1,
        accelerator="cpu",
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    module = Foreign()

    trainer.fit(module, batches)
    trainer.test(module, batches, verbose=False)

    assert len(list(run_dir.iterdir())) == 1
    shown = found(run_dir)
    assert shown.tags() == {"loss/train", "by/part/a", "by/part/b", "input", "weights", "loss/test"}
    assert [step for step, _ in shown.scalars("loss/train")] == list(range(10))
    assert shown.scalars("by/part/b")[3][1] == pytest.approx(2 * shown.scalars("by/part/a")[3][1])
    assert [step for step, _ in shown.tensors("input")] == list(range(10))
    assert shown.plugin("input") == "images"
    assert shown.plugin("weights") == "histograms"


def test_metrics_come_back_without_lightnings_epoch(logger: TensorBoardLogger, run_dir: Path, found: Found) -> None:
    logger.log_metrics({"loss": torch.tensor(0.5), "accuracy": 1, "epoch": 3}, step=7)
    logger.log_metrics({"start": 2.0})
    assert found(run_dir).tags() == {"loss", "accuracy", "start"}
    assert found(run_dir).scalars("loss") == [(7, 0.5)]
    assert found(run_dir).scalars("start") == [(0, 2.0)]


def test_a_logger_that_got_nothing_leaves_nothing(logger: TensorBoardLogger, run_dir: Path) -> None:
    assert logger.experiment is not None
    logger.log_metrics({"epoch": 3}, step=1)
    logger.log_hyperparams({"lr": 0.1})
    logger.log_graph(nn.Linear(1, 1))
    logger.save()
    logger.finalize("success")
    assert not run_dir.exists()
    assert logger.offset() == 0


def test_a_table_is_written_as_its_scalars(logger: TensorBoardLogger, run_dir: Path, found: Found) -> None:
    logger.log_table(["a", "b"], [1, 2], np.array([[1.0, 2.0], [3.0, 4.0]]), [100.0, 101.0])
    shown = found(run_dir)
    assert shown.scalars("a") == [(1, 1.0), (2, 3.0)]
    assert shown.scalars("b") == [(1, 2.0), (2, 4.0)]
    assert [event.wall_time for event in shown.reader.Scalars("a")] == [100.0, 101.0]
    (file,) = run_dir.iterdir()
    assert logger.offset() == file.stat().st_size


def test_other_ranks_write_nothing(logger: TensorBoardLogger, run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    logger.log_metrics({"loss": 0.5}, step=0)
    logger.log_table(["a"], [1], [[1.0]], [100.0])
    logger.experiment.add_scalar("a", 1.0, 0)
    logger.experiment.add_image("b", torch.zeros(1, 2, 2), 0)
    logger.finalize("success")
    assert not run_dir.exists()


def test_two_loggers_write_two_directories(tmp_path: Path, found: Found) -> None:
    first, second = TensorBoardLogger(str(tmp_path / "a")), TensorBoardLogger(str(tmp_path / "b"))
    first.log_metrics({"x": 1.0}, step=0)
    second.log_metrics({"x": 2.0}, step=0)
    first.log_metrics({"x": 3.0}, step=1)
    assert found(tmp_path / "a").scalars("x") == [(0, 1.0), (1, 3.0)]
    assert found(tmp_path / "b").scalars("x") == [(0, 2.0)]


def test_the_run_directory_has_no_folder_of_the_loggers(logger: TensorBoardLogger, run_dir: Path) -> None:
    assert (logger.name, logger.version, logger.save_dir) == ("", "", str(run_dir))
    assert logger.experiment.log_dir == logger.experiment.get_logdir() == str(run_dir)


def test_a_copy_for_another_process_writes_a_file_of_its_own(
    logger: TensorBoardLogger, run_dir: Path, found: Found
) -> None:
    logger.log_metrics({"x": 1.0}, step=0)
    copy = pickle.loads(pickle.dumps(logger))
    copy.log_metrics({"x": 2.0}, step=1)
    logger.log_metrics({"y": 1.0}, step=0)
    assert len(list(run_dir.iterdir())) == 2
    assert found(run_dir).scalars("x") == [(0, 1.0), (1, 2.0)]
