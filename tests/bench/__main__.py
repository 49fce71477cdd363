"""`python -m tests.bench [NAME …] [--json]`: run the named benchmarks, all of them without a name."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from dataclasses import asdict

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported

from . import nonfinite, observe
from .report import Report

BENCHMARKS: dict[str, Callable[[], Report]] = {"nonfinite": nonfinite.run, "observe": observe.run}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("name", nargs="*", choices=[*BENCHMARKS, []], help=", ".join(BENCHMARKS))
    parser.add_argument("--json", action="store_true", help="the figures as JSON")
    arguments = parser.parse_args()
    reports = {name: BENCHMARKS[name]() for name in arguments.name or BENCHMARKS}
    if arguments.json:
        print(json.dumps({name: asdict(report) for name, report in reports.items()}, indent=2))
    else:
        print("\n\n".join(report.text() for report in reports.values()))


if __name__ == "__main__":
    main()
