"""The ejected file: plain, short, runnable by itself, and the same training to the last bit."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from stepkit import DataSpec, Step, cli, plugins
from stepkit.proof.eject.prove import by_file, by_stepkit, compare

SHORT = ["data.samples_per_epoch=160"]  # of the text: five steps an epoch
FOCAL = Path(__file__).parents[2] / "plugins" / "stepkit-focal-loss" / "src"


@pytest.fixture
def places(own_folder: Path) -> dict[str, str]:
    """A small table, and a small folder of pictures."""
    draw = np.random.default_rng(0)
    rows = [f"{draw.integers(20, 80)},{draw.choice(['Bonn', 'Ulm'])},2024-03-{1 + i % 28:02}" for i in range(80)]
    table = own_folder / "patients.csv"
    table.write_text("age,town,seen,ill\n" + "".join(f"{row},{'yes' if row < '5' else 'no'}\n" for row in rows))
    pictures = pytest.importorskip("PIL.Image")
    for name in ("red", "blue"):
        (own_folder / "pictures" / name).mkdir(parents=True)
        for i in range(24):
            pixels = draw.integers(0, 255, (12, 14, 3)).astype("uint8")
            pixels[..., 0 if name == "red" else 2] = 250
            pictures.fromarray(pixels).save(own_folder / "pictures" / name / f"{i}.png")
    return {"table": str(table), "images": str(own_folder / "pictures")}


def eject(*overrides: str, out: str = "mine.py", more: tuple[str, ...] = ()) -> tuple[int, str]:
    """(exit code, the written file's text)."""
    code = cli.main(["eject", *overrides, "trainer=cpu", "--out", out, *more])
    return code, Path(out).read_text(encoding="utf-8")


def check_the_file(text: str, data_lines: int) -> None:
    """Plain imports, short, clean."""
    tops = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            tops |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            tops.add((node.module or "").partition(".")[0])
    assert not tops & {"stepkit", "lightning", "pytorch_lightning", "lightning_fabric", "hydra", "omegaconf", ""}
    assert text.count("\n") - data_lines <= 200
    assert "MIT-0" in text and "type: ignore" not in text
    ruff = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "E,F", "--line-length", "120", "-"]
    done = subprocess.run(ruff, input=text, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def run_alone(text: str, folder: Path) -> str:
    """The file's output as a script of one epoch, where stepkit, Lightning and Hydra cannot be imported."""
    file = folder / "shorter.py"
    file.write_text(re.sub(r"^EPOCHS = \d+", "EPOCHS = 1", text, flags=re.M), encoding="utf-8")
    refused = ("stepkit", "pytorch_lightning", "lightning", "hydra", "omegaconf")
    code = (
        f"import runpy, sys\nfor name in {refused}: sys.modules[name] = None\n"
        f"runpy.run_path({str(file)!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


BUILT_IN = {
    "digits": [],
    "digits_convnet": ["model.channels=[4,8]"],
    "diabetes": [],
    "text": SHORT,
    "table": ["data.target=ill"],
    "images": ["data.size=8", "data.batch_size=10", "model.channels=[4]"],
}


@pytest.mark.parametrize("name", BUILT_IN)
def test_each_built_in_experiment_is_written_plain_and_trains_equal(
    name: str, places: dict[str, str], own_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = [f"data.path={places[name]}"] if name in places else []
    code, text = eject(f"experiment={name}", *path, *BUILT_IN[name], more=("--json",))
    seen = json.loads(capsys.readouterr().out)
    assert code == 0 and seen["equal"] and seen["tensors"] > 0
    assert seen["lines"] == text.count("\n")
    check_the_file(text, seen["data_lines"])
    output = run_alone(text, own_folder)
    assert re.search(r"^epoch 1  loss/train \d+\.\d{4}  loss/val \d", output) and "loss/test" in output
    assert not (own_folder / "outputs").exists()


# What is configured, with what must stand in the file for it.
VARIANTS = {
    "accumulation": (["step.accumulate=3"], "(loss / 3).backward()"),
    "clipped norm": (["step.clip=0.3"], "nn.utils.clip_grad_norm_(model.parameters(), 0.3)"),
    "clipped values": (["step.clip=0.01", "step.clip_by=value"], "nn.utils.clip_grad_value_(model.parameters(), 0.01)"),
    "one cycle": (["scheduler=one_cycle"], "OneCycleLR(optimizer, total_steps=120, max_lr=0.003)"),
    "a scheduler an epoch": (["scheduler=step", "scheduler.step_size=1"], "StepLR(optimizer, step_size=1)"),
    "warm-up": (["scheduler=warmup_cosine"], "class WarmupCosine(LRScheduler):"),
    "plateau": (
        ["scheduler=reduce_lr_on_plateau", "scheduler.patience=0", "scheduler.threshold=0.9"],
        'scheduler.step(val["loss"])',
    ),
    "plateau of a metric": (
        ["scheduler=reduce_lr_on_plateau", "scheduler.patience=0", "monitor.metric=accuracy/val"],
        'scheduler.step(val["accuracy"])',
    ),
    "bf16": (["trainer.precision=bf16-mixed"], "torch.autocast(DEVICE, torch.bfloat16, cache_enabled=False)"),
    "float64": (["trainer.precision=64-true"], ".to(DEVICE, torch.float64)"),
    "sgd": (["optimizer=sgd", "optimizer.lr=0.1", "optimizer.momentum=0.9"], "torch.optim.SGD("),
    "lbfgs": (["optimizer=lbfgs", "data.batch_size=400"], "optimizer.step(closure)"),
    "lbfgs clipped": (["optimizer=lbfgs", "data.batch_size=400", "step.clip=0.5"], "def closure("),
    "muon": (["optimizer=muon", "step.clip=0.5"], "class Muon(torch.optim.Optimizer):"),
    "decay of matrices": (["step.decay=matrices", "step.clip=0.5"], '"weight_decay": 0.0}]'),
    "skipped steps": (["step.nonfinite=skip"], "if not (norm.isfinite() and loss.isfinite()):"),
    "batch norm": (["model.normalization=batch"], 'normalization="batch"'),
    "another seed": (["seed=7", "data.split_seed=3"], "SEED = 7"),
    "part of an epoch": (["trainer.limit_train_batches=5", "step.accumulate=3"], "itertools.islice("),
    "a number of steps": (["trainer.max_epochs=-1", "trainer.max_steps=50"], "max_steps=STEPS"),
    "validation now and then": (["trainer.check_val_every_n_epoch=2"], "if (epoch + 1) % 2 == 0:"),
    "everything": (
        ["step.accumulate=3", "step.clip=0.3", "scheduler=one_cycle", "trainer.precision=bf16-mixed"],
        "if number % 3 and number < BATCHES:",
    ),
    "an onlooker": (["callback=learning_rate_monitor"], "learning_rate_monitor"),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_what_is_configured_is_written_out_and_trains_equal(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    overrides, line = VARIANTS[name]
    short = ["trainer.max_epochs=3"] if "trainer.max_epochs=-1" not in overrides else []
    code, text = eject(*short, *overrides, more=("--json",))
    seen = json.loads(capsys.readouterr().out)
    assert code == 0 and seen["equal"]
    assert line in text
    check_the_file(text, seen["data_lines"])


def test_by_default_it_compares_past_an_epochs_end_and_an_incomplete_window(capsys: pytest.CaptureFixture[str]) -> None:
    code, text = eject("step.accumulate=3", "scheduler=one_cycle")
    assert code == 0
    assert "BATCHES = 40" in text  # 13 windows of three, and one of a single batch
    assert "after 45 steps" in capsys.readouterr().out  # three epochs of 14 steps, and 3 more


def test_a_third_partys_loss_is_imported_from_its_package(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(FOCAL))
    Path("conf").mkdir()
    Path("conf/config.yaml").write_text("trusted: [stepkit_focal_loss]\n")
    code, text = eject("loss._target_=stepkit_focal_loss.FocalLoss", "+loss.gamma=3.0")
    assert code == 0, capsys.readouterr()
    assert "from stepkit_focal_loss import FocalLoss" in text and "loss_fn = FocalLoss(gamma=3.0)" in text
    assert "class FocalLoss" not in text


def test_a_strangers_data_that_imports_stepkit_is_copied_and_keeps_its_licence(
    own_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (own_folder / "conf").mkdir()
    (own_folder / "conf" / "config.yaml").write_text("trusted: [strangers_waves]\n")
    (own_folder / "strangers_waves.py").write_text(WAVES)
    monkeypatch.syspath_prepend(str(own_folder))
    code, text = eject("experiment=null", "data._target_=strangers_waves.Waves", "+data.n=70", "trainer.max_epochs=3")
    assert code == 0, capsys.readouterr()
    assert "class Waves" in text and "copied from strangers_waves stays under its own licence" in text
    assert "def restore" not in text and "DataSpec" not in text
    run_alone(text, own_folder)


WAVES = """
import torch
from stepkit import DataSpec, Standardize, split
from stepkit.errors import WrongData

CHUNK = 3  # also the name of a constant of stepkit's


class Waves:
    def __init__(self, n: int = 60):
        self.n = n
        self.spec = DataSpec("regression", in_features=CHUNK, out_features=1)

    def setup(self, seed, fold=None, folds=None):
        if self.n < 10:
            raise WrongData("too few")
        x = torch.linspace(0, 9, self.n * CHUNK).view(-1, CHUNK).sin()
        y = x.sum(1, keepdim=True)
        parts = split(self.n, seed)
        x = Standardize().fit(x[parts.train])(x)
        self.train, self.val, self.test = ((x[rows], y[rows]) for rows in parts)

    def restore(self, output):
        return output.flatten().tolist()
"""


def test_a_secret_of_the_environment_stays_there(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (own_folder / "novel.txt").write_text("a long story about very little. " * 200)
    monkeypatch.setenv("NOVEL", "novel.txt")
    code, text = eject("experiment=text", "data.path=${oc.env:NOVEL}", *SHORT, "data.context_length=8")
    assert code == 0
    assert 'path=environ["NOVEL"]' in text and "novel.txt" not in text


def test_the_file_prints_the_very_metrics_of_stepkits_own_run(
    own_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = ["trainer.max_epochs=2", "trainer=cpu", "logger=null"]
    assert cli.main(overrides) == 0
    (record,) = (json.loads(path.read_text()) for path in own_folder.glob("outputs/*/*/run.json"))
    _, text = eject("trainer.max_epochs=2")
    (own_folder / "whole.py").write_text(text)
    done = subprocess.run([sys.executable, "whole.py"], capture_output=True, text=True, cwd=own_folder)
    last = done.stdout.splitlines()[-1]
    for name in ("loss/test", "accuracy/test"):
        assert f"{name} {record['metrics'][name]:.4f}" in last, (done.stdout, done.stderr)


# A line of the loop, broken on purpose.
SABOTAGE = {
    "no zero_grad": ("optimizer.zero_grad()", "pass"),
    "no division": ("(loss / 3).backward()", "loss.backward()"),
    "no last window": ("if number % 3 and number < BATCHES:", "if number % 3:"),
    "no clipping": ("nn.utils.clip_grad_norm_(model.parameters(), 0.3)", "pass"),
    "another clip": ("clip_grad_norm_(model.parameters(), 0.3)", "clip_grad_norm_(model.parameters(), 0.3000001)"),
    "no scheduler step": ("scheduler.step()", "pass"),
    "another order": ("repr(numbers)", "str(numbers[::-1])"),
    "evaluation mode": ("model.train()", "pass"),
    "another seed": ("torch.manual_seed(SEED)", "torch.manual_seed(SEED + 1)"),
}


def test_a_sabotaged_file_is_told_with_the_first_parameter_that_differs(capsys: pytest.CaptureFixture[str]) -> None:
    overrides = ["step.accumulate=3", "step.clip=0.3", "scheduler=one_cycle", "trainer.max_epochs=3", "trainer=cpu"]
    _, text = eject(*overrides)
    own = by_stepkit(overrides, 20)
    assert compare(own, by_file(Path("mine.py"), 20)).equal
    for name, (line, broken) in SABOTAGE.items():
        assert line in text, name
        Path("broken.py").write_text(text.replace(line, broken))
        verdict = compare(own, by_file(Path("broken.py"), 20))
        assert verdict.different is not None and verdict.largest > 0, name
    capsys.readouterr()
    assert cli.main(["eject", *overrides, "--check", "broken.py", "--steps", "20"]) == 1
    told = capsys.readouterr().out
    assert re.search(r"network\.layers\.0\.weight \[128, 64\] differs by up to \S+: the file is not the same", told)


def test_a_training_that_moves_nothing_proves_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    code, _ = eject("optimizer=sgd", "optimizer.lr=0.0", "trainer.max_epochs=1")
    assert code == 1
    assert "no parameter has moved: that proves nothing" in capsys.readouterr().out


def test_a_file_that_does_not_run_is_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    eject("trainer.max_epochs=1")
    Path("broken.py").write_text(Path("mine.py").read_text().replace("loss.backward()", "los.backward()"))
    capsys.readouterr()
    assert cli.main(["eject", "trainer.max_epochs=1", "trainer=cpu", "--check", "broken.py"]) == 1
    assert "broken.py: does not run: NameError: name 'los' is not defined" in capsys.readouterr().err


class OwnStep(Step):
    def __init__(self) -> None:
        super().__init__(nn.Linear(64, 10))

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return super().training_step(batch, batch_idx) * 2


class Loaded:
    """Data with a loader of its own."""

    spec = DataSpec("regression", in_features=2, out_features=1)

    def setup(self, seed: int, fold: int | None = None, folds: int | None = None) -> None:
        self.train = [(torch.ones(4, 2), torch.ones(4, 1))] * 3


REFUSALS = {
    "a callback that ends": (["callback=early_stopping"], "callback.early_stopping: changes or ends the training"),
    "averaged weights": (["callback=ema"], "callback.ema: changes or ends the training"),
    "several processes": (["trainer=ddp_cpu"], "trainer: 2 processes cannot be written as one plain loop"),
    "a time limit": (["+trainer.max_time='00:00:01:00'"], "trainer.max_time=00:00:01:00: eject cannot write it"),
    "validation inside": (["+trainer.val_check_interval=0.5"], "trainer.val_check_interval=0.5: eject cannot write it"),
    "lbfgs that skips": (
        ["optimizer=lbfgs", "step.nonfinite=skip"],
        "step.nonfinite=skip: LBFGS evaluates the loss itself",
    ),
    "not a Python file": (["--out", "mine.txt"], "mine.txt: a Python file is written"),
    "a name that hides": (["--out", "random.py"], "random.py: would hide the module 'random'"),
    "no steps": (["--steps", "0"], "--steps=0: give 1 or more"),
    "no such file": (["--check", "mine.py"], "mine.py: no such file"),
    "too long": (["experiment=text", "optimizer=muon", *SHORT], "lines beside the data's own source, more than 200"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_cannot_be_written_is_refused_in_one_line(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    overrides, told = REFUSALS[name]
    default = [] if any("trainer=" in text for text in overrides) else ["trainer=cpu"]
    assert_refused(["eject", *default, *overrides], told, capsys)


def assert_refused(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(Path().iterdir())
    assert cli.main(arguments) == 2
    out, err = capsys.readouterr()
    assert told in err and err.count("\n") == 1 and not out
    assert sorted(Path().iterdir()) == before


def test_a_class_handed_over_in_python_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    name = plugins.hand_over("model", nn.Linear)
    typed = [f"model={name}", "model.in_features=64", "model.out_features=10", "trainer=cpu"]
    assert_refused(["eject", *typed], "model: Linear was handed over in Python", capsys)


@pytest.mark.parametrize(
    ("cls", "more", "told"),
    [
        (OwnStep, [], "model OwnStep is a Step, which needs stepkit"),
        (Loaded, ["experiment=null", "metric=null"], ".train is a loader of the data's own (list)"),
    ],
)
def test_what_only_stepkit_can_run_is_refused(
    cls: type, more: list[str], told: str, own_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trust_this_module(own_folder)
    group = "model" if issubclass(cls, Step) else "data"
    assert_refused(["eject", f"{group}._target_={__name__}.{cls.__name__}", "trainer=cpu", *more], told, capsys)


def test_a_lightning_module_of_its_own_is_refused(own_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trust_this_module(own_folder)
    overrides = ["model._target_=pytorch_lightning.demos.boring_classes.BoringModel", "loss=null", "optimizer=null"]
    (own_folder / "conf" / "config.yaml").write_text("trusted: [pytorch_lightning.demos]\n")
    assert_refused(
        ["eject", *overrides, "metric=null", "trainer=cpu"], "model BoringModel is a LightningModule", capsys
    )


def test_a_file_that_is_there_is_not_overwritten(capsys: pytest.CaptureFixture[str]) -> None:
    Path("digits.py").write_text("mine\n")
    assert_refused(["eject", "trainer=cpu"], "digits.py: there is one already", capsys)
    assert Path("digits.py").read_text() == "mine\n"


def trust_this_module(folder: Path) -> None:
    (folder / "conf").mkdir()
    (folder / "conf" / "config.yaml").write_text(f"trusted: [{__name__.rpartition('.')[0] or __name__}]\n")
