"""A step taken apart: what it shows of good steps, and that each planted fault is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.graph_pb2 import GraphDef
from torch import Tensor, nn

from stepkit import Step, plugins
from stepkit.cli import main
from stepkit.config.prepare import prepare
from stepkit.events import records
from stepkit.proof import phases, verdict
from stepkit.proof.anatomy import take_apart
from stepkit.proof.findings import Anatomy, Check

from .problems import Matrices, Net, Points


def overrides(*typed: str, **parts: type) -> list[str]:
    """A small problem with a model, an optimizer or data of the test's own."""
    parts = {"model": Net, "data": Points, **parts}
    chosen = [f"{group}={plugins.hand_over(group, part)}" for group, part in parts.items()]
    return ["experiment=null", *chosen, "data.batch_size=8", "trainer=cpu", *typed]


def anatomy(*typed: str, **parts: type) -> Anatomy:
    return take_apart(prepare(overrides(*typed, **parts)))


def failed(found: Anatomy) -> dict[str, str]:
    return {check.name: check.told for check in found.failed}


def check(found: Anatomy, name: str) -> Check:
    return next(check for check in found.checks if check.name == name)


# -- steps that are right -----------------------------------------------------------------------------------------

RIGHT = [
    ["experiment=digits"],
    ["experiment=digits_convnet"],
    ["experiment=diabetes"],
    ["experiment=text"],
    ["experiment=text", "step.accumulate=2", "step.clip=1.0"],  # a scheduler replaces the optimizer's step
    ["optimizer=lbfgs"],
    ["optimizer=muon"],
    ["step.accumulate=4", "step.clip=0.1"],
    ["step.clip=0.01", "step.clip_by=value"],
    ["trainer.precision=bf16-mixed"],
    ["trainer.precision=64-true"],
    ["scheduler=reduce_lr_on_plateau", "callback=early_stopping"],
    ["step.decay=matrices", "optimizer.weight_decay=10"],
]


@pytest.mark.parametrize("typed", RIGHT, ids=" ".join)
def test_every_check_of_a_right_step_holds(typed: list[str], own_folder: Path) -> None:
    found = take_apart(prepare([*typed, "trainer=cpu"]))
    assert failed(found) == {}
    assert found.by_hand == 0.0 and found.update_norm > 0 and found.gradient_norm > 0
    assert found.without_zero_grad == pytest.approx(2, rel=1e-6)
    assert check(found, "finite differences").held and check(found, "direction").held
    assert not list(own_folder.iterdir())  # nothing is written


def test_plain_sgd_is_its_formula() -> None:
    found = anatomy("optimizer=sgd", "optimizer.lr=0.1", model=Matrices)
    assert check(found, "formula").held and found.formula is not None and found.formula < 1e-7
    assert found.descent == pytest.approx(1.0)
    assert found.update_norm == pytest.approx(0.1 * found.gradient_norm, rel=1e-5)
    assert check(anatomy("optimizer=sgd", "optimizer.momentum=0.9", "optimizer.lr=0.1"), "formula").held is None
    assert verdict.formula(1e-3, 1e-7).held is False


def test_it_tells_shapes_kind_and_clipping() -> None:
    found = anatomy("step.accumulate=2", "step.clip=0.01")
    assert found.batches == ["[8, 6] float32, [8] int64"] * 2 and found.output == "[8, 3] float32"
    assert (found.kind, found.loss, found.model) == ("classification", "CrossEntropyLoss", "Net")
    assert found.clipped_norm == pytest.approx(0.01, rel=1e-3) and found.gradient_norm > 0.01
    assert [phase.name for phase in found.phases] == ["forward", "backward", "clip", "step", "zero_grad"]
    assert all(phase.seconds > 0 for phase in found.phases)


def test_memory_is_that_of_tensors() -> None:
    found = anatomy("optimizer=adamw", model=Wide)
    size = 4 * 6 * 5000 + 4 * 5000 * 3
    peaks = {phase.name: phase.peak_bytes or 0 for phase in found.phases}
    assert size <= peaks["backward"] < 3 * size  # the gradients
    assert 3 * size <= peaks["step"] < 6 * size  # and AdamW's two moments, and what it computes with


