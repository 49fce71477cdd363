"""Stage 3 of checking: every option against its plugin's signature, all mistakes at once; defaults filled in.

What the data or the run will know (`in_features`, `total_steps`, …) is left open here and filled by `fill`.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from .. import plugins
from ..errors import MissingValue, Mistakes, UnknownKey, UserError, WrongValue, a
from ..spec import DataSpec
from .describe import LEFT_OUT, Description, Option, describe, described
from .hydra import Composed, leaves, mapping
from .names import TOP, check_trainer_key
from .settings import SECTIONS, DataSettings
from .source import AUTO
from .targets import allowed
from .trainer import SAME_AS, TARGET
from .values import check_value

FROM_DATA = tuple(field.name for field in fields(DataSpec))
FROM_RUN = ("total_steps", "T_max", "max_lr", "monitor", "mode")
FROM_DIRECTORY = ("save_dir",)  # known only once the run's directory is
DATA_SETTINGS = tuple(field.name for field in fields(DataSettings))


class Checker:
    """One pass over a composed config; `found` gathers the mistakes."""

    def __init__(self, composed: Composed) -> None:
        self.composed, self.cfg = composed, composed.cfg
        self.found: list[UserError] = []
        self.descriptions: dict[str, Description] = {}

    def run(self) -> None:
        """Check everything. Raises Mistakes."""
        self._top_level()
        for group in plugins.GROUPS:
            self._group(group)
        for name, section in SECTIONS.items():
            self._section(name, section)
        self._plain()
        if not self.found:  # Lightning is imported for its hints only once all else is right
            self._trainer()
        if self.found:
            raise Mistakes(self.found)

    def _top_level(self) -> None:
        for key in list(self.cfg):
            if key not in TOP:
                self.found.append(UnknownKey(str(key), TOP, where=self.composed.where(str(key))))
        for key in self.cfg.get("trainer") or ():
            self._try(
                check_trainer_key,
                key,
                f"trainer.{key}={raw(self.cfg.trainer, key)}",
                self.composed.where(f"trainer.{key}"),
            )

    def _try(self, check: Any, *arguments: Any) -> Any:
        try:
            return check(*arguments)
        except UserError as error:
            self.found.append(error)

    # -- plugins ------------------------------------------------------------------------------------------------

    def _group(self, group: str) -> None:
        node = self.cfg.get(group)
        if node is None:
            self.cfg[group] = {} if group in plugins.SEVERAL else None
        elif not OmegaConf.is_dict(node):
            self.found.append(
                WrongValue(group, node, f"the name of {a(group)} is wanted", where=self.composed.where(group))
            )
        elif group in plugins.SEVERAL:
            for name in list(node):
                self._chosen(group, f"{group}.{name}", node, name)
        else:
            self._chosen(group, group, self.cfg, group)

    def _chosen(self, group: str, key: str, parent: DictConfig, name: Any) -> None:
        node = mapping(parent, name)
        if node is None or "_target_" not in node:
            self._options_of_nothing(group, key, parent, name)
        elif node.get("_target_") != AUTO:
            self._try(self.plugin, group, key, node)

    def _options_of_nothing(self, group: str, key: str, parent: DictConfig, name: Any) -> None:
        """Options of a plugin that is not chosen: dropped when a file wrote them, a mistake when they were typed."""
        node = mapping(parent, name)
        keys = list(leaves(node, f"{key}.")) if node is not None and len(node) else [key]
        typed = next((k for k in keys if self.composed.origin.get(k) == "command line"), None)
        if typed is not None:
            chosen = [str(n) for n in self.cfg[group]] if group in plugins.SEVERAL else []
            advice = f"add {group}={name if group in plugins.SEVERAL else '…'}" + (
                f"; chosen: {', '.join(chosen)}" if len(chosen) > 1 else ""
            )
            self.found.append(
                WrongValue(typed, OmegaConf.select(self.cfg, typed), f"no such {group} is chosen; {advice}")
            )
        elif keys != [key]:
            self.composed.notes.append(f"{', '.join(keys)} of {self.composed.where(key)} dropped: it is not chosen")
        if group in plugins.SEVERAL:
            del parent[name]
        else:
            parent[name] = None

    def plugin(self, group: str, key: str, node: DictConfig) -> None:
        """Check one plugin's node and complete it with the signature's defaults."""
        target = node._get_node("_target_")._value()  # type: ignore[union-attr]
        if isinstance(target, str) and "${" in target:
            target = node["_target_"]
        where = self.composed.where(f"{key}._target_")
        found = allowed(group, f"{key}._target_", target, self.composed.trusted, self.composed.project.root, where)
        self.composed.plugins[key] = found
        description = described(found)
        options = dict(description.options)
        if group == "data":
            options = {**_settings(DataSettings), **options}
        self.descriptions[key] = description
        self._options(key, node, options, found.reference, open_=description.open)

    def _options(self, key: str, node: DictConfig, options: dict[str, Option], owner: str, *, open_: bool) -> None:
        name = owner.partition(":")[2] or owner
        settable = [option.name for option in options.values() if not option.left_out]
        for given in [k for k in node if not str(k).startswith("_")]:
            full = f"{key}.{given!s}"
            option = options.get(str(given))
            if option is None and not open_:
                where = self.composed.where(full)
                self.found.append(UnknownKey(full, settable, value=raw(node, given), where=where, owner=name))
            elif option is not None:
                self._try(self._option, key, node, option)
            else:
                self._try(self._nested, full, node, given)
        for option in options.values():
            if option.name not in node:
                self._complete(key, node, option, owner)

    def _option(self, key: str, node: DictConfig, option: Option) -> None:
        full, where = f"{key}.{option.name}", self.composed.where(f"{key}.{option.name}")
        if option.left_out:
            raise WrongValue(
                full, raw(node, option.name), f"cannot be set from a config: {option.left_out}", where=where
            )
        if OmegaConf.is_missing(node, option.name):
            del node[option.name]
            return
        value = self._nested(full, node, option.name)
        try:
            checked = check_value(option, value)
        except ValueError as error:
            raise WrongValue(full, value, str(error), where=where) from None
        if type(checked) is not type(value) and isinstance(checked, str | int | float):
            node[option.name] = checked

    def _nested(self, full: str, node: DictConfig, name: Any) -> Any:
        """The resolved value; parts below it that name a class pass the same allow-list and checks."""
        try:
            value = node[name]
            plain = OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
        except OmegaConfBaseException as error:
            raise WrongValue(
                full, raw(node, name), str(error).splitlines()[0], where=self.composed.where(full)
            ) from None
        self._parts(full, value)
        return plain

    def _parts(self, full: str, value: Any) -> None:
        if OmegaConf.is_list(value):
            for number, item in enumerate(value):
                self._parts(f"{full}.{number}", item)
        elif OmegaConf.is_dict(value):
            if "_target_" in value:
                OmegaConf.set_struct(value, False)
                self.plugin("part", full, value)
            else:
                for name in value:
                    self._parts(f"{full}.{name}", value[name])

    def _complete(self, key: str, node: DictConfig, option: Option, owner: str) -> None:
        full = f"{key}.{option.name}"
        if option.required and option.name not in (*FROM_DATA, *FROM_RUN, *FROM_DIRECTORY):
            self.found.append(MissingValue(full, owner.partition(":")[2] or owner))
        elif not option.required and option.default is not LEFT_OUT and not option.left_out:
            node[option.name] = option.default
            who = f"default of {owner.rpartition(':')[2]}"
            self.composed.origin[full] = who
            for leaf in leaves(node[option.name], f"{full}.") if OmegaConf.is_dict(node[option.name]) else ():
                self.composed.origin[leaf] = who

    # -- stepkit's own sections, and Lightning's Trainer --------------------------------------------------------

    def _section(self, name: str, section: type) -> None:
        node = self.cfg.get(name)
        if node is None:
            self.cfg[name] = node = OmegaConf.create({})
        if not OmegaConf.is_dict(node):
            self.found.append(WrongValue(name, node, "key: value lines are wanted", where=self.composed.where(name)))
            return
        if name == "step":
            self._try(self._same_as_step)
        OmegaConf.set_struct(self.cfg[name], False)
        self._options(name, self.cfg[name], _settings(section), f"stepkit:{name}", open_=False)

    def _same_as_step(self) -> None:
        """Lightning's names for what `step` holds are accepted; both at once are not."""
        for theirs, ours in SAME_AS.items():
            trainer = self.cfg.get("trainer") or {}
            if theirs not in trainer:
                continue
            if ours in self.cfg.step:
                raise WrongValue(
                    f"trainer.{theirs}",
                    trainer[theirs],
                    f"the same as step.{ours}={self.cfg.step[ours]}; give one of them",
                )
            OmegaConf.set_struct(self.cfg.step, False)
            self.cfg.step[ours] = trainer[theirs]
            self.composed.origin[f"step.{ours}"] = self.composed.origin.pop(f"trainer.{theirs}", "")
            del trainer[theirs]

    def _plain(self) -> None:
        hints = {"seed": int, "name": str | None, "notes": str | None, "tags": list[str], "trusted": list[str]}
        for key, option in _options_of(hints).items():
            value = self.cfg.get(key)
            value = OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
            try:
                check_value(option, value)
            except ValueError as error:
                self.found.append(WrongValue(key, value, str(error), where=self.composed.where(key)))

    def _trainer(self) -> None:
        import pytorch_lightning

        node = self.cfg.trainer
        description = describe(pytorch_lightning.Trainer, TARGET)
        for name in [k for k in node if k in description.options]:
            self._try(self._option, "trainer", node, description.options[str(name)])


def check(composed: Composed) -> Composed:
    """The composed config, checked and completed. Raises Mistakes."""
    Checker(composed).run()
    return composed


def _settings(section: type) -> dict[str, Option]:
    return dict(describe(section, f"stepkit:{section.__name__}").options)


def _options_of(hints: dict[str, Any]) -> dict[str, Option]:
    from .hints import plain

    return {key: Option(key, plain(hint), required=False, default=None) for key, hint in hints.items()}


def raw(node: DictConfig, key: Any) -> Any:
    """A value as it was written, its interpolations unresolved."""
    return OmegaConf.to_container(node, resolve=False)[key]  # type: ignore[index]
