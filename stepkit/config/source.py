"""Where Hydra finds configs: folders of YAML, and the registry of plugins as one more source.

Both are `ConfigSource`s, Hydra's public way to add a place to look. A plugin needs no YAML: its node names it and
is open, its options are checked later against its signature. Nothing is imported here, so that a typo is told at once.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigResult, ConfigSource
from omegaconf import DictConfig, OmegaConf
from yaml import YAMLError

from .. import plugins
from ..errors import BadPlace, BadSyntax
from .project import packaged_conf

AUTO = "auto"  # loss=auto, metric=auto: what fits the data's task
PROJECT = "project"  # the name under which the user's own config.yaml is composed
FOLLOWING = ("loss", "metric")
GLOBAL = ("experiment", "sweep")  # groups whose files speak of the whole config
_PACKAGE = re.compile(r"^\s*#\s*@package\s+(\S+)\s*$", re.MULTILINE)


class FolderSource(ConfigSource):
    """YAML files of one folder: `folder://PATH`. The user's `config.yaml` is served as `project`: it adds to ours."""

    @staticmethod
    def scheme() -> str:
        return "folder"

    def available(self) -> bool:
        return Path(self.path).is_dir()

    def _file(self, config_path: str) -> Path | None:
        name = config_path.removesuffix(".yaml").strip("/")
        if self.provider == PROJECT:
            if name == "config":
                return None
            name = "config" if name == PROJECT else name
        if not name or ".." in name.split("/"):
            return None
        return Path(self.path, f"{name}.yaml")

    def is_group(self, config_path: str) -> bool:
        return ".." not in config_path.split("/") and Path(self.path, config_path.strip("/")).is_dir()

    def is_config(self, config_path: str) -> bool:
        file = self._file(config_path)
        return file is not None and file.is_file()

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        folder = Path(self.path, config_path.strip("/"))
        names = []
        if results_filter in (None, ObjectType.GROUP):
            names += [
                child.name for child in folder.iterdir() if child.is_dir() and not child.name.startswith(("_", "."))
            ]
        if results_filter in (None, ObjectType.CONFIG):
            names += [child.stem for child in folder.glob("*.yaml")]
        return sorted(set(names))

    def load_config(self, config_path: str) -> ConfigResult:
        file = self._file(config_path)
        assert file is not None, config_path
        text = read(file)
        config = parse(text, self.label(file))
        group = config_path.strip("/").rpartition("/")[0]
        package = _PACKAGE.search(text)
        name = package.group(1) if package else "_global_" if group in GLOBAL else None
        if self.provider == PROJECT and file.name == "config.yaml":
            _override_defaults(config)
        header = {"package": "" if name == "_global_" else name}
        return ConfigResult(config=config, path=self.label(file), provider=self.provider, header=header)

    def label(self, file: Path) -> str:
        """How messages and `stepkit config` call a file."""
        if self.provider == PROJECT:
            return str(Path("conf", file.relative_to(self.path)))
        owner = "stepkit" if Path(self.path) == packaged_conf() else self.provider
        return f"{owner}: {file.relative_to(self.path)}"


def read(file: Path) -> str:
    """A text file's content. Raises BadPlace."""
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise BadSyntax(f"{file}: not UTF-8 text (byte {error.start})") from None
    except OSError as error:
        raise BadPlace(f"{file}: cannot be read: {error.strerror}") from None


def parse(text: str, label: str) -> DictConfig:
    """YAML to a config. Raises BadSyntax naming the line."""
    try:
        config = OmegaConf.create(text) if text.strip() else OmegaConf.create({})
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark is not None else ""
        raise BadSyntax(f"{label}{line}: not YAML: {getattr(error, 'problem', None) or error}") from None
    except Exception as error:  # omegaconf's own refusals: a key of a strange type, a broken interpolation
        raise BadSyntax(f"{label}: {str(error).splitlines()[0]}") from None
    if not isinstance(config, DictConfig):
        raise BadSyntax(f"{label}: must hold 'key: value' lines, not a {type(OmegaConf.to_container(config)).__name__}")
    return config


def _override_defaults(config: DictConfig) -> None:
    """A user's `- optimizer: sgd` changes the choice of our config.yaml, which Hydra wants written as an override."""
    if not OmegaConf.is_list(config._get_node("defaults")):
        return
    ours = (*plugins.GROUPS, "experiment", "trainer")
    lines: list[Any] = []
    for item in OmegaConf.to_container(config.defaults, resolve=False):  # type: ignore[union-attr]
        key = next(iter(item)) if isinstance(item, dict) and len(item) == 1 else ""
        group = str(key).strip("/")
        lines.append({f"override /{group}": item[key]} if isinstance(item, dict) and group in ours else item)
    config.defaults = lines


class PluginSource(ConfigSource):
    """The registry: `stepkit://`. Answers from entry-point metadata alone."""

    @staticmethod
    def scheme() -> str:
        return "stepkit"

    def available(self) -> bool:
        return True

    def is_group(self, config_path: str) -> bool:
        return config_path.strip("/") in ("", *plugins.GROUPS)

    def is_config(self, config_path: str) -> bool:
        group, name = _split(config_path)
        if config_path.removesuffix(".yaml") == PROJECT:
            return True
        return group in plugins.GROUPS and (plugins.has(group, name) or (name == AUTO and group in FOLLOWING))

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        group = config_path.strip("/")
        if not group:
            return list(plugins.GROUPS) if results_filter in (None, ObjectType.GROUP) else []
        return plugins.available(group) if results_filter in (None, ObjectType.CONFIG) else []

    def load_config(self, config_path: str) -> ConfigResult:
        if config_path.removesuffix(".yaml") == PROJECT:  # nobody's own config: it adds nothing
            return ConfigResult(config=OmegaConf.create({}), path="", provider="stepkit", header={"package": ""})
        group, name = _split(config_path)
        node = OmegaConf.create({"_target_": AUTO if name == AUTO else plugins.find(group, name).reference})
        OmegaConf.set_struct(node, False)
        # Of some groups a run has several: each plugin stands under its own name.
        package = f"{group}.{name.rpartition('.')[2]}" if group in plugins.SEVERAL else None
        return ConfigResult(
            config=node, path=f"stepkit://{group}/{name}", provider="stepkit", header={"package": package}
        )


def _split(config_path: str) -> tuple[str, str]:
    group, _, name = config_path.removesuffix(".yaml").strip("/").partition("/")
    return group, name
