"""docs/data.md is followed word for word: its files are written, its commands run."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import stepkit as sk

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"<!-- file: (\S+) -->\n```python\n(.*?)```", TEXT, re.DOTALL))
COMMANDS = re.findall(r"<!-- run -->\n```console\n\$ (.*?)\n```", TEXT)
Command = Callable[..., subprocess.CompletedProcess[str]]


def test_the_data_guide_works_as_it_is_written(stepkit: Command, own_folder: Path) -> None:
    assert len(FILES) == 3 and len(COMMANDS) == 3
    for name, source in FILES.items():
        (own_folder / name).parent.mkdir(exist_ok=True)
        (own_folder / name).write_text(source)
    (own_folder / "conf").mkdir()
    (own_folder / "conf" / "config.yaml").write_text("trusted: [mine]\n")
    for command in COMMANDS:
        ran = stepkit(*shlex.split(command)[1:])
        assert ran.returncode == 0, ran.stderr
        assert ran.stderr == ""
    records = [json.loads(file.read_text()) for file in own_folder.glob("outputs/*/*/run.json")]
    scores = {record["plugins"]["data"]["plugin"]: record["metrics"]["accuracy/test"] for record in records}
    assert scores["Rings"] > 0.9 and scores["NoisyRings"] > 0.9 and "Parity" in scores
    rings = next(run for run in sk.runs() if run.record["plugins"]["data"]["plugin"] == "Rings")
    assert sk.load(rings).predict([[0.0, 1.0], [2.0, 0.0]]) == ["inner", "outer"]
