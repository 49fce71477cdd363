"""Each planted fault is found by name, in the right place, with something to try; the same data without it is clean."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

import stepkit as sk
from stepkit.cli import main
from stepkit.diagnosis import findings
from stepkit.errors import RunFailed

from .planted import PLANTS, Plant, trained


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: f"{plant.name}: {plant.kind}")
def test_a_planted_fault_is_found_at_its_place(plant: Plant, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        path = trained(plant).path
    except RunFailed:
        path = sk.runs()[0].path
    said = capsys.readouterr().out
    found = {finding.kind: finding for finding in findings(path)}
    assert plant.kind in found, found
    finding = found[plant.kind]
    assert set(plant.places) <= set(finding.names)
    assert not plant.places or any(place in finding.what for place in plant.places)
    assert plant.tries in finding.advice and finding.advice
    assert re.search(r"step \d+|steps \d+ to \d+", finding.what) and re.search(r"\d", finding.what)
    assert 0 < finding.steps[0] <= finding.steps[1]
    if sk.Run(path).status == "finished":
        assert plant.kind in said


def test_the_same_data_without_a_fault_are_clean(capsys: pytest.CaptureFixture[str]) -> None:
    run = trained(Plant("none", "none", ()))
    assert findings(run.path) == []
    assert "doctor:" not in capsys.readouterr().out


def test_a_training_warns_once_a_kind_and_in_its_log(capsys: pytest.CaptureFixture[str]) -> None:
    plant = Plant("a clip of 0.001", "clipping always bites", ("step.clip=1e-3",))
    run = trained(plant)
    assert capsys.readouterr().out.count("clipping always bites") == 1
    assert (run.path / "log.txt").read_text().count("clipping always bites") == 1


def test_the_command_says_what_where_why_and_what_to_try(capsys: pytest.CaptureFixture[str]) -> None:
    plant = Plant("never used", "parameters that never move", (), next(p for p in PLANTS if "used" in p.name).model)
    trained(plant)
    capsys.readouterr()
    assert main(["doctor", "last"]) == 0
    out = capsys.readouterr().out
    assert "branch.weight, branch.bias never had a gradient" in out
    assert "Why: " in out and "Try: " in out and "1 finding in 120 steps; looked at: numbers gone wrong" in out
    assert main(["doctor", "last", "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert set(told) == {"kind", "what", "why", "try", "names", "steps", "figure"}
    assert told["names"] == ["branch.weight", "branch.bias"] and told["steps"] == [1, 120]


def test_of_a_few_steps_nothing_is_said_but_that(capsys: pytest.CaptureFixture[str]) -> None:
    trained(Plant("short", "", ("trainer.max_epochs=1",), "mlp"), "trainer.limit_train_batches=4")
    capsys.readouterr()
    assert main(["doctor", "last"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("nothing found in 4 steps; looked at: numbers gone wrong")
    assert "loss falling: 4 steps are too few to say, 60 are wanted" in out


def test_without_an_event_file_it_says_that_nothing_was_recorded(capsys: pytest.CaptureFixture[str]) -> None:
    trained(Plant("unlogged", "", ()), "logger=null")
    capsys.readouterr()
    assert main(["doctor", "last"]) == 0
    assert "nothing found in 0 steps" in capsys.readouterr().out


def test_what_it_says_to_try_is_taken_and_helps() -> None:
    plant = next(plant for plant in PLANTS if plant.kind == "updates too small")
    (finding,) = (f for f in findings(trained(plant).path) if f.kind == plant.kind)
    better = trained(plant, finding.advice, "trainer.max_epochs=8")
    assert finding.kind not in {f.kind for f in findings(better.path)}


def test_the_doctor_needs_no_torch() -> None:
    path = trained(Plant("none", "none", ("trainer.max_epochs=1",))).path
    code = f"import sys; from stepkit.cli import main; main(['doctor', {str(path)!r}]); print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = set(ran.stdout.split())
    assert "stepkit.diagnosis.learning" in modules and not {"torch", "pytorch_lightning"} & modules
