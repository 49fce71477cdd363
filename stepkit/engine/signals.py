"""Ctrl-C and SIGTERM: a handler only sets a flag, the step in progress is finished first."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

import pytorch_lightning as pl


@dataclass
class Interruption:
    """The signal that asked a run to end, if one did."""

    signal: int | None = None

    @property
    def exit_code(self) -> int:
        """130 after SIGINT, 143 after SIGTERM, as shells say it."""
        return 128 + self.signal if self.signal else 0


@contextmanager
def ending_cleanly(trainer: pl.Trainer) -> Iterator[Interruption]:
    """While this holds, SIGINT and SIGTERM end training after the step in progress; a second SIGINT ends it at once."""
    asked = Interruption()
    if threading.current_thread() is not threading.main_thread():  # only the main thread may handle signals
        yield asked
        return

    def ask(number: int, frame: FrameType | None) -> None:
        asked.signal = number
        trainer.should_stop = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before: dict[int, Any] = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
