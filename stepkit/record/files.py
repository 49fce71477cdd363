"""Files replaced whole or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ..errors import BadPlace


def write_text(path: Path, text: str) -> None:
    """Write beside, flush to disk, rename: a reader sees the old text or the new one. Raises BadPlace."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise BadPlace(f"{path}: cannot be written: {error.strerror}") from None


def write_json(path: Path, facts: dict[str, Any]) -> None:
    """As `write_text`; numbers that JSON has no word for (NaN, inf) become text."""
    write_text(path, json.dumps(finite(facts), indent=2, ensure_ascii=False) + "\n")


def finite(value: Any) -> Any:
    """The same with text for the numbers that JSON has no word for."""
    if isinstance(value, dict):
        return {str(k): finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [finite(v) for v in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return str(value)
    return value


def read_json(path: Path) -> dict[str, Any]:
    """Raises BadPlace when it cannot be read or holds no JSON object."""
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadPlace(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise BadPlace(f"{path}: damaged, not JSON: {error}") from None
    if not isinstance(facts, dict):
        raise BadPlace(f"{path}: damaged, not a JSON object")
    return facts
