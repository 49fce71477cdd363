"""TensorBoard on outputs/, or on one run: its address is printed, it listens on this machine alone.

stepkit board
stepkit board last
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from ..config.project import find_project
from ..errors import NoSuchRun
from ..record.find import all_runs, find_run
from .arguments import parser


def main(arguments: Sequence[str]) -> int:
    options = parser("board", __doc__ or "")
    options.add_argument(
        "run", nargs="?", metavar="RUN", help="a path, the start of an id, or last; default: all of outputs/"
    )
    options.add_argument("--port", type=int, default=6006)
    given = options.parse(arguments)
    outputs = find_project().outputs
    folder = find_run(given.run, outputs) if given.run else _with_runs(outputs)
    command = [
        sys.executable,
        "-m",
        "tensorboard.main",
        "--logdir",
        str(folder),
        "--host",
        "127.0.0.1",
        "--port",
        str(given.port),
    ]
    print(f"TensorBoard on {folder}: http://127.0.0.1:{given.port}/ (Ctrl-C ends it)", flush=True)
    os.execv(sys.executable, command)


def _with_runs(outputs: Path) -> Path:
    if next(all_runs(outputs), None) is None:
        raise NoSuchRun(f"{outputs}: no runs yet; train one with stepkit")
    return outputs
