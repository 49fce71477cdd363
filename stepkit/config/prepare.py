"""Overrides in, a checked config out: stages 1 to 3."""

from __future__ import annotations

from collections.abc import Sequence

from .check import check
from .hydra import Composed, compose, loader
from .names import check_names
from .project import Project, find_project


def prepare(overrides: Sequence[str], project: Project | None = None) -> Composed:
    """Names first, then compose, then options. Raises Mistakes with all that the first failing stage found."""
    project = project or find_project()
    hydra_loader = loader(project)
    good = check_names(overrides, hydra_loader)
    composed = compose(good, project, hydra_loader)
    composed.overrides = tuple(overrides)
    return check(composed)
