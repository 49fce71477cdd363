"""`stepkit check`: a planted fault is found by the check it belongs to and by no other; nothing good is called bad."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image
from pytorch_lightning import LightningDataModule, LightningModule
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, TensorDataset

import stepkit as sk
from stepkit import plugins
from stepkit.build import build
from stepkit.cli import main
from stepkit.config.prepare import prepare
from stepkit.proof.check.result import Check
from stepkit.proof.check.run import check, look
from stepkit.proof.check.subject import Subject

DATA, SEED, CHANCE, MIXING = "data", "same seed, same loss", "loss at initialisation", "samples are independent"
MODES, MOVE, LEARNT = "train and eval mode agree", "parameters move", "a few samples are learnt"
VAL, TEST, MONITOR, CHECKPOINT = "validation runs", "test runs", "monitor is logged", "checkpoint round trip"
ALL = (DATA, SEED, CHANCE, MIXING, MODES, MOVE, LEARNT, VAL, TEST, MONITOR, CHECKPOINT)


def typed(*overrides: str, **parts: Callable[..., Any]) -> list[str]:
    return [*overrides, *(f"{group}={plugins.hand_over(group, part)}" for group, part in parts.items())]


def checked(*overrides: str, **parts: Callable[..., Any]) -> dict[str, Check]:
    checks, _ = check(prepare(typed(*overrides, **parts)))
    assert tuple(one.name for one in checks) == ALL
    return {one.name: one for one in checks}


def failed(checks: dict[str, Check]) -> list[str]:
    return [name for name, one in checks.items() if one.held is False]


def not_judged(checks: dict[str, Check]) -> list[str]:
    return [name for name, one in checks.items() if one.held is None]


def told(one: Check) -> str:
    return f"{one.saw} | {one.means}"


# -- good experiments -------------------------------------------------------------------------------------------


def table(folder: Path) -> list[str]:
    draw = random.Random(0)
    rows = [(draw.random(), draw.gauss(0, 5), draw.choice("xyz")) for _ in range(200)]
    price = [100 + 3 * a + b + "xyz".index(kind) for a, b, kind in rows]
    columns = dict(zip(("size", "slope", "kind"), map(list, zip(*rows, strict=True)), strict=True))
    pl.DataFrame({**columns, "price": price}).write_csv(folder / "houses.csv")
    return ["experiment=table", f"data.path={folder / 'houses.csv'}", "data.target=price"]


def images(folder: Path) -> list[str]:
    for name, colour in (("blue", (30, 30, 200)), ("red", (200, 30, 30))):
        (folder / "pictures" / name).mkdir(parents=True)
        for number in range(30):
            pixels = np.random.default_rng(number).normal(colour, 25, (20, 20, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / "pictures" / name / f"{number}.png")
    return ["experiment=images", f"data.path={folder / 'pictures'}", "data.size=16"]


def named(experiment: str) -> Callable[[Path], list[str]]:
    return lambda folder: [f"experiment={experiment}"]


EXPERIMENTS = {name: named(name) for name in ("digits", "digits_convnet", "diabetes", "text")}
EXPERIMENTS |= {"table": table, "images": images}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_check_holds_for_the_built_in_experiments(experiment: str, seed: int, tmp_path: Path) -> None:
    checks = checked(*EXPERIMENTS[experiment](tmp_path), f"seed={seed}")
    assert [name for name, one in checks.items() if one.held is not True] == []


@pytest.mark.parametrize(
    "overrides",
    [
        ["experiment=diabetes", "model=linear"],
        ["optimizer=lbfgs"],
        ["optimizer=sgd"],
        ["optimizer.lr=1e-6"],
        ["trainer.precision=bf16-mixed"],
        ["model.normalization=batch", "model.dropout=0.5", "step.accumulate=4", "step.clip=1.0"],
        ["loss.label_smoothing=0.1"],
        ["experiment=diabetes", "loss=huber"],
        ["scheduler=one_cycle"],
        ["callback=early_stopping"],
        ["data.standardize=false"],
        ["monitor.metric=accuracy/val"],
        ["data.batch_size=1"],
    ],
    ids=" ".join,
)
def test_no_check_fails_for_what_people_configure(overrides: list[str]) -> None:
    assert failed(checked(*overrides)) == []


class Net(nn.Module):
    """Two layers; the good model that each fault below is planted into."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(in_features, 32), nn.Linear(32, out_features)

    def hidden(self, x: Tensor) -> Tensor:
        return self.body(x).relu()

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.hidden(x))


