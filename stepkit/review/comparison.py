"""Several runs side by side: which keys of the config differ, which versions, and by how much the results do."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..record.files import finite
from .row import Row
from .tables import relative

Aligned = dict[str, dict[str, Any]]  # key -> a run's label -> its value; a run without the key is left out


def labels(rows: Sequence[Row]) -> list[str]:
    """The runs' ids; their paths where an id is there twice."""
    ids = [row.id for row in rows]
    return ids if len(set(ids)) == len(ids) else [relative(row.path) for row in rows]


def config(rows: Sequence[Row]) -> Aligned:
    """The keys of config.yaml that differ, or that not all have."""
    return _differing(rows, [row.config for row in rows])


def code(rows: Sequence[Row]) -> Aligned:
    """The git commit and the versions that differ."""
    return _differing(rows, [{"git": row.record.get("git"), **row.record.get("versions", {})} for row in rows])


def results(rows: Sequence[Row]) -> Aligned:
    """Every metric and the monitored one's best value, equal or not."""
    best = [{f"best {row.best[0]}": row.best[2]} if row.best else {} for row in rows]
    return _aligned(rows, [{**row.metrics, **b} for row, b in zip(rows, best, strict=True)])


def differences(values: Mapping[str, float], first: str) -> dict[str, float]:
    """How far the other runs are from the first, where both are numbers."""
    if first not in values:
        return {}
    moved = {label: value - values[first] for label, value in values.items() if label != first}
    return {label: value for label, value in moved.items() if not math.isnan(value)}


def as_json(rows: Sequence[Row]) -> dict[str, Any]:
    """All of it as plain values."""
    names = labels(rows)
    measured = results(rows)
    facts = {
        "runs": [
            {"run": name, "path": str(row.path), "status": row.status, "duration": row.record.get("duration")}
            for name, row in zip(names, rows, strict=True)
        ],
        "config": config(rows),
        "code": code(rows),
        "metrics": measured,
        "differences": {tag: differences(values, names[0]) for tag, values in measured.items()},
    }
    return finite(facts)  # type: ignore[no-any-return]


def _aligned(rows: Sequence[Row], sides: Sequence[Mapping[str, Any]]) -> Aligned:
    keys = dict.fromkeys(key for side in sides for key in side)
    pairs = list(zip(labels(rows), sides, strict=True))
    return {key: {label: side[key] for label, side in pairs if key in side} for key in keys}


def _differing(rows: Sequence[Row], sides: Sequence[Mapping[str, Any]]) -> Aligned:
    aligned = _aligned(rows, sides)
    return {
        key: values
        for key, values in aligned.items()
        if len(values) < len(rows) or len({repr(value) for value in values.values()}) > 1
    }
