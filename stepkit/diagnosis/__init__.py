"""What is wrong with a training, in words: rules over recorded numbers. No torch."""

from __future__ import annotations

from pathlib import Path

from .evidence import Evidence
from .examine import Report, examine, of_run
from .finding import Finding

__all__ = ["Evidence", "Finding", "Report", "examine", "findings", "of_run"]


def findings(path: Path) -> list[Finding]:
    """What is wrong with the run in this directory; an empty list if nothing was found. Raises BadPlace."""
    return of_run(path).findings
