"""The writer costs little to import."""

from __future__ import annotations

import subprocess
import sys


def test_neither_torch_nor_tensorboards_machinery_is_imported() -> None:
    code = "import sys, stepkit.events; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "stepkit.events.writer" in modules
    assert not {"torch", "tensorflow", "tensorboard.default", "tensorboard.summary", "grpc"} & set(modules)
