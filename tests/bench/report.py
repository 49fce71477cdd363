"""What a benchmark found: tables of times, and notes."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, field

import torch

from .paired import Measured


def machine() -> str:
    """What it ran on, and how busy that was."""
    load = os.getloadavg()[0]
    return f"torch {torch.__version__}, {torch.get_num_threads()} thread, {os.cpu_count()} cores, load {load:.1f}, " + (
        platform.machine()
    )


@dataclass
class Report:
    """Tables by title, and lines below them."""

    tables: dict[str, list[Measured]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    on: str = field(default_factory=machine)

    def text(self) -> str:
        """As Markdown."""
        parts = [f"{title}\n\n{_table(rows)}" for title, rows in self.tables.items()]
        return "\n\n".join([*parts, *self.notes, self.on])


def _table(rows: list[Measured]) -> str:
    width = max(len(row.name) for row in rows)
    lines = [f"| {'':{width}} | CPU ms a step | quartiles       | over it |", f"|-{'-' * width}-|---:|---|---:|"]
    for row in rows:
        spread = f"{row.low:.2f} to {row.high:.2f}"
        lines.append(f"| {row.name:{width}} | {row.median:9.2f} | {spread:15} | {100 * (row.ratio - 1):+6.1f} % |")
    return "\n".join(lines)
