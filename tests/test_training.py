"""One run, through the command a user types: what it prints, what it leaves, and that it is the same twice."""

from __future__ import annotations

import json
import subprocess
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

import stepkit as sk
from stepkit.cli import main

Command = Callable[..., subprocess.CompletedProcess[str]]
SHORT = ("trainer.max_epochs=2",)


def only_run(folder: Path) -> Path:
    (found,) = folder.glob("outputs/*/*/run.json")
    return found.parent


def scalars(path: Path) -> dict[str, list[Any]]:
    reader = EventAccumulator(str(path), size_guidance={"scalars": 0})
    reader.Reload()
    return {tag: reader.Scalars(tag) for tag in reader.Tags()["scalars"]}


def test_the_default_command_learns_digits_and_prints_a_screenful(stepkit: Command, own_folder: Path) -> None:
    ran = stepkit()
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == ""
    assert len(ran.stdout.splitlines()) < 30
    path = only_run(own_folder)
    assert f"stepkit board {path.name.rpartition('-')[2]}" in ran.stdout
    record = json.loads((path / "run.json").read_text())
    assert record["status"] == "finished"
    assert record["metrics"]["accuracy/test"] >= 0.96
    assert record["plugins"]["optimizer"]["reference"] == "torch.optim:AdamW"
    assert record["facts"]["steps"] == 15 * 40


def test_a_run_s_directory_holds_what_the_design_promises(own_folder: Path) -> None:
    assert main([*SHORT, "name=first", "tags=[a,b]", "notes='tried it'"]) == 0
    path = only_run(own_folder)
    names = {file.name for file in path.iterdir()}
    assert {"config.yaml", "overrides.yaml", "run.json", "checkpoints", "log.txt"} <= names
    assert len(list(path.glob("events.out.tfevents.*[0-9]"))) == 1  # and the one of HParams' end record
    assert len(list(path.glob("events.out.tfevents.*.end"))) == 1
    assert (path / "overrides.yaml").read_text().splitlines()[0] == "- 'trainer.max_epochs=2'"
    record = json.loads((path / "run.json").read_text())
    assert (record["name"], record["tags"], record["notes"], record["seed"]) == ("first", ["a", "b"], "tried it", 0)
    assert record["attempts"][0]["status"] == "finished" and record["ended"] >= record["started"]
    for name in ("best", "last"):
        state = torch.load(path / "checkpoints" / f"{name}.ckpt", weights_only=True)
        assert state["stepkit"]["spec"]["task"] == "classification"


def test_tensorboard_reads_every_step_of_a_run_and_one_run_is_one_event_file(own_folder: Path) -> None:
    assert main(["trainer.max_epochs=3", "data.batch_size=200"]) == 0  # 7 batches an epoch
    path = only_run(own_folder)
    seen = scalars(path)
    for tag in ("loss/train", "gradient/norm", "lr"):
        assert [event.step for event in seen[tag]] == list(range(1, 22)), tag
    assert len(seen["loss/val"]) == len(seen["accuracy/val"]) == 3
    assert [event.step for event in seen["loss/val"]] == [7, 14, 21]
    assert len(seen["accuracy/test"]) == 1
    assert all(event.value > 0 for event in seen["gradient/norm"])
    assert seen["lr"][0].value == pytest.approx(0.003)
    reader = EventAccumulator(str(path))
    reader.Reload()
    texts = [tag for tag in reader.Tags()["tensors"] if tag == "config"]
    assert texts
    assert b"torch.optim:AdamW" in reader.Tensors(texts[0])[0].tensor_proto.string_val[0]