class OwnDropout(Net):
    def hidden(self, x: Tensor) -> Tensor:
        return F.dropout(super().hidden(x), 0.3, self.training)


class OwnBatchNorm(Net):
    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features)
        self.norm = type("Norm", (nn.BatchNorm1d,), {})(in_features)

    def hidden(self, x: Tensor) -> Tensor:
        return super().hidden(self.norm(x))


class ZeroStart(Net):
    """The head starts at zero, so that the body gets no gradient in the first step; a part is frozen."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features)
        nn.init.zeros_(self.head.weight)
        self.first = nn.Linear(in_features, in_features).requires_grad_(False)

    def hidden(self, x: Tensor) -> Tensor:
        return super().hidden(self.first(x))


class Recurrent(nn.Module):
    """Rows of the image as a sequence; dropout is an option of torch's own layer."""

    def __init__(self, out_features: int) -> None:
        super().__init__()
        self.cell, self.head = nn.LSTM(8, 16, num_layers=2, dropout=0.4, batch_first=True), nn.Linear(16, out_features)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.cell(x.reshape(-1, 8, 8))[0][:, -1])


class Attending(nn.Module):
    """torch's encoder layer, which takes a quicker way in eval mode."""

    def __init__(self, out_features: int) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True)
        self.head = nn.Linear(64, out_features)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(x.reshape(-1, 8, 8)).flatten(1))


class InPlace(Net):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.mul_(0.5))


class NoisyStep(sk.Step):
    def __init__(self, in_features: int, num_classes: int) -> None:
        super().__init__(Net(in_features, num_classes))

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        x, y = batch
        return self.compare(self(x + 0.01 * torch.randn_like(x)), y)


GOOD = [Net, OwnDropout, OwnBatchNorm, ZeroStart, Recurrent, Attending, InPlace, NoisyStep]


@pytest.mark.parametrize("model", GOOD)
def test_no_check_fails_for_a_good_model(model: type[nn.Module]) -> None:
    checks = checked("seed=3", model=model)
    assert failed(checks) == [] and set(not_judged(checks)) <= {CHANCE}


def test_what_differs_in_training_as_it_should_is_told() -> None:
    assert "draws random numbers of its own" in checked(model=OwnDropout)[MODES].means
    batch_norm = checked(model=OwnBatchNorm)
    assert (
        "1 Norm" in batch_norm[MODES].means
        and "Norm looks at the whole batch, as it is meant to" in batch_norm[MIXING].means
    )
    assert "1 Dropout" in checked()[MODES].means
    assert "1 LSTM" in checked(model=Recurrent)[MODES].means
    assert "1 frozen" not in checked()[MOVE].saw and "2 frozen" in checked(model=ZeroStart)[MOVE].saw


class Foreign(LightningModule):
    """Brings its own loss and optimizer; logs under its own names."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.net = Net(in_features, out_features)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss = F.cross_entropy(self(batch[0]), batch[1])
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_loss", F.cross_entropy(self(batch[0]), batch[1]))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=1e-2)


FOREIGN = ("loss=null", "optimizer=null", "metric=null")


def test_a_foreign_lightning_module_is_checked_as_far_as_it_can_be() -> None:
    checks = checked(*FOREIGN, "monitor.metric=val_loss", model=Foreign)
    assert failed(checks) == []
    assert not_judged(checks) == [CHANCE, TEST]
    assert "has no test_step" in checks[TEST].saw


class TrainerBound(Foreign):
    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        weight = 1 + 0 * self.trainer.current_epoch
        return weight * F.cross_entropy(self(batch[0]), batch[1])


def test_a_module_that_needs_its_trainer_is_trained_by_it_and_else_not_judged() -> None:
    checks = checked(*FOREIGN, "monitor.metric=val_loss", model=TrainerBound)
    assert failed(checks) == [] and checks[MOVE].held and checks[LEARNT].held
    assert "needs its trainer" in checks[SEED].saw


class ByItself(Foreign):
    """Manual optimization."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features)
        self.automatic_optimization = False

    def training_step(self, batch: Any, batch_idx: int) -> None:
        optimizer: Any = self.optimizers()
        optimizer.zero_grad()
        self.manual_backward(F.cross_entropy(self(batch[0]), batch[1]))
        optimizer.step()


def test_manual_optimization_is_not_called_a_fault() -> None:
    quiet = ("step.clip=null", *FOREIGN, "monitor.metric=val_loss")
    checks = checked(*quiet, model=ByItself)
    assert failed(checks) == [] and checks[MOVE].held


