"""Several processes for one run, for real: gloo on the CPU, started by stepkit, sharing the work and one directory."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

pytestmark = pytest.mark.process
Command = Callable[..., subprocess.CompletedProcess[str]]
STEADY = ("model.dropout=0", "optimizer.fused=false", "trainer.max_steps=20", "trainer.max_epochs=1")


def losses(path: Path) -> list[Any]:
    reader = EventAccumulator(str(path), size_guidance={"scalars": 0})
    reader.Reload()
    return [(event.step, event.value) for event in reader.Scalars("loss/train")]


def run_named(folder: Path, name: str) -> Path:
    return next(f.parent for f in folder.glob("outputs/*/*/run.json") if json.loads(f.read_text())["name"] == name)


def test_two_ranks_train_as_one_process_does_with_the_same_global_batch(stepkit: Command, own_folder: Path) -> None:
    two = stepkit("trainer=ddp_cpu", "data.batch_size=16", "name=two", *STEADY)
    one = stepkit("trainer=cpu", "data.batch_size=32", "name=one", *STEADY)
    assert two.returncode == one.returncode == 0, two.stderr
    assert two.stderr == ""
    a, b = losses(run_named(own_folder, "two")), losses(run_named(own_folder, "one"))
    assert [step for step, _ in a] == [step for step, _ in b] == list(range(1, 21))
    assert [value for _, value in a] == pytest.approx([value for _, value in b], rel=1e-5)
    assert a[0][1] != a[-1][1]


def test_all_ranks_share_one_directory_and_one_event_file(stepkit: Command, own_folder: Path) -> None:
    ran = stepkit("trainer=ddp_cpu", "trainer.max_epochs=1")
    assert ran.returncode == 0, ran.stderr
    (path,) = own_folder.glob("outputs/digits/*")
    assert len(list(path.glob("events.out.tfevents.*[0-9]"))) == 1
    record = json.loads((path / "run.json").read_text())
    assert record["status"] == "finished" and record["metrics"]["accuracy/test"] > 0.3
    assert ran.stdout.count("epoch 1/1") == 1


COUNTED = """
import torch
from torch import nn

class Counted(nn.Module):
    def __init__(self, in_features: int, num_classes: int) -> None:
        super().__init__()
        self.net = nn.Linear(in_features, num_classes)

    def forward(self, x):
        if self.training:
            import os
            with open(f"seen-{os.environ.get('RANK', '0')}-{os.getpid()}", "a") as file:
                file.writelines(f"{hash(tuple(row.tolist()))}\\n" for row in x)
        return self.net(x)
"""


def test_each_sample_is_seen_once_an_epoch_by_one_rank(stepkit: Command, own_folder: Path) -> None:
    (own_folder / "mine").mkdir()
    (own_folder / "mine" / "net.py").write_text(COUNTED)
    (own_folder / "conf").mkdir()
    (own_folder / "conf" / "config.yaml").write_text("trusted: [mine]\n")
    counts = {}
    for trainer, batch in (("ddp_cpu", 50), ("cpu", 100)):
        for old in own_folder.glob("seen-*"):
            old.unlink()
        ran = stepkit(
            f"trainer={trainer}",
            "trainer.max_epochs=1",
            "model._target_=mine.net.Counted",
            f"data.batch_size={batch}",
            PYTHONHASHSEED="0",
        )
        assert ran.returncode == 0, ran.stderr
        ranks = [file.read_text().split() for file in own_folder.glob("seen-*") if file.stat().st_size]
        counts[trainer] = ranks
    # The parent of the ranks tries one batch before it starts them, as the single process does.
    once = sorted(row for rows in counts["cpu"] for row in rows)
    by_rank = [rows for rows in counts["ddp_cpu"] if len(rows) > 200]
    assert len(by_rank) == 2 and abs(len(by_rank[0]) - len(by_rank[1])) <= 50 + 50
    trained = [row for rows in by_rank for row in rows]
    assert set(trained) == set(once)
    # Before training each process tries its first batch, and the first of them draws the graph of it.
    assert len(trained) - 3 * 50 == len(once) - 2 * 100


def test_a_python_script_runs_once_however_many_ranks_train(own_folder: Path) -> None:
    (own_folder / "script.py").write_text(
        "import stepkit\n"
        "print('script runs')\n"
        "run = stepkit.run('trainer=ddp_cpu', 'trainer.max_epochs=1')\n"
        "print(run.status, len(stepkit.load(run).predict([[0.0] * 64])))\n"
    )
    ran = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True, timeout=200)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("script runs") == 1
    assert ran.stdout.strip().splitlines()[-1] == "finished 1"


def test_a_killed_rank_ends_the_others_and_the_run_says_why(own_folder: Path) -> None:
    command = [sys.executable, "-m", "stepkit", "trainer=ddp_cpu", "trainer.max_epochs=100000"]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert parent.stdout is not None
        while "epoch 1/" not in parent.stdout.readline():
            assert parent.poll() is None
        ranks = [int(pid) for pid in Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()]
        victim = next(pid for pid in ranks if b"RANK=1" in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"))
        os.kill(victim, signal.SIGKILL)
        started = time.monotonic()
        _, err = parent.communicate(timeout=60)
        assert time.monotonic() - started < 30
    finally:
        parent.kill()
    assert parent.returncode == 1
    assert "rank 1 of 2 was killed by SIGKILL" in err or "failed" in err
    (file,) = own_folder.glob("outputs/digits/*/run.json")
    assert json.loads(file.read_text())["status"] == "failed"
    assert not any(Path(f"/proc/{pid}").exists() for pid in ranks)


def test_a_class_at_hand_cannot_go_to_several_processes(own_folder: Path) -> None:
    from torch import nn

    import stepkit as sk

    class Net(nn.Linear):
        def __init__(self, in_features: int, num_classes: int) -> None:
            super().__init__(in_features, num_classes)

    with pytest.raises(sk.UserError, match="put it in a module"):
        sk.run("trainer=ddp_cpu", model=Net)
    assert not (own_folder / "outputs").exists()
