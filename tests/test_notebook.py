"""A small notebook, executed: run and load in cells, twice, with a class defined there."""

from __future__ import annotations

from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")

CELLS = [
    "import stepkit\nfrom torch import nn",
    "run = stepkit.run('trainer.max_epochs=2')\nrun",
    "class Net(nn.Linear):\n    def __init__(self, in_features: int, num_classes: int):\n"
    "        super().__init__(in_features, num_classes)",
    "first = stepkit.run('trainer.max_epochs=2', model=Net)\nfirst.status",
    "class Net(nn.Sequential):\n    def __init__(self, in_features: int, num_classes: int, width: int = 16):\n"
    "        super().__init__(nn.Linear(in_features, width), nn.ReLU(), nn.Linear(width, num_classes))",
    "second = stepkit.run('trainer.max_epochs=2', 'model.width=12', model=Net)\nstepkit.load(second).module",
    "stepkit.load(run).predict([[0.0] * 64])",
    "stepkit.run('optimzer=sgd')",
]


@pytest.mark.slow
def test_a_notebook_trains_twice_with_a_class_of_its_own(own_folder: Path) -> None:
    cells = [nbformat.v4.new_code_cell(source) for source in CELLS]
    notebook = nbformat.v4.new_notebook(cells=cells)
    client = nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3", allow_errors=True)
    client.execute(cwd=str(own_folder))
    outputs = [cell["outputs"] for cell in notebook.cells]
    table = outputs[1][-1]["data"]["text/html"]
    assert "finished" in table and "accuracy/test" in table and "<table>" in table
    bars = [
        o["data"]["text/html"]
        for o in outputs[1]
        if "text/html" in o.get("data", {}) and "<progress" in o["data"]["text/html"]
    ]
    assert len(bars) == 1 and "accuracy/val" in bars[0]  # one bar, drawn anew in its place
    assert outputs[3][-1]["data"]["text/plain"] == "'finished'"
    assert "out_features=12" in outputs[5][-1]["data"]["text/plain"]
    assert "[" in outputs[6][-1]["data"]["text/plain"]
    assert outputs[7][-1]["ename"] == "Mistakes" and "did you mean 'optimizer'?" in outputs[7][-1]["evalue"]
    streams = "".join(o.get("text", "") for cell in outputs for o in cell if o["output_type"] == "stream")
    assert "Warning" not in streams and "Traceback" not in streams