# -- planted faults: the model ----------------------------------------------------------------------------------


class MixesByMean(Net):
    def hidden(self, x: Tensor) -> Tensor:
        return super().hidden(x - x.mean(0))


class MixesBySoftmax(Net):
    def hidden(self, x: Tensor) -> Tensor:
        return 8 * super().hidden(x).softmax(0)


class MixesDetached(Net):
    """No gradient shows it."""

    def hidden(self, x: Tensor) -> Tensor:
        return super().hidden(x) - super().hidden(x).mean(0).detach()


class Centre(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x - 0.1 * x.roll(1, 0)


class MixesInAPart(Net):
    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features)
        self.centre = Centre()

    def hidden(self, x: Tensor) -> Tensor:
        return super().hidden(self.centre(x))


class OutsideTheGraph(Net):
    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features)
        self.forgotten = nn.Linear(in_features, 3)


class TimesZero(Net):
    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features)
        self.gate = nn.Parameter(torch.ones(()))

    def hidden(self, x: Tensor) -> Tensor:
        return super().hidden(x) + 0 * self.gate


class HugeAtInit(Net):
    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features)
        nn.init.normal_(self.head.weight, std=20)


class EndsInSoftmax(Net):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).softmax(1)


class Blind(Net):
    """Learns how frequent the classes are, from no input."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(torch.ones_like(x))


class OtherWayInTraining(Net):
    def hidden(self, x: Tensor) -> Tensor:
        return super().hidden(x) * (1.0 if self.training else 0.5)


class Halved(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if self.training else x / 2


class OtherWayInAPart(Net):
    """Beside a dropout, which is no excuse."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features)
        self.dropout, self.halved = nn.Dropout(0.2), Halved()

    def hidden(self, x: Tensor) -> Tensor:
        return self.dropout(self.halved(super().hidden(x)))


class Unseeded(Net):
    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features)
        drawn = np.random.default_rng().normal(0, 0.1, self.head.weight.shape)
        self.head.weight.data = torch.tensor(drawn, dtype=torch.float32)


class OutsideStateDict(Net):
    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features)
        self.basis = torch.randn(in_features, in_features) / in_features**0.5  # no buffer

    def hidden(self, x: Tensor) -> Tensor:
        return super().hidden(x @ self.basis)


class CountsOutside(Net):
    """What training changes in a plain attribute is lost as well."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features)
        self.largest = 1.0

    def hidden(self, x: Tensor) -> Tensor:
        if x.requires_grad or torch.is_grad_enabled():
            self.largest = max(self.largest, float(x.detach().abs().max()))
        return super().hidden(x / self.largest)


MODELS = [
    (MixesByMean, MIXING, "forward mixes the samples.*dim 0"),
    (MixesBySoftmax, MIXING, "gradient of sample 0's output is .* at sample .*softmax"),
    (MixesDetached, MIXING, "moves by .* when only other samples' inputs change"),
    (MixesInAPart, MIXING, r"centre \(Centre\) mixes"),
    (OutsideTheGraph, MOVE, r"4 of 6.*forgotten.weight, forgotten.bias get no gradient"),
    (TimesZero, MOVE, "gate get a gradient of exactly 0"),
    (HugeAtInit, CHANCE, "guessing gives ln 10 = 2.3.*scores' std"),
    (EndsInSoftmax, CHANCE, "drop the softmax"),
    (Blind, LEARNT, "same whatever its input"),
    (OtherWayInTraining, MODES, r"no dropout.*forward asks self.training"),
    (OtherWayInAPart, MODES, r"halved \(Halved\) asks self.training"),
    (Unseeded, SEED, "head.weight differ.*no seed sets"),
    (OutsideStateDict, CHECKPOINT, "predictions differ by .*register_buffer"),
    (CountsOutside, CHECKPOINT, "predictions differ by .*outside its state_dict"),
]


@pytest.mark.parametrize(("model", "which", "said"), MODELS, ids=[model.__name__ for model, _, _ in MODELS])
def test_a_fault_in_the_model_fails_the_check_it_belongs_to_and_no_other(
    model: type[Net], which: str, said: str
) -> None:
    for seed in range(2):
        checks = checked(f"seed={seed}", model=model)
        assert failed(checks) == [which]
        assert_said(checks[which], said)


def assert_said(one: Check, said: str) -> None:
    assert re.search(said, told(one)), told(one)


class MixesTokens(nn.Module):
    """Tokens have no gradient of their own."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.token, self.head = nn.Embedding(vocab_size, 64), nn.Linear(64, vocab_size)

    def forward(self, x: Tensor) -> Tensor:
        h = self.token(x)
        return self.head(h + h.mean(0))