class Wide(nn.Sequential):
    def __init__(self, in_features: int, num_classes: int) -> None:
        super().__init__(nn.Linear(in_features, 5000, bias=False), nn.Linear(5000, num_classes, bias=False))


class Backwards(nn.Module):
    """Defines its layers in another order than it uses them; one is frozen."""

    def __init__(self, in_features: int, num_classes: int) -> None:
        super().__init__()
        self.last = nn.Linear(5, num_classes)
        self.scale = nn.Parameter(torch.ones(5), requires_grad=False)
        self.first = nn.Linear(in_features, 5, bias=False)

    def forward(self, x: Tensor) -> Any:
        h = self.first(x)
        return self.last(h + torch.relu(h) * self.scale)


def test_parameters_come_in_forward_order_and_the_tree_shows_where_they_enter() -> None:
    found = anatomy("optimizer=sgd", model=Backwards)
    assert failed(found) == {}
    names = [p.name.removeprefix("network.") for p in found.parameters]
    assert names[0] == "first.weight" and set(names[1:3]) == {"last.bias", "last.weight"} and names[3] == "scale"
    frozen = found.parameters[3]
    assert not frozen.trainable and frozen.gradient is None and frozen.update == 0.0
    assert found.graph.operations["Relu"] == 1 and found.graph.operations["NllLoss"] == 1
    # NllLoss, LogSoftmax, Addmm, Add, Mul, Relu, Mm, T: the longest way down
    assert found.graph.depth == 8
    assert found.graph.tree[0] == "NllLoss"
    assert any(line.endswith("← network.first.weight") for line in found.graph.tree)
    assert any(line.strip().endswith("(above)") for line in found.graph.tree)  # h is used twice


class Halving(torch.optim.Optimizer):
    """Does nothing in its first step, as those do that first measure (SOAP)."""

    def __init__(self, params: Any, lr: float = 0.1) -> None:
        super().__init__(params, {"lr": lr})
        self.done = 0

    def step(self, closure: Any = None) -> Any:
        loss = closure() if closure is not None else None
        self.done += 1
        with torch.no_grad():
            for group in self.param_groups if self.done > 1 else ():
                for p in group["params"]:
                    p.sub_(p.grad, alpha=group["lr"])
        return loss


def test_an_optimizer_may_need_a_step_to_warm_up() -> None:
    found = anatomy(optimizer=Halving)
    assert failed(found) == {} and "after 2 steps" in check(found, "moves").told


# -- planted faults -------------------------------------------------------------------------------------------------


class DetachedLayer(Matrices):
    def forward(self, x: Tensor) -> Any:
        return self.out(self.hidden(x).tanh().detach())


class Forgetful(torch.optim.SGD):
    """Takes all parameters but the last."""

    def __init__(self, params: Any, lr: float = 0.1) -> None:
        super().__init__([{**group, "params": group["params"][:-1]} for group in params], lr)


class Climbing(torch.optim.Optimizer):
    """A wrong sign, and weight decay that hides it: the parameters shrink all the same."""

    def __init__(self, params: Any, lr: float = 0.01, weight_decay: float = 50.0) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay})

    def step(self, closure: Any = None) -> Any:
        loss = closure() if closure is not None else None
        with torch.no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    p.mul_(1 - group["lr"] * group["weight_decay"]).add_(p.grad, alpha=group["lr"])
        return loss


class Idle(Climbing):
    """Decays and does not use its gradient."""

    def step(self, closure: Any = None) -> Any:
        loss = closure() if closure is not None else None
        with torch.no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    p.mul_(1 - group["lr"] * group["weight_decay"])
        return loss


class Partial(torch.optim.SGD):
    """Holds all parameters, moves all but the first."""

    def __init__(self, params: Any, lr: float = 0.1) -> None:
        super().__init__(params, lr)

    def step(self, closure: Any = None) -> Any:
        first = self.param_groups[0]["params"][0]
        before = first.detach().clone()
        loss = super().step(closure)
        with torch.no_grad():
            first.copy_(before)
        return loss


