"""What is wrong with this training, in words: what and where, why it matters, one thing to try.

stepkit doctor last
stepkit doctor f215fe --json
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from rich.console import Console

from ..config.project import find_project
from ..diagnosis import Finding, Report, of_run
from ..record.find import find_run
from ..review.tables import plain, wide_console
from .arguments import parser


def main(arguments: Sequence[str]) -> int:
    """0 whether or not something was found: it is advice, not a test."""
    options = parser("doctor", __doc__ or "")
    options.add_argument("run", metavar="RUN", help="a path, the start of an id, or last")
    options.add_argument("--json", action="store_true", help="as JSON: a list of findings")
    given = options.parse(arguments)
    report = of_run(find_run(given.run, find_project().outputs))
    if given.json:
        print(json.dumps([finding.plain() for finding in report.findings], indent=2))
        return 0
    console = wide_console()
    for finding in report.findings:
        show_finding(console, finding)
    _say(console, summary(report))
    for name, reason in report.unseen.items():
        _say(console, f"not judged: {name}: {reason}")
    return 0


def show_finding(console: Console, finding: Finding) -> None:
    """One finding in three lines."""
    console.print(plain(finding.kind), style="bold", markup=False, highlight=False)
    for line in (f"{finding.what}.", f"Why: {finding.why}.", f"Try: {finding.advice}"):
        _say(console, f"  {plain(line)}")


def summary(report: Report) -> str:
    """How much was found, and what was looked at."""
    number = len(report.findings)
    found = "nothing found" if not number else "1 finding" if number == 1 else f"{number} findings"
    return f"{found} in {report.steps:,} steps; looked at: {', '.join(report.looked) or 'nothing'}"


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
