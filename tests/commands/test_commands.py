"""The verbs: what they print."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from stepkit.cli import main
from stepkit.commands import VERBS

Command = Callable[..., subprocess.CompletedProcess[str]]


def test_the_front_page_tells_the_verbs_the_groups_and_three_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    for verb in VERBS:
        assert f"\n  {verb} " in out
    for word in ("adamw", "cross_entropy", "reduce_lr_on_plateau", "early_stopping", "digits", "mlp"):
        assert word in out
    assert len(re.findall(r"^  stepkit", out, re.MULTILINE)) == 3


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_has_help_of_its_own(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code = main([verb, "--help"])
    except SystemExit as end:
        code = int(end.code or 0)
    assert code == 0
    assert "stepkit" in capsys.readouterr().out


def test_config_shows_each_value_with_who_set_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "optimizer.lr=0.5"]) == 0
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line.strip()}
    assert rows["optimizer.lr"].split()[1:] == ["0.5", "command", "line"]
    assert rows["optimizer.eps"].strip().endswith("default of AdamW")
    assert "stepkit: experiment/digits.yaml" in rows["model.hidden"]


def test_config_as_json_is_the_config_and_its_origins(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "--json", "model.hidden=[3]"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["config"]["model"]["hidden"] == [3]
    assert facts["origin"]["model.hidden"] == "command line"


def test_plugins_lists_each_with_its_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "optimizer"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "optimizer:" and any(line.split()[:2] == ["adamw", "stepkit"] for line in lines)
    assert main(["plugins", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert {"group": "loss", "name": "mse", "reference": "torch.nn:MSELoss"}.items() <= next(
        f for f in facts if f["name"] == "mse" and f["group"] == "loss"
    ).items()


@pytest.mark.parametrize(
    ("arguments", "said"), [([], "no runs yet"), (["nowhere"], "no such run"), (["."], "no runs in this folder")]
)
def test_board_without_runs_is_one_line(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["board", *arguments, "--port", "6999"]) == 2
    err = capsys.readouterr().err
    assert said in err and len(err.splitlines()) == 1


@pytest.mark.process
def test_board_serves_a_run_on_loopback(own_folder: Path) -> None:
    assert main(["trainer.max_epochs=1"]) == 0
    with __import__("socket").socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "stepkit", "board", "last", "--port", str(port), "--no-browser"]
    board = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert board.stdout is not None and "TensorBoard on last" in board.stdout.readline()
        assert f"http://127.0.0.1:{port}/?pinnedCards=" in board.stdout.readline()
        for _ in range(120):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/data/plugin/scalars/tags", timeout=5) as answer:
                    tags = json.load(answer)
                if tags:
                    break
            except OSError:
                pass
            time.sleep(0.5)
        (run,) = tags
        assert {"loss/train", "gradient/norm", "lr", "accuracy/test"} <= set(tags[run])
        second = subprocess.run(command, capture_output=True, text=True)
        assert second.returncode == 2 and f"--port={port}" in second.stderr
    finally:
        board.terminate()
        board.wait(20)


def test_what_is_printed_needs_neither_colour_nor_utf8_nor_a_wide_terminal(stepkit: Command, own_folder: Path) -> None:
    for environment in (
        {"NO_COLOR": "1"},
        {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"COLUMNS": "40"},
    ):
        ran = stepkit("trainer.max_epochs=1", "name=müsli", **environment)
        assert ran.returncode == 0, ran.stderr
        assert "\x1b" not in ran.stdout and "accuracy" in ran.stdout
        assert stepkit("config", **environment).returncode == 0
        assert stepkit("--help", **environment).returncode == 0


def test_a_folder_with_spaces_and_umlauts_serves(stepkit: Command, own_folder: Path) -> None:
    place = own_folder / "mein Projekt für später"
    (place / "conf" / "experiment").mkdir(parents=True)
    (place / "conf" / "experiment" / "größe.yaml").write_text("seed: 5\n", encoding="utf-8")
    ran = stepkit("experiment=größe", "trainer.max_epochs=1", cwd=place)
    assert ran.returncode == 0, ran.stderr
    (file,) = place.glob("outputs/größe/*/run.json")
    assert json.loads(file.read_text(encoding="utf-8"))["seed"] == 5


@pytest.mark.process
def test_ctrl_c_before_the_first_step_leaves_nothing(own_folder: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "stepkit"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    time.sleep(0.6)
    child.send_signal(2)
    out, _ = child.communicate(timeout=60)
    assert child.returncode in (130, -2)
    assert "Traceback" not in out
    assert (
        not list(own_folder.glob("outputs/*/*"))
        or json.loads(next(own_folder.glob("outputs/*/*/run.json")).read_text())["status"] == "interrupted"
    )


@pytest.mark.process
def test_ctrl_c_in_training_ends_it_after_the_step_as_interrupted(own_folder: Path) -> None:
    command = [sys.executable, "-m", "stepkit", "trainer.max_epochs=100000"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None
    while "epoch 2/" not in child.stdout.readline():
        assert child.poll() is None
    child.send_signal(2)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 130, err
    (file,) = own_folder.glob("outputs/digits/*/run.json")
    record = json.loads(file.read_text())
    assert record["status"] == "interrupted" and (file.parent / "checkpoints" / "last.ckpt").exists()
    assert "Traceback" not in err


def test_the_reader_of_a_pipe_may_go(own_folder: Path) -> None:
    ran = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m stepkit plugins | head -n 1"],
        capture_output=True,
        text=True,
        env=os.environ,
    )
    assert ran.stdout.strip() == "model:" and "Traceback" not in ran.stderr