def test_mixing_is_seen_among_tokens() -> None:
    checks = checked("experiment=null", "data=text", model=MixesTokens)
    assert failed(checks) == [MIXING]
    assert_said(checks[MIXING], "only other samples' inputs change")


class MixesInTraining(Net):
    def hidden(self, x: Tensor) -> Tensor:
        return super().hidden(x - x.mean(0) if self.training else x)


def test_mixing_in_training_alone_is_no_batch_norm() -> None:
    checks = checked(model=MixesInTraining)
    assert failed(checks) == [MIXING, MODES]
    assert_said(checks[MIXING], "in training .* it is no BatchNorm")


class NoisyOutside(Net):
    """Random numbers of its own at every call: nothing can be compared."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features)
        self.rng = np.random.default_rng()

    def hidden(self, x: Tensor) -> Tensor:
        return super().hidden(x + torch.tensor(self.rng.normal(0, 0.1, x.shape), dtype=x.dtype))


def test_what_cannot_be_compared_is_not_judged() -> None:
    checks = checked(model=NoisyOutside)
    assert failed(checks) == [SEED]
    assert {MIXING, MODES, CHECKPOINT} <= set(not_judged(checks))


# -- planted faults: the step -----------------------------------------------------------------------------------


class ValidationRaises(sk.Step):
    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(Net(in_features, out_features))

    def validation_step(self, batch: Any, batch_idx: int) -> Tensor:
        raise KeyError("no such column")


class TestRaises(ValidationRaises):
    __test__ = False

    def validation_step(self, batch: Any, batch_idx: int) -> Tensor:
        return sk.Step.validation_step(self, batch, batch_idx)

    def test_step(self, batch: Any, batch_idx: int) -> Tensor:
        raise RuntimeError("a shape that does not fit")


class LogsAnotherName(ValidationRaises):
    def validation_step(self, batch: Any, batch_idx: int) -> Tensor:
        return sk.Step.validation_step(self, batch, batch_idx)

    def on_validation_epoch_end(self) -> None:
        self.log("val_loss", 1.0)


class NotANumber(LogsAnotherName):
    def on_validation_epoch_end(self) -> None:
        self.log("loss/val", float("nan"))


STEPS = [
    (ValidationRaises, VAL, "validation_step raised KeyError: 'no such column'", [MONITOR]),
    (TestRaises, TEST, "test_step raised RuntimeError: a shape", []),
    (LogsAnotherName, MONITOR, "logged: val_loss.*nothing logs monitor.metric=loss/val", []),
    (NotANumber, VAL, "loss/val is not a finite number", []),
]


@pytest.mark.parametrize(("model", "which", "said", "untold"), STEPS, ids=[row[0].__name__ for row in STEPS])
def test_a_fault_in_evaluation_is_found(model: type[sk.Step], which: str, said: str, untold: list[str]) -> None:
    checks = checked(model=model)
    assert failed(checks) == [which] and not_judged(checks) == untold
    assert_said(checks[which], said)


def test_a_monitor_that_nothing_logs_is_found_in_a_foreign_module_and_in_a_callback() -> None:
    foreign = checked(*FOREIGN, model=Foreign)
    assert failed(foreign) == [MONITOR]
    assert_said(foreign[MONITOR], "logged: .*val_loss.*nothing logs monitor.metric=loss/val")
    callback = checked("callback=early_stopping", "callback.early_stopping.monitor=f1/val")
    assert failed(callback) == [MONITOR]
    assert_said(callback[MONITOR], "monitor of EarlyStopping=f1/val")


class HoldsHalf(torch.optim.SGD):
    """Forgets the last parameters."""

    def __init__(self, params: Any, lr: float = 0.1) -> None:
        groups = [{**group, "params": group["params"][:2]} for group in params]
        super().__init__(groups, lr=lr)


def test_a_parameter_that_the_optimizer_forgets_is_named() -> None:
    checks = checked("experiment=null", "data=digits", model=Net, optimizer=HoldsHalf)
    assert failed(checks) == [MOVE]
    assert_said(checks[MOVE], "head.weight, head.bias get a gradient but do not move")


def test_an_optimizer_that_makes_it_worse_is_told_with_its_cure() -> None:
    checks = checked("optimizer.lr=100")
    assert failed(checks) == [LEARNT]
    assert_said(checks[LEARNT], "lower optimizer.lr")


def test_a_learning_rate_that_ends_in_nan_is_told_and_nothing_is_saved_of_it() -> None:
    checks = checked("optimizer=sgd", "optimizer.lr=1e30")
    assert failed(checks) == [MOVE, LEARNT] and not_judged(checks) == [CHECKPOINT]
    assert_said(checks[MOVE], "step [0-9]+: .* not finite.*smaller optimizer.lr")


def test_nll_without_log_probabilities_is_found() -> None:
    checks = checked("loss=nll", model=Net)
    assert CHANCE in failed(checks)
    assert_said(checks[CHANCE], "log_softmax")


# -- planted faults: the data -----------------------------------------------------------------------------------


class Numbers:
    """A regression in memory: y follows x. Each fault changes one thing of it."""

    def setup(self, seed: int, fold: int | None = None, folds: int | None = None) -> None:
        draw = torch.Generator().manual_seed(seed)
        x = torch.randn(200, 5, generator=draw)
        y = x[:, :1] + 0.3 * torch.randn(200, 1, generator=draw)
        self.spec = sk.DataSpec("regression", in_features=5, out_features=1)
        self.train, self.val, self.test = ((x[a:b], y[a:b]) for a, b in ((0, 120), (120, 160), (160, 200)))
        self.plant()

    def plant(self) -> None:
        """Nothing wrong here."""


class NaNInputs(Numbers):
    def plant(self) -> None:
        self.train[0][7, 2] = float("nan")


class NaNInVal(Numbers):
    def plant(self) -> None:
        self.val[0][3] = float("inf")


class NaNTargets(Numbers):
    def plant(self) -> None:
        self.train[1][[5, 9]] = float("nan")


class NotCentred(Numbers):
    def plant(self) -> None:
        self.train = self.train[0], self.train[1] + 150


class NoAccordance(Numbers):
    """The same x for all: nothing tells the targets apart."""

    def plant(self) -> None:
        self.train = torch.ones_like(self.train[0]), self.train[1]


class DrawsUnseeded(Numbers):
    def plant(self) -> None:
        rows = torch.tensor(np.random.default_rng().permutation(120))
        self.train = self.train[0][rows], self.train[1][rows]


class StateOfObjects(Numbers):
    def state_dict(self) -> dict[str, Any]:
        return {"folder": Path("here")}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.folder = state["folder"]


class StateUnread(Numbers):
    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.mean = state["mean"]


WAYS = [
    (NaNInputs, DATA, "x of train is NaN or Inf in sample 7"),
    (NaNInVal, DATA, "x of val is NaN or Inf in sample 3"),
    (NaNTargets, DATA, "y of train is NaN or Inf in sample 5, 9"),
    (NotCentred, CHANCE, "the targets' mean 150 is far from 0"),
    (NoAccordance, LEARNT, "cannot be learnt by heart"),
    (DrawsUnseeded, SEED, "first batch differs when the data is built again"),
    (StateOfObjects, CHECKPOINT, "torch.load refused it"),
    (StateUnread, CHECKPOINT, "load_state_dict of data StateUnread raised KeyError"),
]
REGRESSION = ("experiment=null", "model=mlp", "optimizer.lr=3e-3")


def test_the_data_that_faults_are_planted_into_is_good() -> None:
    checks = checked(*REGRESSION, data=Numbers)
    assert failed(checks) == [] and not_judged(checks) == []


@pytest.mark.parametrize(("data", "which", "said"), WAYS, ids=[data.__name__ for data, _, _ in WAYS])
def test_a_fault_in_the_data_fails_the_check_it_belongs_to_and_no_other(
    data: type[Numbers], which: str, said: str
) -> None:
    checks = checked(*REGRESSION, data=data)
    assert failed(checks) == [which]
    assert_said(checks[which], said)


class OutOfRange(nn.Module):
    """Probabilities against targets that are none."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.layer = nn.Linear(in_features, out_features)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x).sigmoid() + 2


