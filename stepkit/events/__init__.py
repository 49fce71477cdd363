"""TensorBoard's event files, written and read without torch: small, unbuffered, checksummed in C."""

from __future__ import annotations

from .images import png
from .record_file import cut, records
from .writer import EventWriter

__all__ = ["EventWriter", "cut", "png", "records"]
