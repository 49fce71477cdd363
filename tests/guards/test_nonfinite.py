"""Numbers go wrong: the run ends before the step, or the step is skipped bit for bit, and either is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

import stepkit as sk
from stepkit.build import Parts, build, build_trainer
from stepkit.cli import main
from stepkit.config.prepare import prepare
from stepkit.errors import RunFailed
from stepkit.guards.nonfinite import Guard, NotFinite
from stepkit.observers.gradients import Watch


class Poisoned(nn.Module):
    """A linear model whose gradient is NaN for every batch that holds one of the poisoned samples."""

    bad: set[int] = set()  # noqa: RUF012 (set by each test)
    calls = 0

    def __init__(self, in_features: int, num_classes: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(in_features, 8), nn.Linear(8, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.first(x)
        if self.training:
            Poisoned.calls += 1
            if Poisoned.calls - 1 in Poisoned.bad:
                hidden = hidden * torch.tensor(float("nan"))
        return self.second(hidden)


def poison(*steps: int, before: int = 2) -> None:
    """Poison these training steps; before the first one a run tries a batch and draws the graph."""
    Poisoned.calls, Poisoned.bad = 0, {step - 1 + before for step in steps}


@pytest.fixture(autouse=True)
def fresh() -> None:
    poison()


SHORT = ("trainer.max_epochs=1", "optimizer=adam", "trainer.limit_train_batches=12")


def test_raise_ends_the_run_before_the_step_and_names_step_samples_and_parameters(own_folder: Path) -> None:
    poison(6)
    with pytest.raises(RunFailed) as caught:
        sk.run(*SHORT, model=Poisoned)
    line = str(caught.value)
    assert "step 6: the gradient of network.first.weight, network.first.bias" in line
    assert "loss nan" in line and "samples " in line and "of epoch 1" in line
    (run,) = sk.runs()
    assert run.status == "failed" and "step 6" in run.record["error"]
    composed = prepare([*SHORT, "model=Poisoned"])
    expected = build(composed).loaders["train"].indices(0, 5)[:5]  # type: ignore[attr-defined]
    assert f"samples {', '.join(str(int(i)) for i in expected)}" in line


def state(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    checkpoint = torch.load(path / "checkpoints" / "last.ckpt", weights_only=True)
    return checkpoint["state_dict"], checkpoint["optimizer_states"][0]


def test_skip_leaves_parameters_and_optimizer_state_untouched_bit_for_bit() -> None:
    """Twelve steps of which the last three are skipped end as nine steps do."""
    poison(10, 11, 12)
    skipped = sk.run(*SHORT, "step.nonfinite=skip", model=Poisoned)
    poison()
    shorter = sk.run("trainer.max_epochs=1", "optimizer=adam", "trainer.limit_train_batches=9", model=Poisoned)
    (weights, optimizer), (expected, expected_optimizer) = state(skipped.path), state(shorter.path)
    assert all(torch.equal(weights[name], expected[name]) for name in expected)
    for index, values in expected_optimizer["state"].items():
        for name, value in values.items():
            assert torch.equal(optimizer["state"][index][name], value)
    assert skipped.record["facts"]["skipped_steps"] == 3
    reader = EventAccumulator(str(skipped.path))
    reader.Reload()
    assert reader.Scalars("step/skipped")[-1].value == 3


def test_too_many_skipped_in_a_row_end_the_run() -> None:
    poison(3, 4, 5)
    with pytest.raises(RunFailed, match=r"3 steps in a row were not finite; step 5"):
        sk.run(*SHORT, "step.nonfinite=skip", "step.nonfinite_limit=3", model=Poisoned)


def test_ignore_trains_on_as_plain_pytorch_does() -> None:
    poison(3)
    run = sk.run(*SHORT, "step.nonfinite=ignore", model=Poisoned)
    assert run.status == "finished"
    assert any(torch.isnan(value).any() for value in state(run.path)[0].values())


def parts_of(overrides: list[str], tmp_path: Path) -> tuple[Parts, Any]:
    composed = prepare(overrides)
    parts = build(composed)
    return parts, build_trainer(composed, parts, tmp_path)


def test_read_late_as_on_an_accelerator_the_run_still_names_the_exact_step_before_any_checkpoint(
    tmp_path: Path,
) -> None:
    sk.plugins.hand_over("model", Poisoned)  # type: ignore[attr-defined]
    parts, trainer = parts_of([*SHORT, "model=Poisoned"], tmp_path)

    class Late(Guard):
        def reads_now(self, device: torch.device) -> bool:
            return False

    watch = next(callback for callback in trainer.callbacks if isinstance(callback, Watch))
    watch.guard = Late("raise")
    poison(5, before=0)
    with pytest.raises(NotFinite, match=r"step 5: not finite"):
        trainer.fit(parts.module, parts.loaders["train"], parts.loaders["val"])
    assert not list(tmp_path.glob("checkpoints/*"))


def test_a_finite_gradient_whose_squares_overflow_is_no_fault(tmp_path: Path) -> None:
    guard = Guard("raise")
    parameter = nn.Parameter(torch.zeros(2))
    parameter.grad = torch.tensor([3e38, 3e38])
    optimizer = torch.optim.SGD([parameter], lr=0.0)
    _, trainer = parts_of([*SHORT], tmp_path)
    guard.before_step(trainer, trainer.lightning_module, optimizer, torch.tensor(float("inf")), torch.tensor(1.0))


def test_the_command_line_ends_with_code_1_and_one_line(capsys: pytest.CaptureFixture[str], own_folder: Path) -> None:
    assert main(["optimizer.lr=1e30"]) == 1
    err = capsys.readouterr().err
    assert len(err.strip().splitlines()) == 1 and "is not finite" in err
    (file,) = own_folder.glob("outputs/digits/*/run.json")
    assert json.loads(file.read_text())["status"] == "failed"
