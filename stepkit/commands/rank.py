"""One process of a run that has several; started by stepkit itself."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path


def main(arguments: Sequence[str]) -> int:
    from .. import training
    from ..engine.ranks import leave

    code = training.run_rank(Path(arguments[0])).exit_code
    leave()
    sys.stdout.flush()
    sys.stderr.flush()
    # gloo's and torch's threads may still be there, and an interpreter that ends under them aborts now and then.
    os._exit(code)
