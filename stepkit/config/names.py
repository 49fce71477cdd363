"""Stage 1 of checking: what text and names alone show wrong. Reads metadata and folders, imports no plugin."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override
from hydra.errors import HydraException

from .. import plugins, refused
from ..errors import BadSyntax, Mistakes, NotTrusted, Refused, UnknownKey, UnknownName, UserError, WrongValue, a
from .hydra import Loader
from .settings import PLAIN, SECTIONS
from .trainer import ELSEWHERE, option_names

_SPECIAL = re.compile(r"[\[\]{}()'\",$\\]")  # what means something in a value
FILES = ("experiment", "trainer")  # groups of YAML files, not of plugins
TOP = (*plugins.GROUPS, *PLAIN, *SECTIONS, "trainer")


def check_names(overrides: Sequence[str], loader: Loader, *, sweep: bool = False) -> list[str]:
    """The overrides as Hydra shall see them. Raises Mistakes with all that names alone show."""
    found: list[UserError] = []
    good = []
    for text in overrides:
        try:
            parsed = parse(text)
            _check(parsed, loader, sweep)
            good.append(_translated(parsed))
        except UserError as error:
            found.append(error)
    if found:
        raise Mistakes(found)
    return good


def parse(text: str) -> Override:
    """One override by Hydra's grammar. Raises BadSyntax."""
    if text.startswith("-"):
        raise BadSyntax(f"{text}: no such option; options are written key=value, see stepkit --help")
    if "=" not in text and not text.startswith("~"):
        raise BadSyntax(f"{text}: not an override; write key=value")
    parser = OverridesParser.create()
    try:
        return parser.parse_override(text)
    except HydraException as error:
        key, _, value = text.partition("=")
        if value and not _SPECIAL.search(value):  # Hydra's grammar wants quotes around an ö, too
            return parser.parse_override(f"{key}='{value}'")
        reason = next((line for line in str(error).splitlines() if line.strip()), "")
        raise BadSyntax(
            f"{text}: does not parse: {reason[:100]}; quote values with special characters: \"key='value'\""
        ) from None


def _check(override: Override, loader: Loader, sweep: bool) -> None:
    key, text = override.key_or_group, override.input_line or ""
    head, _, rest = key.partition(".")
    if head.split("/")[0] == "hydra":
        return _check_hydra(key, text)
    if head not in TOP:
        raise UnknownKey(head, TOP, value=text.partition("=")[2] if not rest else "", where="" if not rest else text)
    if override.is_sweep_override() and not sweep:
        raise WrongValue(key, text.partition("=")[2], "several values; add -m to sweep over them, or write [a,b]")
    if key in (*plugins.GROUPS, *FILES):
        return None if override.is_delete() else _check_choice(override, loader)
    section = SECTIONS.get(head)
    if section is not None and rest:
        _known(key, (f.name for f in fields(section)), text)
    if head == "trainer" and rest:
        check_trainer_key(rest.partition(".")[0], text)
    if key == "trusted":
        raise NotTrusted(key, text.partition("=")[2], where="command line")
    return None


def _check_hydra(key: str, text: str) -> None:
    if key == "hydra/launcher" or (key.startswith("hydra.launcher.") and "_target_" not in text):
        return
    raise WrongValue(
        key, text.partition("=")[2], "of Hydra's own settings only hydra/launcher=… and hydra.launcher.… are read"
    )


def _known(key: str, names: Iterable[str], text: str) -> None:
    if key.split(".")[1] not in (known := list(names)):
        raise UnknownKey(key, known, value=text.partition("=")[2])


def check_trainer_key(name: str, text: str, where: str = "") -> None:
    """Raises UnknownKey, or says where stepkit wants a Trainer option said."""
    if name in ELSEWHERE:
        raise WrongValue(f"trainer.{name}", text.partition("=")[2], f"said elsewhere: {ELSEWHERE[name]}", where=where)
    if name not in option_names():
        raise UnknownKey(f"trainer.{name}", option_names(), value=text.partition("=")[2], where=where)


def _check_choice(override: Override, loader: Loader) -> None:
    group, value = override.key_or_group, override.value()
    if isinstance(value, ChoiceSweep):
        value = [Override._convert_value(item) for item in value.list]
    for name in _flat(value):
        if name is None:
            continue
        if not isinstance(name, str):
            raise WrongValue(group, name, f"the name of {a(group)} is wanted, or null")
        check_name(group, name, loader)


def _flat(value: Any) -> list[Any]:
    return [x for item in value for x in _flat(item)] if isinstance(value, list) else [value]


def check_name(group: str, name: str, loader: Loader, where: str = "") -> None:
    """Raises UnknownName, Refused or ClashingPlugin."""
    options = loader.names(group)
    if name in options:
        return
    if group in plugins.GROUPS:
        if reason := refused.reason(group, name):
            raise Refused(f"{group}={name}: cannot serve: {reason}")
        if plugins.has(group, name):
            plugins.find(group, name)
            return
    elsewhere = next((g for g in (*plugins.GROUPS, *FILES) if g != group and name in loader.names(g)), "")
    raise UnknownName(group, name, [n for n in options if n != "auto"], elsewhere=elsewhere, where=where)


def _translated(override: Override) -> str:
    """Hydra cannot deselect by `optimizer=null`; `~optimizer` is the same."""
    if override.key_or_group in (*plugins.GROUPS, *FILES) and not override.is_delete() and override.value() is None:
        return f"~{override.key_or_group}"
    return override.input_line or ""