def test_an_output_that_cannot_reach_its_targets_is_found() -> None:
    checks = checked(*REGRESSION[::2], data=Numbers, model=OutOfRange)
    assert LEARNT in failed(checks) and MIXING not in failed(checks)
    assert_said(checks[LEARNT], "a target out of the output's range")


class Items(Dataset[Any]):
    """A torch Dataset whose items are numbered images with NaN in one."""

    spec = sk.DataSpec("regression", in_features=4, out_features=1)

    def __len__(self) -> int:
        return 100

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        x = torch.sin(torch.arange(4) * (i + 1.0))
        return (x * float("nan") if i % 10 == 0 else x), x[:1]


class Module(LightningDataModule):
    spec = sk.DataSpec("classification", in_features=6, num_classes=3)

    def train_dataloader(self) -> DataLoader[Any]:
        draw = torch.Generator().manual_seed(0)
        x = torch.randn(90, 6, generator=draw)
        return DataLoader(TensorDataset(x, x[:, :3].argmax(1)), batch_size=16, shuffle=True)


def test_other_peoples_data_is_looked_at_too() -> None:
    dataset = checked(*REGRESSION, data=Items)
    assert failed(dataset) == [DATA] and {CHANCE, MOVE, LEARNT} <= set(not_judged(dataset))
    module = checked(*REGRESSION, data=Module)
    assert failed(module) == [] and set(not_judged(module)) == {VAL, TEST, MONITOR}


