"""The one seam into Hydra's private names: compose, and remember who set what.

Proven on hydra-core 1.3.8. The private names are `ConfigLoaderImpl` with its `_compose_config_from_defaults_list`
and `_load_single_config`, `ConfigSearchPathImpl`, and a default's `config_path`, `parent`, `package`. Everything
else of stepkit speaks of `Composed` alone.
"""

from __future__ import annotations

import copy
import importlib.metadata
import importlib.util
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra import version
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_search_path_impl import ConfigSearchPathImpl
from hydra.core.plugins import Plugins
from hydra.core.utils import JobRuntime, setup_globals
from hydra.errors import HydraException
from hydra.plugins.config_source import ConfigResult
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from .. import plugins
from ..errors import BadSyntax, UnknownName, UserError
from .project import Project, packaged_conf
from .source import FolderSource, PluginSource

PRIMARY = "config"
_NOT_FOUND = re.compile(r"(?:In '(?P<file>[^']*)': )?Could not (?:find|load|override) '(?P<group>\w+)/(?P<name>[^']+)'")
_MERGING = re.compile(r"Error merging override (?P<override>.*)")


@dataclass
class Composed:
    """A config as Hydra composed it.

    Attributes:
        cfg: the config, without Hydra's own node.
        origin: for each leaf key, who set it.
        notes: what was dropped, and why; told to the user.
        choices: the name chosen in each group.
        overrides: what was typed.
        trusted: modules below which the user's own conf allows a `_target_`.
        plugins: for each key of a plugin's node, the plugin.
    """

    cfg: DictConfig
    project: Project
    origin: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    choices: dict[str, Any] = field(default_factory=dict)
    overrides: tuple[str, ...] = ()
    trusted: tuple[str, ...] = ()
    plugins: dict[str, plugins.Plugin] = field(default_factory=dict)

    def where(self, key: str) -> str:
        """Who set a key, or the first of the keys below it."""
        if key in self.origin:
            return self.origin[key]
        return next((who for k, who in self.origin.items() if k.startswith(f"{key}.")), "")


class Loader(ConfigLoaderImpl):
    """Hydra's loader, which also remembers who set every value and drops options written for another plugin."""

    _names: dict[str, list[str]]
    typed: dict[str, str] = {}  # noqa: RUF012 (set anew for each composition): {group: a `_target_` that was typed}

    def names(self, group: str) -> list[str]:
        """What can be chosen in a group; Hydra would look anew each time."""
        if group not in self._names:
            self._names[group] = self.get_group_options(group)
        return self._names[group]

    def _compose_config_from_defaults_list(self, defaults: Any, repo: Any) -> DictConfig:
        self.origin: dict[str, str] = {}
        self.notes: list[str] = []
        self.trusted: list[str] = []
        self._meant = Meant(defaults, repo, self.typed)
        paths = [default.config_path for default in defaults if default.config_path is not None]
        self._labels = {path: repo.load_config(path).path for path in paths}
        cfg = super()._compose_config_from_defaults_list(defaults, repo)
        for group in (*plugins.GROUPS, "trainer"):
            if group not in cfg:  # options typed for it must reach the check, which says what is missing
                cfg[group] = {}
                OmegaConf.set_struct(cfg[group], False)
        return cfg

    def _load_single_config(self, default: Any, repo: Any) -> ConfigResult:
        result = super()._load_single_config(default, repo)
        if default.config_path.startswith("hydra"):
            return result
        result = copy.copy(result)
        config = copy.deepcopy(result.config)  # the repository caches what we are about to change
        assert isinstance(config, DictConfig)
        result.config = config
        if result.provider == "project":
            self.trusted += OmegaConf.select(config, "trusted", default=None) or []
        for group in plugins.GROUPS:
            if group not in plugins.SEVERAL:
                self._drop_options_for_another(group, default.config_path, result, config)
        for key in config:
            if (node := mapping(config, key)) is not None:
                OmegaConf.set_struct(node, False)  # its keys are checked by stepkit, with better advice
        group = default.config_path.partition("/")[0]
        who = self._labels.get(self._meant.chosen_by(group), "") if result.provider == "stepkit" else result.path
        own = (key for key in leaves(config) if not key.startswith("hydra."))
        self.origin.update((key, who) for key in own)
        return result

    def _drop_options_for_another(self, group: str, path: str, result: ConfigResult, config: DictConfig) -> None:
        node = mapping(config, group)
        meant, now = self._meant.by(path, group), self._meant.now(group)
        if meant is None or meant == now or node is None:
            return
        # A file that names a class of its own (_target_) means that class, not the plugin chosen beside it.
        if "_target_" in node or result.provider == "stepkit":
            return
        keys = list(leaves(node, f"{group}."))
        self.notes.append(
            f"{', '.join(keys)} of {result.path} dropped: for {group}={meant}, now {group}={now or 'null'}"
        )
        del config[group]


