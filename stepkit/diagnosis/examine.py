"""All rules over one run: what was found, what was looked at, what could not be judged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..events.reading import Reader
from ..record.files import read_json
from . import gradients, learning, movement, units
from . import thresholds as t
from .evidence import Evidence
from .finding import Finding, NotSeen


@dataclass(frozen=True)
class Rule:
    """One question to a run.

    Attributes:
        name: what is looked at, as people say it.
        find: yields findings; raises NotSeen where it cannot judge.
        least: observed steps below which it is not asked.
        course: whether it judges how a run goes, and so has to wait until a good part of it is seen.
    """

    name: str
    find: Callable[[Evidence], Iterator[Finding]]
    least: int = t.STEPS
    course: bool = False


RULES = (
    Rule("numbers gone wrong", gradients.nonfinite, 0),
    Rule("exploding gradients", gradients.exploding, t.FEW),
    Rule("exploding gradients by layer", gradients.exploding_by_layer),
    Rule("vanishing gradients by layer", gradients.vanishing),
    Rule("dead units", units.dead, course=True),
    Rule("saturated units", units.saturated, course=True),
    Rule("parameters that never move", movement.still),
    Rule("update ratio", movement.ratio, course=True),
    Rule("learning rate", movement.resting),
    Rule("clipping", gradients.clipping, course=True),
    Rule("loss falling", learning.falling, t.LEARNING_STEPS, course=True),
    Rule("loss against chance", learning.chance, t.LEARNING_STEPS, course=True),
    Rule("overfitting", learning.overfitting, t.LEARNING_STEPS),
    Rule("validation improving", learning.improving, t.LEARNING_STEPS, course=True),
    Rule("gradient noise", gradients.noise, course=True),
)

# What is not said where one of these is: the same fault seen from another side.
ECHOES = {
    "updates too small": {"dead units", "saturated units", "clipping always bites", "learning rate zero"},
    "validation not improving": {"overfitting", "loss not falling", "loss at chance"},
}
CAUSES = {
    "numbers gone wrong", "exploding gradients", "vanishing gradients", "dead units", "saturated units",
    "updates too small", "updates too large", "clipping always bites", "learning rate zero",
}  # fmt: skip
SYMPTOMS = {"loss not falling", "loss at chance"}


@dataclass
class Report:
    """What a run was found to suffer from.

    Attributes:
        steps: how many steps were observed.
        looked: names of the rules that could judge.
        unseen: of those that could not, with the reason.
    """

    steps: int
    findings: list[Finding] = field(default_factory=list)
    looked: list[str] = field(default_factory=list)
    unseen: dict[str, str] = field(default_factory=dict)


def examine(run: Evidence) -> Report:
    """Ask every rule."""
    report = Report(run.steps)
    for rule in RULES:
        if run.steps < rule.least:
            report.unseen[rule.name] = f"{run.steps} steps are too few to say, {rule.least} are wanted"
            continue
        if rule.course and run.early:
            report.unseen[rule.name] = f"{run.last_step} steps of this run are too few to say"
            continue
        try:
            report.findings += rule.find(run)
            report.looked.append(rule.name)
        except NotSeen as reason:
            report.unseen[rule.name] = str(reason)
    report.findings = _without_echoes(report.findings)
    return report


def _without_echoes(found: list[Finding]) -> list[Finding]:
    """One cause told once, and symptoms with the advice that its cause has."""
    kinds = {finding.kind for finding in found}
    dead = {name for finding in found if finding.kind == "dead units" for name in finding.names}
    told: list[Finding] = []
    for finding in found:
        if kinds & ECHOES.get(finding.kind, set()):
            continue
        if finding.kind == "parameters that never move" and dead and set(finding.names) <= dead:
            continue
        cause = next((other for other in told if other.kind in CAUSES), None)
        told.append(replace(finding, advice=cause.advice) if cause and finding.kind in SYMPTOMS else finding)
    return told


def of_run(path: Path) -> Report:
    """The report on a run's directory, from its event files and run.json. Raises BadPlace."""
    record = read_json(path / "run.json")
    best: Any = record.get("best")
    known = {}
    if isinstance(best, dict) and best.get("mode") in ("min", "max"):
        known = {"metric": str(best.get("metric")), "mode": str(best["mode"])}
    ended = record.get("status") not in ("running", "interrupted", "failed")
    evidence = Evidence(Reader(path).read(), **known, ended=ended, error=str(record.get("error") or ""))
    return examine(evidence)