def test_two_processes_with_one_seed_train_the_same_bits_and_another_seed_does_not(
    stepkit: Command, own_folder: Path
) -> None:
    weights = []
    for number, seed in enumerate((3, 3, 4)):
        assert stepkit(*SHORT, f"seed={seed}", f"name=r{number}").returncode == 0
    for path in sorted(own_folder.glob("outputs/*/*"), key=lambda p: json.loads((p / "run.json").read_text())["name"]):
        weights.append(torch.load(path / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"])
    assert all(torch.equal(weights[0][k], weights[1][k]) for k in weights[0])
    assert not all(torch.equal(weights[0][k], weights[2][k]) for k in weights[0])


def test_muon_serves_the_default_model() -> None:
    run = sk.run(*SHORT, optimizer="muon")
    assert run.metrics["accuracy/val"] > 0.5


@pytest.mark.parametrize(
    "overrides",
    [
        ["scheduler=one_cycle"],
        ["scheduler=warmup_cosine"],
        ["scheduler=cosine_annealing"],
        ["scheduler=reduce_lr_on_plateau", "scheduler.patience=0"],
        ["scheduler=step", "scheduler.step_size=1"],
        ["optimizer=lbfgs", "optimizer.lr=0.1", "data.batch_size=512"],
        ["step.accumulate=3", "step.clip=0.5"],
        ["step.decay=matrices", "optimizer.weight_decay=0.1"],
        ["callback=[early_stopping,ema]", "logger=[tensorboard,csv]"],
        ["metric=[accuracy,f1,auroc]", "monitor.metric=f1/val"],
        ["logger=null"],
        ["trainer.max_steps=7"],
    ],
    ids=lambda overrides: " ".join(overrides),
)
def test_what_a_user_combines_trains(overrides: list[str]) -> None:
    run = sk.run(*SHORT, *overrides)
    assert run.status == "finished"
    assert run.metrics["loss/test"] < 2.4


def test_a_scheduler_that_knows_total_steps_goes_by_step_and_others_by_epoch(own_folder: Path) -> None:
    sk.run(*SHORT, "scheduler=one_cycle", "name=step")
    sk.run(*SHORT, "scheduler=exponential", "scheduler.gamma=0.5", "name=epoch")
    rates = {run.record["name"]: [e.value for e in scalars(run.path)["lr"]] for run in sk.runs()}
    assert len(set(rates["step"])) > 70
    assert len(set(rates["epoch"])) == 2 and rates["epoch"][-1] == pytest.approx(0.0015)


class Net(nn.Module):
    def __init__(self, in_features: int, num_classes: int, width: int = 8) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(in_features, width), nn.ReLU(), nn.Linear(width, num_classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x)


def test_a_class_at_hand_serves_as_plugin_twice_and_after_it_was_redefined() -> None:
    first = sk.run(*SHORT, "model.width=4", model=Net)
    assert first.status == "finished" and first.config.model.width == 4

    class Redefined(nn.Linear):
        def __init__(self, in_features: int, num_classes: int, bias: bool = True) -> None:
            super().__init__(in_features, num_classes, bias)

    Redefined.__name__ = "Net"
    second = sk.run(*SHORT, "model.bias=false", model=Redefined)
    assert second.config.model.bias is False
    with pytest.raises(sk.UserError, match="Net has no option 'width'"):
        sk.run(*SHORT, "model.width=4", model=Redefined)


class OwnStep(sk.Step):
    """A Step with a batch of its own making: noise on the input."""

    def __init__(self, in_features: int, num_classes: int) -> None:
        super().__init__(nn.Linear(in_features, num_classes))

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        x, y = batch
        return self.compare(self(x + 0.01 * torch.randn_like(x)), y)


def test_a_step_subclass_trains_with_what_the_config_attaches() -> None:
    assert sk.run("trainer.max_epochs=4", model=OwnStep).metrics["accuracy/test"] > 0.85


class Foreign(__import__("pytorch_lightning").LightningModule):  # type: ignore[misc]
    """Brings its own loss and optimizer; logs as it likes."""

    def __init__(self, in_features: int = 64) -> None:
        super().__init__()
        self.net = nn.Linear(in_features, 10)

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        loss = nn.functional.cross_entropy(self.net(batch[0]), batch[1])
        self.log("mine/train", loss)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("loss/val", nn.functional.cross_entropy(self.net(batch[0]), batch[1]))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_a_foreign_lightning_module_trains_unchanged_and_must_not_get_a_second_optimizer() -> None:
    run = sk.run(*SHORT, model=Foreign, loss=None, optimizer=None)
    assert run.metrics["loss/val"] < 1.0
    assert {"mine/train", "loss/train", "gradient/norm"} <= set(scalars(run.path))
    with pytest.raises(sk.UserError, match=r"its own loss and optimizer; add optimizer=null"):
        sk.run(*SHORT, model=Foreign)


class Scaled(nn.Module):
    """A loss with a parameter: a learnt temperature."""

    def __init__(self) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(()))

    def forward(self, scores: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(scores * self.log_scale.exp(), target)


def test_a_loss_with_parameters_joins_the_optimizer() -> None:
    run = sk.run(*SHORT, loss=Scaled)
    state = torch.load(run.path / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert state["loss.log_scale"].item() != 0


def test_weight_decay_can_be_kept_off_biases_and_norms() -> None:
    kept = ("optimizer=sgd", "optimizer.lr=0.1", "optimizer.weight_decay=1.0", *SHORT)
    small = {}
    for decay in ("all", "matrices"):
        run = sk.run(*kept, f"step.decay={decay}")
        state = torch.load(run.path / "checkpoints" / "last.ckpt", weights_only=True)
        groups = state["optimizer_states"][0]["param_groups"]
        small[decay] = [group["weight_decay"] for group in groups]
    assert small == {"all": [1.0], "matrices": [1.0, 0.0]}


def test_a_trained_run_loads_and_predicts_raw_digits() -> None:
    from sklearn.datasets import load_digits

    trained = sk.load(sk.run("trainer.max_epochs=5"))
    raw, labels = load_digits(return_X_y=True)
    predicted = trained.predict(raw)
    right = sum(int(p) == int(label) for p, label in zip(predicted, labels, strict=True)) / len(labels)
    assert right > 0.93
    assert not trained.module.training and trained.spec is not None and trained.spec.num_classes == 10


def test_load_finds_a_run_by_path_start_of_id_and_last() -> None:
    run = sk.run(*SHORT)
    for way in (run, run.path, str(run.path), run.path.name.rpartition("-")[2][:4], "last"):
        assert sk.load(way).run.path == run.path
    with pytest.raises(sk.UserError, match="no run 'nothere'"):
        sk.load("nothere")


class Warning_(Net):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        warnings.warn("mind the gap", UserWarning, stacklevel=1)
        return super().forward(x)


def test_a_warning_of_the_user_s_own_model_is_seen() -> None:
    with pytest.warns(UserWarning, match="mind the gap"):
        sk.run(*SHORT, model=Warning_)


class Failing(Net):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training and len(x) < 32:
            raise RuntimeError("the last batch is too small for me")
        return super().forward(x)


def test_a_run_that_fails_says_so_in_run_json_in_the_log_and_in_one_line() -> None:
    with pytest.raises(Exception, match="failed: RuntimeError: the last batch is too small for me") as caught:
        sk.run(*SHORT, model=Failing)
    assert type(caught.value).__name__ == "RunFailed"
    (run,) = sk.runs()
    assert run.status == "failed" and "too small" in run.record["error"]
    assert "Traceback" in (run.path / "log.txt").read_text()


def test_a_value_from_the_environment_never_reaches_a_file(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOKEN", "s3cr3t-value")
    (own_folder / "conf").mkdir()
    (own_folder / "conf" / "config.yaml").write_text("name: ${oc.env:MY_TOKEN}\nnotes: ${name}\n")
    run = sk.run(*SHORT, "tags=['${oc.env:MY_TOKEN}']")
    for file in run.path.rglob("*"):
        if file.is_file() and file.name != "run.json":
            assert b"s3cr3t-value" not in file.read_bytes(), file
    assert "s3cr3t-value" not in (run.path / "run.json").read_text()
    assert "${oc.env:MY_TOKEN}" in (run.path / "config.yaml").read_text()


def test_a_grid_runs_every_point_as_a_run_of_its_own(stepkit: Command, own_folder: Path) -> None:
    ran = stepkit("-m", "optimizer=sgd,adam", "optimizer.lr=0.1,0.01", *SHORT)
    assert ran.returncode == 0, ran.stderr
    records = sorted(own_folder.glob("outputs/digits/*/*/run.json"))
    assert [record.parent.name for record in records] == ["0", "1", "2", "3"]
    overrides = [(record.parent / "overrides.yaml").read_text() for record in records]
    assert ["optimizer=sgd" in text for text in overrides] == [True, True, False, False]
    assert ["optimizer.lr=0.1" in text for text in overrides] == [True, False, True, False]


def test_a_run_tells_its_doctor_s_findings_in_python_and_in_show(capsys: pytest.CaptureFixture[str]) -> None:
    healthy = sk.run("trainer.max_epochs=4")
    assert healthy.doctor() == []
    ill = sk.run("trainer.max_epochs=4", "optimizer.lr=1e-8")
    assert "updates too small" in [finding.kind for finding in ill.doctor()]
    assert main(["show", str(ill.path)]) == 0
    assert "updates too small" in capsys.readouterr().out


def test_an_option_and_an_override_may_stand_in_any_order(stepkit: Command, own_folder: Path) -> None:
    assert stepkit("seed=1", "-m", "optimizer.lr=0.1,0.01", "trainer.max_epochs=1").returncode == 0
    assert len(list(own_folder.glob("outputs/digits/*/*/run.json"))) == 2