class Meant:
    """For which plugin of a group a file writes its options: that of its own override, else of a file it includes,
    else the one that the primary configs (ours, then the user's config.yaml) choose."""

    def __init__(self, defaults: Any, repo: Any, typed: dict[str, str]) -> None:
        self._final: dict[str, str | None] = {}
        self._choices: dict[str, dict[str, str | None]] = {PRIMARY: {}}
        self._included: dict[str, list[str]] = {}
        for default in defaults:
            if default.config_path is not None:
                self._read(default, repo)
        self._final.update(typed)
        self._choices[PRIMARY].update(self._choices.get("project", {}))

    def _read(self, default: Any, repo: Any) -> None:
        path = default.config_path
        if default.parent and default.parent != path:
            self._included.setdefault(default.parent, []).append(path)
        group, _, name = path.partition("/")
        if group in plugins.GROUPS and default.package == group:
            self._final[group] = name
        loaded = repo.load_config(path)
        speaks = loaded is not None and ("/" not in path or path.startswith("experiment/"))
        for named in plugins.GROUPS if speaks else ():
            if target := OmegaConf.select(loaded.config, f"{named}._target_", throw_on_resolution_failure=False):
                self._final[named] = target  # a class named in a file stands above the plugin chosen beside it
                self._choices.setdefault(path, {})[named] = target
        for item in (loaded.defaults_list or ()) if loaded else ():
            if getattr(item, "group", None) and (item.override or path == PRIMARY):
                value = item.value if isinstance(item.value, str) else None
                self._choices.setdefault(path, {})[item.group.strip("/")] = value

    def chosen_by(self, group: str) -> str:
        """The file that chose the group's plugin: the last one that overrides it, else the primary config."""
        return next(
            (path for path, chosen in reversed(self._choices.items()) if path != PRIMARY and group in chosen), PRIMARY
        )

    def now(self, group: str) -> str | None:
        return self._final.get(group)

    def by(self, path: str, group: str) -> str | None:
        return self._own(path, group) or self._choices[PRIMARY].get(group)

    def _own(self, path: str, group: str) -> str | None:
        if group in self._choices.get(path, {}):
            return self._choices[path][group]
        if path == PRIMARY:
            return None
        return next((found for child in self._included.get(path, ()) if (found := self._own(child, group))), None)


def mapping(node: DictConfig, key: Any) -> DictConfig | None:
    """The mapping at a key, if there is one; nothing is resolved."""
    child = node._get_node(key)
    return child if isinstance(child, DictConfig) and not child._is_none() and not child._is_missing() else None


def leaves(node: DictConfig, prefix: str = "") -> Iterator[str]:
    """The full keys of all values below a node; an empty or null mapping is a value."""
    for key in node:
        child = mapping(node, key)
        if child is not None and len(child):
            yield from leaves(child, f"{prefix}{key!s}.")
        else:
            yield f"{prefix}{key!s}"


