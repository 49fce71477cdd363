"""TensorBoard on outputs/, or on some runs or sweeps: on this machine alone, opened at the charts that matter.

stepkit board
stepkit board last
stepkit board 4f3a outputs/digits/20261125-101500-9c1d2e
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from ..config.project import find_project
from ..errors import BadPlace, NoSuchRun
from ..record.find import all_runs, find_run
from .arguments import parser

PINNED = ("loss/train", "loss/val", "gradient/norm", "update/ratio")
WAIT = 30.0  # seconds that TensorBoard may take to answer before the browser is sent to it


def main(arguments: Sequence[str]) -> int:
    options = parser("board", __doc__ or "")
    options.add_argument("runs", nargs="*", metavar="RUN", help="a path, the start of an id, or last; default: all")
    options.add_argument("--port", type=int, default=6006)
    options.add_argument("--host", default="127.0.0.1", help="an address others can reach opens it to them")
    options.add_argument("--no-browser", action="store_true", help="print the address only")
    given = options.parse(arguments)
    _check_port(given.host, given.port)
    with tempfile.TemporaryDirectory(prefix="stepkit-board-") as folder:
        logdir = _logdir(given.runs, find_project().outputs, Path(folder))
        address = f"http://{given.host}:{given.port}/{deep_link()}"
        print(
            f"TensorBoard on {logdir if not given.runs else ', '.join(given.runs)} (Ctrl-C ends it)\n{address}",
            flush=True,
        )
        return _serve(logdir, given.host, given.port, "" if given.no_browser else address)


def deep_link() -> str:
    """Opens the time series with the charts pinned that tell how a training goes, unsmoothed."""
    cards = json.dumps([{"plugin": "scalars", "tag": tag} for tag in PINNED], separators=(",", ":"))
    return f"?pinnedCards={quote(cards)}&smoothing=0#timeseries"


def _logdir(runs: Sequence[str], outputs: Path, folder: Path) -> Path:
    """One folder with what was asked for; several runs as links, since only one folder is read by the fast loader."""
    if not runs:
        if next(all_runs(outputs), None) is None:
            raise NoSuchRun(f"{outputs}: no runs yet; train one with stepkit")
        return outputs
    found = [_find(run, outputs) for run in runs]
    if len(found) == 1:
        return found[0]
    for path in found:
        (folder / path.name).symlink_to(path)
    return folder


def _find(run: str, outputs: Path) -> Path:
    """A run, or a folder with runs below it, as a sweep's."""
    path = Path(run)
    if path.is_dir() and not (path / "run.json").exists():
        if next(all_runs(path), None) is None and not any(path.glob("*/run.json")):
            raise NoSuchRun(f"{run}: no runs in this folder")
        return path.absolute()
    return find_run(run, outputs)


def _check_port(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise BadPlace(
                f"--port={port}: {host}:{port} cannot be used: {error.strerror}; give another --port"
            ) from None


def _serve(logdir: Path, host: str, port: int, address: str) -> int:
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(logdir), "--host", host, "--port", str(port)]
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    board = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=quiet)
    signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGINT))  # TensorBoard must not outlive this command
    try:
        if address and sys.stdout.isatty() and _answers(board, host, port):
            webbrowser.open(address)
        _, said = board.communicate()
    except KeyboardInterrupt:
        board.terminate()
        board.wait()
        return 0
    if board.returncode:
        last = (said.strip().splitlines() or ["no reason given"])[-1]
        raise BadPlace(f"TensorBoard ended with code {board.returncode}: {last}")
    return 0


def _answers(board: subprocess.Popen[str], host: str, port: int) -> bool:
    limit = time.monotonic() + WAIT
    while board.poll() is None and time.monotonic() < limit:
        with socket.socket() as probe:
            if probe.connect_ex((host, port)) == 0:
                return True
        time.sleep(0.2)
    return False
