"""Values from the environment never reach a file: while a config is written, `${oc.env:X}` stays its own text."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from omegaconf import DictConfig, OmegaConf


@contextmanager
def environment_unread() -> Iterator[None]:
    """While this holds, the `oc.env` resolver returns its own text, also through other interpolations."""
    from omegaconf.resolvers import oc

    def as_written(*parts: Any, **_: Any) -> str:
        return "${oc.env:" + ",".join(str(part) for part in parts if not str(part).startswith("_")) + "}"

    OmegaConf.register_new_resolver("oc.env", as_written, replace=True)
    try:
        yield
    finally:
        OmegaConf.register_new_resolver("oc.env", oc.env, replace=True)


def shown(cfg: DictConfig) -> dict[str, Any]:
    """The config as plain values that may be written anywhere."""
    with environment_unread():
        return dict(OmegaConf.to_container(cfg, resolve=True, throw_on_missing=False))  # type: ignore[arg-type]


def to_yaml(cfg: DictConfig) -> str:
    """The config as YAML that may be written anywhere; interpolations of other keys are resolved."""
    return OmegaConf.to_yaml(OmegaConf.create(shown(cfg)), resolve=False)
