"""A folder of class-named folders of images as data: `data=images data.path=…`."""

from __future__ import annotations

from .images import Images

__all__ = ["Images"]
