"""One process of a run that has several; started by stepkit itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def main(arguments: Sequence[str]) -> int:
    from .. import training

    return training.run_rank(Path(arguments[0])).exit_code