def loader(project: Project) -> Loader:
    """Hydra's loader over: the user's conf, plugin packages' conf, stepkit's conf, the registry."""
    version.setbase("1.3")
    setup_globals()
    JobRuntime().set("name", "stepkit")
    for source in (FolderSource, PluginSource):
        Plugins.instance().register(source)  # in this process alone: other Hydra applications are left as they are
    path = ConfigSearchPathImpl()
    path.append("hydra", "pkg://hydra.conf")
    if project.conf is not None:
        path.append("project", f"folder://{project.conf}")
    for name, folder in plugin_folders():
        path.append(name, f"folder://{folder}")
    path.append("main", f"folder://{packaged_conf()}")
    path.append("stepkit", "stepkit://")
    path.append("schema", "structured://")
    made = Loader(config_search_path=path)
    made._names = {}
    return made


def plugin_folders() -> Iterator[tuple[str, Path]]:
    """(distribution, folder) of YAML that plugin packages announce in the entry-point group `stepkit.conf`."""
    for entry in importlib.metadata.entry_points(group="stepkit.conf"):
        top, *rest = entry.value.split(".")
        spec = importlib.util.find_spec(top)  # of the top level only: a dotted look-up would import the package
        for place in (spec.submodule_search_locations or ()) if spec else ():
            folder = Path(place, *rest)
            if folder.is_dir():
                yield entry.dist.name if entry.dist else entry.name, folder


def compose(overrides: Sequence[str], project: Project, hydra_loader: Loader | None = None) -> Composed:
    """Compose the config of a command. Raises BadSyntax where Hydra refuses; names were checked before."""
    chosen = hydra_loader or loader(project)
    chosen.typed = {group: target for group, target in map(_typed_target, overrides) if group}
    try:
        cfg = chosen.load_configuration(PRIMARY, list(overrides), RunMode.RUN, from_shell=False)
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise _explained(error, chosen) from error
    OmegaConf.set_struct(cfg, False)
    choices = OmegaConf.to_container(cfg.hydra.runtime.choices)
    del cfg["hydra"]
    composed = Composed(cfg, project, chosen.origin, chosen.notes, choices, tuple(overrides), tuple(chosen.trusted))  # type: ignore[arg-type]
    for text in overrides:
        key, _, _ = text.lstrip("+~").partition("=")
        composed.origin.update((leaf, "command line") for leaf in _set_by(key, cfg))
    return composed


def _typed_target(text: str) -> tuple[str, str]:
    """(group, target) of `group._target_=target`; ("", "") of anything else."""
    key, _, target = text.lstrip("+").partition("=")
    group = key.removesuffix("._target_")
    return (group, target) if group != key and group in plugins.GROUPS else ("", "")


def _set_by(key: str, cfg: DictConfig) -> list[str]:
    """The leaf keys that an override set: the choice of a plugin sets its `_target_`."""
    group = key.partition("@")[0]
    if group in plugins.SEVERAL:
        names = cfg.get(group) or {}
        return [f"{group}.{name}._target_" for name in names]
    if group in plugins.GROUPS:
        return [f"{group}._target_"]
    node = OmegaConf.select(cfg, key, throw_on_missing=False, throw_on_resolution_failure=False)
    return list(leaves(node, f"{key}.")) if isinstance(node, DictConfig) and len(node) else [key]


def _explained(error: BaseException, chosen: Loader) -> UserError:
    """Hydra's refusal in our words."""
    absent = _NOT_FOUND.search(str(error))
    if absent is not None:
        group, name = absent["group"], absent["name"]
        return UnknownName(group, name, chosen.names(group), where=absent["file"] or "")
    return BadSyntax(_in_one_line(error))


def _in_one_line(error: BaseException) -> str:
    """Hydra's message without its search path, its stack and its advice to append with '+'."""
    cause = error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else error
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    merging = _MERGING.match(str(error))
    if merging and lines:
        return f"{merging['override']}: {lines[0]}"
    kept = [
        line for line in lines if not line.startswith(("To append", "Search path", "full_key", "object_type", "See "))
    ]
    return kept[0] if kept else type(cause).__name__
