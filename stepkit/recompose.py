"""A run's own config, as it ran, from its directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from .config.hydra import Composed
from .config.project import find_project
from .config.targets import allowed
from .record.files import read_json


def recomposed(path: Path) -> Composed:
    """A finished run's config as it ran. A run's folder is not trusted: it cannot widen what may be constructed."""
    project = find_project()
    cfg: Any = OmegaConf.load(path / "config.yaml")
    composed = Composed(cfg, project, trusted=_trusted_here(project))
    for key in read_json(path / "run.json")["plugins"]:
        node = OmegaConf.select(cfg, key)
        if node is not None:
            group = key.partition(".")[0] if key.count(".") <= 1 else "part"
            composed.plugins[key] = allowed(
                group, f"{key}._target_", node.get("_target_"), composed.trusted, project.root, str(path)
            )
    return composed


def _trusted_here(project: Any) -> tuple[str, ...]:
    """What the conf of the folder one stands in declares trusted."""
    file = None if project.conf is None else project.conf / "config.yaml"
    if file is None or not file.is_file():
        return ()
    return tuple(OmegaConf.select(OmegaConf.load(file), "trusted", default=None) or ())