class Keeping(torch.optim.SGD):
    """Its zero_grad does nothing."""

    def __init__(self, params: Any, lr: float = 0.1) -> None:
        super().__init__(params, lr)

    def zero_grad(self, set_to_none: bool = True) -> None:
        pass


class Counting(Matrices):
    """State that is no buffer: the output grows with every call."""

    calls = 0

    def forward(self, x: Tensor) -> Any:
        self.calls += 1
        return super().forward(x) * self.calls


class WrongSquare(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        gradient: Tensor = grads[0] * x  # 2 x would be right
        return gradient


class WrongBackward(Matrices):
    def forward(self, x: Tensor) -> Any:
        return self.out(WrongSquare.apply(self.hidden(x)))  # type: ignore[no-untyped-call]


class Centred(Matrices):
    """Mixes the samples of a batch, and is no BatchNorm."""

    def forward(self, x: Tensor) -> Any:
        h = self.hidden(x)
        return self.out((h - h.mean(dim=0)).tanh())


class Infinite(Matrices):
    def forward(self, x: Tensor) -> Any:
        return super().forward(x) / 0.0 * 0.0


FAULTS: list[tuple[str, dict[str, type], list[str], str, str]] = [
    (
        "detached layer",
        {"model": DetachedLayer},
        [],
        "gradient",
        "none reaches network.hidden.weight, though trainable",
    ),
    ("parameter not given", {"optimizer": Forgetful}, [], "optimizer", "network.out.bias not given to Forgetful"),
    ("wrong sign", {"optimizer": Climbing}, [], "direction", "Climbing climbs: Δθ points along +∇L"),
    ("no use of the gradient", {"optimizer": Idle}, [], "moves", "Idle changes no parameter"),
    ("a parameter held still", {"optimizer": Partial}, [], "moves", "network.hidden.weight not changed by Partial"),
    ("zero_grad does nothing", {"optimizer": Keeping}, [], "zero_grad", "keeps its gradient"),
    ("hidden state", {"model": Counting}, [], "twice", "times the gradient, not 2: the model keeps state"),
    ("wrong backward", {"model": WrongBackward}, [], "finite differences", "the gradient of network.hidden.weight"),
    ("samples mixed", {"model": Centred}, ["step.accumulate=2"], "accumulation", "mixes the samples"),
    ("not finite", {"model": Infinite}, [], "finite", "not finite: the loss (nan) and the gradient of network.hidden"),
]


# Some faults have two sides: what is left out is not zeroed, what is detached has a slope all the same.
SEEN_TWICE = {"gradient": ["finite differences"], "optimizer": ["zero_grad"]}


@pytest.mark.parametrize(("parts", "typed", "name", "told"), [f[1:] for f in FAULTS], ids=[f[0] for f in FAULTS])
def test_a_planted_fault_is_named(parts: dict[str, type], typed: list[str], name: str, told: str) -> None:
    found = (
        anatomy("optimizer=sgd", "optimizer.lr=0.1", *typed, **parts) if "optimizer" not in parts else anatomy(**parts)
    )
    assert told in failed(found)[name]
    assert set(failed(found)) <= {name, *SEEN_TWICE.get(name, ())}
    assert found.verdict.startswith(f"{len(found.failed)} of ") and told in found.verdict


class OneLayer(Step):
    """A Step of the user's that makes its optimizer itself, of half the model."""

    def __init__(self, in_features: int = 6, num_classes: int = 3) -> None:
        super().__init__(Matrices(in_features, num_classes))

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.network.out.parameters(), lr=0.1)  # type: ignore[union-attr]


def test_a_step_s_own_optimizer_that_forgets_a_layer_is_named() -> None:
    found = anatomy("optimizer=sgd", model=OneLayer)
    assert "network.hidden.weight not given to SGD" in failed(found)["optimizer"]


