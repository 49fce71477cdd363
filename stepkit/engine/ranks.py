"""Several processes for one run: stepkit starts them itself.

Lightning would execute the caller's whole command (or, from Python, the caller's whole script) again in each of them.
Here every rank is a small process that knows only the run's directory: `python -m stepkit rank RUN`. The one
that started them waits, ends all when one dies, and trains nothing itself.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..errors import RunFailed, Unsupported
from ..plugins import LOCAL, Plugin

MARK = "STEPKIT_RANK_OF"  # set in a rank: the run's directory
POLL = 0.1  # seconds
GRACE = 10.0  # seconds between asking ranks to end and killing them


@dataclass(frozen=True)
class Place:
    """Which of how many processes this one is."""

    rank: int = 0
    world: int = 1


def place() -> Place:
    """This process's place in its run."""
    if MARK not in os.environ:
        return Place()
    return Place(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))


def inside() -> bool:
    """Whether this process is a rank that stepkit started."""
    return MARK in os.environ


def leave() -> None:
    """The end of a rank: all wait for each other, so that none takes a connection away that another still reads."""
    from torch import distributed

    if distributed.is_available() and distributed.is_initialized():
        distributed.barrier()
        distributed.destroy_process_group()


def check(used: Iterable[Plugin]) -> None:
    """Raises Unsupported for a class at hand: another process cannot reach it."""
    for plugin in used:
        if plugin.reference.startswith(LOCAL):
            raise Unsupported(
                f"{plugin.group}={plugin.name}: a class handed over in Python cannot go to several processes; "
                "put it in a module, and name it as _target_"
            )


def launch(directory: Path, world: int) -> int:
    """Train in `world` processes on this machine and wait. Returns their exit code; raises RunFailed when one dies."""
    port = _free_port()
    ranks = [
        subprocess.Popen(
            [sys.executable, "-m", "stepkit", "rank", str(directory)], env=_environment(directory, rank, world, port)
        )
        for rank in range(world)
    ]
    asked: list[int] = []
    before = {number: signal.signal(number, lambda n, _: asked.append(n)) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        return _wait(ranks, asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _end(ranks)


def _wait(ranks: list[subprocess.Popen[bytes]], asked: list[int]) -> int:
    passed_on = 0
    while True:
        codes = [rank.poll() for rank in ranks]
        if all(code is not None for code in codes):
            bad = [code for code in codes if code]
            if any(code not in (130, 143) for code in bad):
                raise RunFailed(_reason(codes))
            return next((code for code in codes if code), 0)
        if any(code not in (None, 0, 130, 143) for code in codes):
            raise RunFailed(_reason(codes))
        if len(asked) > passed_on:  # a terminal tells the whole group, a scheduler this process alone
            passed_on = len(asked)
            for rank in ranks:
                if rank.poll() is None and asked[-1] == signal.SIGTERM:
                    rank.send_signal(asked[-1])
        time.sleep(POLL)


def _reason(codes: list[int | None]) -> str:
    number = next(i for i, code in enumerate(codes) if code not in (None, 0, 130, 143))
    code = codes[number] or 0
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
    return f"rank {number} of {len(codes)} {how}; the others were ended"


def _end(ranks: list[subprocess.Popen[bytes]]) -> None:
    """No rank outlives the run."""
    for rank in ranks:
        if rank.poll() is None:
            rank.terminate()
    limit = time.monotonic() + GRACE
    for rank in ranks:
        try:
            rank.wait(max(0.0, limit - time.monotonic()))
        except subprocess.TimeoutExpired:
            rank.kill()
            rank.wait()


def _environment(directory: Path, rank: int, world: int, port: int) -> dict[str, str]:
    numbers = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "NODE_RANK": 0, "MASTER_PORT": port}
    return {**os.environ, **{k: str(v) for k, v in numbers.items()}, "MASTER_ADDR": "127.0.0.1", MARK: str(directory)}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
