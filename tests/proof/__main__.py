"""`python -m tests.proof`: run the parity matrix once and print its table; exit code 1 if a cell is not as listed."""

from __future__ import annotations

import contextlib
import sys
import tempfile
import time
import warnings

from .cells import cells
from .compare import outcome
from .table import expected, label, table


def main() -> int:
    started, labels = time.monotonic(), []
    for cell in cells():
        result = outcome(cell)
        if result.kind == "wrong":
            print(f"{cell}: {'; '.join(result.told)}", file=sys.stderr)
        labels.append("not as listed" if result.kind == "wrong" else label(cell))
    made = table(labels)
    print(made)
    print(f"{time.monotonic() - started:.0f} s", file=sys.stderr)
    return 0 if made == expected() else 1


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # the table alone
    with tempfile.TemporaryDirectory() as empty, contextlib.chdir(empty):  # where no conf of a project is
        sys.exit(main())
