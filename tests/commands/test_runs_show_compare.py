"""runs, show, compare: over real short runs, over a thousand made-up ones, over what a stranger left."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from stepkit.cli import main
from stepkit.record.record import Record, RunDirectory

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one run of three epochs and a sweep of four of one."""
    folder = tmp_path_factory.mktemp("trained")
    for arguments in (
        ["trainer.max_epochs=3", "name=alone", "tags=[first]"],
        ["-m", "optimizer=sgd,adamw", "optimizer.lr=0.1,0.01", "trainer.max_epochs=1"],
    ):
        subprocess.run([sys.executable, "-m", "stepkit", *arguments], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
def here(trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(trained)
    return trained


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line.rstrip() for line in capsys.readouterr().out.splitlines() if line.strip()]


def sweep_id(folder: Path) -> str:
    (record,) = folder.glob("outputs/digits/*/0/run.json")
    return record.parents[1].name.rpartition("-")[2]


def test_runs_shows_what_differs_and_the_metrics(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs"]) == 0
    head, _, *rows = lines(capsys)
    for heading in ("run", "status", "experiment", "name", "max_epochs", "optimizer", "lr", "best loss/val", "when"):
        assert heading in head
    assert "accuracy/test" in head and len(rows) == 5
    assert rows[-1].split()[1:7] == ["finished", "digits", "alone", "3", "adamw", "0.003"]
    assert rows[0].split()[0] == f"{sweep_id(here)}/3"


@pytest.mark.parametrize("by", ["id", "path", "last"])
def test_runs_of_a_sweep_stand_in_the_order_of_its_trials(
    here: Path, by: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = sweep_id(here)
    place = {"id": sweep, "path": str(next(here.glob(f"outputs/digits/*-{sweep}"))), "last": "last"}[by]
    assert main(["runs", place]) == 0
    head, _, *rows = lines(capsys)
    assert [row.split()[0] for row in rows] == [f"{sweep}/{n}" for n in range(4)]
    assert [row.split()[3:5] for row in rows] == [["sgd", "0.1"], ["sgd", "0.01"], ["adamw", "0.1"], ["adamw", "0.01"]]
    assert "max_epochs" not in head  # the same in all of them


def test_runs_are_sorted_filtered_and_limited(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--sort", "accuracy/test", "--reverse", "--filter", "lr<0.05", "max_epochs=1"]
    assert main(["runs", "--json", *arguments]) == 0
    facts = json.loads(capsys.readouterr().out)
    scores = [run["metrics"]["accuracy/test"] for run in facts]
    assert len(scores) == 2 and scores == sorted(scores, reverse=True)
    assert all("optimizer.lr=0.01" in run["overrides"] for run in facts)
    assert main(["runs", "--limit", "1", *arguments]) == 0
    *_, row, said = lines(capsys)
    assert row.split()[0] == facts[0]["run"] and said == "1 of 2 runs; --all shows all"
    assert main(["runs", "--filter", "model.dropout=0.1", "data.batch_size!=32"]) == 0
    assert lines(capsys) == ["none of 5 runs fits"]


def test_the_end_of_a_sweep_is_the_same_table(stepkit: Command) -> None:
    ran = stepkit("-m", "optimizer.lr=0.1,0.01", "trainer.max_epochs=1")
    assert ran.returncode == 0, ran.stderr
    rows = [line.split() for line in ran.stdout.splitlines()]
    head = next(row for row in rows if row[:1] == ["trial"] and "status" in row)
    assert head[:3] == ["trial", "status", "lr"] and "accuracy/test" in head
    assert [row[:3] for row in rows if "finished" in row] == [["0", "finished", "0.1"], ["1", "finished", "0.01"]]


def test_show_tells_all_of_one_run(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (path,) = (file.parent for file in here.glob("outputs/digits/*/run.json"))
    assert main(["show", path.name.rpartition("-")[2]]) == 0
    told = {line.split()[0]: line.split(maxsplit=1)[-1] for line in lines(capsys)}
    assert told["status"] == "finished" and told["name"] == "alone" and told["tags"] == "first"
    assert told["typed"].startswith("trainer.max_epochs=3") and told["seed"] == "0"
    assert told["optimizer"].startswith("adamw stepkit") and "torch" in told["versions"]
    assert told["best"].startswith("loss/val") and len(told["accuracy"].split()) == 2
    assert told["checkpoint"] == str(path.relative_to(here) / "checkpoints" / "best.ckpt")
    assert told["loss/train"][0] == "█" and "→" in told["loss/train"]
    assert len(told["loss/val"].split()[0]) == 3  # a mark a validation


def test_show_as_json_is_the_record_and_the_checkpoints(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", f"{sweep_id(here)}/2", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["run"] == f"{sweep_id(here)}/2" and facts["plugins"]["optimizer"]["plugin"] == "adamw"
    assert [Path(file).name for file in facts["checkpoints"]] == ["best.ckpt", "last.ckpt"]


def test_compare_shows_what_differs_and_metrics_side_by_side(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = f"{sweep_id(here)}/0", f"{sweep_id(here)}/2"
    assert main(["compare", one, other]) == 0
    told = {line.split()[0]: line.split()[1:] for line in lines(capsys)}
    assert told["optimizer"] == ["sgd", "adamw"] and told["optimizer.weight_decay"] == ["0", "0.01"]
    assert told["optimizer.momentum"] == ["0"] and "optimizer.lr" not in told and "data" not in told
    assert len(told["accuracy/test"]) == 3 and told["accuracy/test"][2][:2] in ("(+", "(-")
    assert told["loss/train"][0] == other  # the last of a line a run
    assert main(["compare", one, other, f"{sweep_id(here)}/3", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["config"]["optimizer.lr"] == {one: 0.1, other: 0.1, f"{sweep_id(here)}/3": 0.01}
    scores, moved = facts["metrics"]["accuracy/test"], facts["differences"]["accuracy/test"]
    assert moved == {name: score - scores[one] for name, score in scores.items() if name != one}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["runs", "nowhere"], "nowhere: no folder with runs, no experiment and no sweep"),
        (["runs", "--sort", "optimizer.lrr"], "no column 'optimizer.lrr'; did you mean 'optimizer.lr'?"),
        (["runs", "--filter", "lr"], "--filter lr: not a condition"),
        (["runs", "--limit", "0"], "--limit 0: a number from 1 is wanted"),
        (["show"], "RUN"),
        (["show", "x" * 300], "no run"),
        (["runs", "x" * 300], "no folder with runs"),
        (["compare", "last"], "one run only"),
        (["compare", "last", "last"], "one run only"),
    ],
)
def test_a_mistake_is_one_line(here: Path, arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line


def test_without_runs_the_table_is_one_line_and_the_list_empty(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs"]) == 0
    assert lines(capsys) == ["no runs yet under outputs"]
    assert main(["runs", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_a_stranger_s_run_cannot_talk_to_the_terminal(own_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evil = "\x1b]0;pwned\x07\x9b31m\u202ex[red]"
    paths = []
    for n in range(2):
        path = own_folder / "outputs" / "digits" / f"20260101-000000-00000{n}"
        part = {"plugin": evil, "distribution": evil, "version": evil}
        record = Record(
            path.name, evil, name=evil, tags=[evil], notes=f"{evil}\n{evil}", metrics={f"{evil}/test": n, evil: 1.0},
            best={"metric": evil, "mode": evil, "value": 1}, facts={evil: evil}, plugins={evil: part},
            versions={evil: str(n) + evil}, git=evil,
        )  # fmt: skip
        directory = RunDirectory(path, record)
        directory.begin(json.dumps({evil: f"{evil}{n}"}), [f"{evil}{n}={evil}{n}"])
        directory.end("failed", evil)
        (path / "checkpoints").mkdir()
        (path / "checkpoints" / f"{evil.replace('/', '')}.ckpt").touch()
        paths.append(str(path))
    for arguments in (["runs"], ["show", "last"], ["compare", *paths], ["runs", "--sort", "nothing"]):
        main(arguments)
        output = capsys.readouterr()
        assert "pwned" in output.out + output.err
        assert all(c.isprintable() or c == "\n" for c in output.out + output.err)
        main([*arguments, "--json"])
        assert "\x1b" not in capsys.readouterr().out


def test_a_damaged_run_is_shown_as_damaged(own_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = own_folder / "outputs" / "digits" / "20260101-000000-abcdef"
    path.mkdir(parents=True)
    (path / "run.json").write_text('{"status": "finis')
    for arguments in (["runs"], ["show", "abc"]):
        assert main(arguments) == 0
        assert "damaged" in capsys.readouterr().out


def test_a_thousand_runs_take_less_than_two_seconds_and_no_torch(own_folder: Path) -> None:
    for n in range(1000):
        path = own_folder / "outputs" / "digits" / f"20260101-{n // 60:02}{n % 60:02}00-{n:06x}"
        path.mkdir(parents=True)
        record = Record(path.name, "digits", status="finished", started=1e9 + n, ended=1e9 + n, duration=60.0)
        facts = {
            **vars(record),
            "metrics": {"accuracy/test": n / 1000},
            "best": {"metric": "loss/val", "mode": "min", "value": n},
        }
        (path / "run.json").write_text(json.dumps(facts, indent=2))
        (path / "overrides.yaml").write_text(f"- 'optimizer.lr={n / 1000}'\n- 'model=mlp'\n")
    script = (
        "import sys; from stepkit.cli import main; code = main(sys.argv[1:]);"
        "sys.exit('torch was imported' if 'torch' in sys.modules else code)"
    )
    for arguments in (["--all"], ["--sort", "accuracy/test", "--filter", "lr>0.5"], ["--all", "--json"]):
        times = []
        for _ in range(3):  # the best of three: the machine may be busy with other things
            started = time.perf_counter()
            command = [sys.executable, "-c", script, "runs", *arguments]
            ran = subprocess.run(command, capture_output=True, text=True, cwd=own_folder)
            times.append(time.perf_counter() - started)
            assert ran.returncode == 0, ran.stderr
            if times[-1] < 2:
                break
        assert min(times) < 2, times
        assert "0.999" in ran.stdout or "0.501" in ran.stdout


def test_show_and_compare_import_no_torch(here: Path) -> None:
    script = (
        "import sys; from stepkit.cli import main; main(['show', 'last']); main(['compare', *sys.argv[1:]]);"
        "sys.exit('torch' in sys.modules)"
    )
    trials = [f"{sweep_id(here)}/{n}" for n in range(2)]
    ran = subprocess.run([sys.executable, "-c", script, *trials], capture_output=True, text=True, cwd=here)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"LANG": "C", "LC_ALL": "C", "PYTHONIOENCODING": "ascii"}])
def test_pipes_get_whole_lines_without_colour(stepkit: Command, here: Path, environment: dict[str, str]) -> None:
    for arguments in (["runs"], ["show", "last"], ["compare", f"{sweep_id(here)}/0", f"{sweep_id(here)}/1"]):
        ran = stepkit(*arguments, cwd=here, **environment)
        assert ran.returncode == 0, ran.stderr
        assert "\x1b" not in ran.stdout and "accuracy" in ran.stdout
    assert all("finished" in line for line in stepkit("runs", cwd=here).stdout.splitlines()[3:8])
