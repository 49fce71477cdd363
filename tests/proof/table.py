"""The README's short table: the size of the parity matrix, and what came of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from .cells import ACCUMULATE, CLIP, PRECISION, REFUSED, ROWS, SCHEDULER, STEPS, Cell, cells, refusal

EQUAL = "equal"


def label(cell: Cell) -> str:
    """The line of the table that a cell should be counted in."""
    found = refusal(cell)
    return found.reason if found else EQUAL


def expected() -> str:
    """The table as it is when every cell does what its list says; test_parity.py holds each cell to it."""
    return table(map(label, cells()))


def table(labels: Iterable[str]) -> str:
    """As Markdown, from what came of each cell: equal, the reason of a refusal, or what else happened."""
    counts = Counter(labels)
    trained = {row.optimizer for row in ROWS}
    lines = [
        "| stepkit's run against a loop written by hand, on CPU | cells |",
        "|---|---:|",
        f"| parameters, buffers, losses and learning rates equal to the last bit after {STEPS} steps | "
        f"{counts.pop(EQUAL, 0):,} |",
    ]
    lines += [f"| refused: {found.reason} | {counts.pop(found.reason, 0)} |" for found in REFUSED]
    lines += [f"| **{other}** | {count} |" for other, count in counts.items()]
    axes = " × ".join(
        f"{name} {{{', '.join(map(str, values))}}}"
        for name, values in (
            ("accumulation", ACCUMULATE),
            ("clipping", CLIP),
            ("scheduler", SCHEDULER),
            ("precision", PRECISION),
        )
    )
    total = f"| all: {len(ROWS)} rows of {len(trained)} optimizers × {axes} | {len(list(cells())):,} |"
    return "\n".join([*lines, total])