def test_a_step_that_is_not_pytorch_s_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison by hand compares something: without stepkit's clipping it fails."""
    assert failed(anatomy("optimizer=sgd", "step.clip=0.01")) == {}
    monkeypatch.setattr(Step, "configure_gradient_clipping", lambda *_, **__: None)
    found = anatomy("optimizer=sgd", "step.clip=0.01")
    assert "differs from the one in plain PyTorch" in failed(found)["by hand"] and found.by_hand > 0


def test_a_foreign_module_is_refused_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    class Foreign(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(6, 3)

        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            return self.layer(batch[0]).sum()  # type: ignore[no-any-return]

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    assert main(["step", *overrides("optimizer=null", model=Foreign)]) == 2
    out = capsys.readouterr()
    assert out.err.count("\n") == 1 and "Foreign is a LightningModule with a step of its own" in out.err


# -- the command ------------------------------------------------------------------------------------------------------


def test_the_command_says_the_verdict_and_exits_with_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["step", *overrides("optimizer=sgd")]) == 0
    assert capsys.readouterr().out.rstrip().endswith("checks held")
    assert main(["step", *overrides(optimizer=Climbing)]) == 1
    assert "direction: Climbing climbs" in capsys.readouterr().out.rstrip().rpartition("\n")[2]


def test_a_mistake_at_the_first_batch_is_told_as_in_training(capsys: pytest.CaptureFixture[str]) -> None:
    told = []
    for verb in (["step"], ["train"]):
        assert main([*verb, *overrides("optimizer=sgd", "loss=mse")]) == 2
        told.append(capsys.readouterr().err)
    assert told[0] == told[1] and "MSELoss of predictions [8, 3] against targets [8]" in told[0]


def test_json_holds_all_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["step", "--json", *overrides("optimizer=sgd", model=Infinite)]) == 1
    facts = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)  # NaN is no JSON
    assert facts["held"] is False and facts["losses"] == ["nan"]
    assert facts["parameters"][0]["shape"] == [5, 6] and facts["graph"]["operations"]["NllLoss"] == 1


def test_write_leaves_a_page_and_a_graph_and_nothing_else(own_folder: Path) -> None:
    assert main(["step", *overrides("optimizer=sgd", model=Matrices), "--write", "lesson"]) == 0
    assert [path.name for path in own_folder.iterdir()] == ["lesson"]
    page, events = sorted((own_folder / "lesson").iterdir(), key=lambda path: path.suffix != ".html")
    text = page.read_text(encoding="utf-8")
    assert "<script" not in text and "http" not in text and "src=" not in text and "all " in text
    graphs = [e.graph_def for _, data in records(events) if (e := Event.FromString(data)).graph_def]
    nodes = {node.name: node for node in GraphDef.FromString(graphs[0]).node}
    assert nodes["network/out/weight"].op == "Parameter" and nodes["loss/NllLoss"].op == "NllLoss"
    assert "batch" in nodes["network/hidden/Mm"].input
    assert nodes["network/Tanh"].input == ["network/hidden/Mm"]  # what the model does between its parts is its own
    assert all(given in nodes for node in nodes.values() for given in node.input)  # every edge has both ends


def test_a_place_that_cannot_be_written_is_told(own_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (own_folder / "file").touch()
    assert main(["step", *overrides("optimizer=sgd"), "--write", "file"]) == 2
    assert capsys.readouterr().err.startswith("error: --write file: ")


def test_the_peak_of_a_phase_counts_what_lives_from_before_it() -> None:
    def memory(ts: float, count: int) -> dict[str, Any]:
        return {"name": "[memory]", "ts": ts, "args": {"Bytes": count}}

    def phase(name: str, ts: float, dur: float) -> dict[str, Any]:
        return {"name": f"stepkit.{name}", "cat": "user_annotation", "ts": ts, "dur": dur}

    trace = [phase("forward", 10, 10), phase("backward", 30, 10), memory(5, 99), memory(12, 100), memory(14, 50)]
    trace += [memory(16, -50), memory(25, 7), memory(32, 20), memory(38, -120), memory(50, 1000)]
    assert phases.peaks_of(trace) == {"forward": 150, "backward": 127}
