"""The folder a user works in: their own `conf/`, and where outputs go."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path


@dataclass(frozen=True)
class Project:
    """
    Attributes:
        root: the folder that holds `conf/`, found from its sub-folders too; else the folder one stands in.
        conf: the user's own config folder, or None.
    """

    root: Path
    conf: Path | None

    @property
    def outputs(self) -> Path:
        return self.root / "outputs"


def find_project(start: Path | None = None) -> Project:
    """The nearest folder from `start` (default: the current one) upwards that has a `conf/` with YAML in it."""
    here = (start or Path.cwd()).absolute()
    for folder in (here, *here.parents):
        conf = folder / "conf"
        if conf.is_dir() and (any(conf.glob("*.yaml")) or any(conf.glob("*/*.yaml"))):
            # In a checkout of stepkit itself conf/ is the packaged one: a place to work in, but nobody's own config.
            return Project(folder, None if conf.samefile(packaged_conf()) else conf)
        if (folder / ".git").exists():
            break
    return Project(here, None)


@lru_cache(maxsize=1)
def packaged_conf() -> Path:
    """stepkit's own YAML: `stepkit.conf` of an installation, `conf/` of a checkout."""
    spec = importlib.util.find_spec("stepkit.conf")
    if spec is not None and spec.origin is not None:
        return Path(spec.origin).parent
    return Path(__file__).resolve().parents[2] / "conf"
