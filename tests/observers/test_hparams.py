"""A run's row in HParams: the same keys in every run, numbers as numbers, the true status."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tensorboard.plugins.hparams.api_pb2 import STATUS_FAILURE, STATUS_SUCCESS
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

import stepkit as sk
from stepkit.errors import RunFailed

from .runs import Read

SHORT = ("trainer.max_epochs=1", "trainer.limit_train_batches=4")


def session(path: Path, part: str) -> Any:
    content = Read(path).reader.SummaryMetadata(f"_hparams_/session_{part}_info").plugin_data.content
    return getattr(HParamsPluginData.FromString(content), f"session_{part}_info")


def row(path: Path) -> dict[str, Any]:
    found = session(path, "start").hparams
    return {key: getattr(value, str(value.WhichOneof("kind"))) for key, value in found.items()}


def test_a_row_holds_plugins_options_and_seed_with_their_types(own_folder: Path) -> None:
    run = sk.run(*SHORT, "optimizer.lr=1.25e-5", "seed=7", "model.hidden=[32,16]")
    found = row(run.path)
    assert found["optimizer"] == "adamw" and found["model"] == "mlp" and found["experiment"] == "digits"
    assert found["optimizer.lr"] == 1.25e-5 and found["seed"] == 7.0 and found["optimizer.fused"] is True
    assert found["model.hidden"] == "32, 16" and found["step.accumulate"] == 1.0
    assert not any("_target_" in key for key in found)
    assert session(run.path, "start").group_name == ""
    best = run.record["best"]
    assert Read(run.path).scalars(f"best/{best['metric']}") == {4: pytest.approx(best["value"])}


def test_every_run_has_the_same_keys(own_folder: Path) -> None:
    one, two = sk.run(*SHORT), sk.run(*SHORT, "optimizer.lr=0.1", "seed=3", "data.batch_size=16", "step.accumulate=2")
    assert row(one.path).keys() == row(two.path).keys()
    assert row(one.path) != row(two.path)


def test_the_status_is_the_true_one(own_folder: Path) -> None:
    finished = sk.run(*SHORT)
    assert session(finished.path, "end").status == STATUS_SUCCESS
    with pytest.raises(RunFailed):
        sk.run(*SHORT, "optimizer.lr=1e30")
    failed = next(run for run in sk.runs() if run.status == "failed")
    assert session(failed.path, "end").status == STATUS_FAILURE
    (end,) = failed.path.glob("*.end")
    assert end.stat().st_size < 1000  # in a file of its own, which a resume deletes