class RawGrey(Numbers):
    def plant(self) -> None:
        self.train = (self.train[0] * 40 + 500, self.train[1])


def test_inputs_that_were_never_scaled_are_a_hint_not_a_fault() -> None:
    checks = checked(*REGRESSION, data=RawGrey)
    assert checks[DATA].held and "hint: x is far from 0 against its spread" in checks[DATA].means


# -- the command ------------------------------------------------------------------------------------------------


class Flat(nn.Module):
    """Predictions [N] against targets [N, 1]."""

    def __init__(self, in_features: int) -> None:
        super().__init__()
        self.layer = nn.Linear(in_features, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x).squeeze(1)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (
            typed("experiment=null", data=Numbers, model=Flat),
            r"predictions [32] against targets [32, 1] would broadcast",
        ),
        (["monitor.metric=acuracy/val"], "nothing logs it; did you mean 'accuracy/val'?"),
        (["data.batch_size=5000"], "larger than the training split"),
        (["optimizer=adamx"], "no optimizer 'adamx'"),
    ],
)
def test_what_training_refuses_is_refused_with_the_same_words_and_exit_code(
    overrides: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", *overrides]) == 2
    refused = capsys.readouterr().err
    assert said in refused
    assert main(overrides) == 2
    assert capsys.readouterr().err == refused


def test_a_fault_ends_with_exit_code_1_and_its_name(capsys: pytest.CaptureFixture[str], own_folder: Path) -> None:
    assert main(["check", *typed(model=MixesByMean)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith(f"1 of 11 checks failed: {MIXING} (")
    assert sum(line.startswith("✗") for line in lines) == 1 and sum(line.startswith("✓") for line in lines) == 10
    assert list(own_folder.iterdir()) == []


def test_json_has_every_check_and_the_notes_of_the_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--json", *table(tmp_path)]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["held"] is True and [one["name"] for one in facts["checks"]] == list(ALL)
    assert all(one["held"] is True and one["saw"] and one["means"] for one in facts["checks"])
    assert any("regression of 'price'" in note for note in facts["notes"])


def test_marks_are_plain_letters_where_the_stream_has_no_others(stepkit: Any) -> None:
    done = stepkit("check", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii() and "?" not in done.stdout
    assert sum(line.startswith("ok ") for line in done.stdout.splitlines()) == len(ALL)


def test_random_numbers_and_the_module_are_left_as_they_were() -> None:
    composed = prepare(["model.normalization=batch"])
    parts = build(composed)
    before = {name: value.clone() for name, value in parts.module.state_dict().items()}
    modes = [part.training for part in parts.module.modules()]
    look(Subject(composed, parts))
    assert all(torch.equal(value, before[name]) for name, value in parts.module.state_dict().items())
    assert all(parameter.grad is None for parameter in parts.module.parameters())
    assert [part.training for part in parts.module.modules()] == modes

    random.seed(1), np.random.seed(2), torch.manual_seed(3)
    expected = random.random(), np.random.rand(), torch.rand(1)
    random.seed(1), np.random.seed(2), torch.manual_seed(3)
    check(prepare([]))
    assert (random.random(), np.random.rand(), torch.rand(1)) == expected


def test_the_answers_are_the_same_every_time() -> None:
    assert check(prepare(["experiment=diabetes"])) == check(prepare(["experiment=diabetes"]))
