"""What a later attempt, or a later value, must not take from an earlier one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stepkit.events import EventWriter


def test_twelve_attempts_within_a_second_are_read_in_their_order(run_dir: Path, read: Callable[[Path], Any]) -> None:
    """Names alone give the order: a process number or a count of two digits must not decide it."""
    for step in range(12):
        EventWriter(run_dir, clock=lambda: 1000.0).scalars(step, {"loss": float(step)})
    assert len(list(run_dir.iterdir())) == 12
    assert [one.step for one in read(run_dir).Scalars("loss")] == list(range(12))


def test_an_attempt_sorts_after_one_of_the_same_second_on_another_machine(run_dir: Path) -> None:
    earlier = run_dir / "events.out.tfevents.0000001000.zzz.9999999.0"
    earlier.write_bytes(b"")
    writer = EventWriter(run_dir, clock=lambda: 1000.0)
    writer.scalars(0, {"loss": 1.0})
    assert writer.path is not None
    assert writer.path.name > earlier.name
    assert earlier.read_bytes() == b""


def test_a_refused_chart_does_not_spoil_the_layouts_after_it(run_dir: Path, read: Callable[[Path], Any]) -> None:
    writer = EventWriter(run_dir)
    with pytest.raises(ValueError, match="Margin with 3"):
        writer.custom_scalars_layout({"update": {"band": ("Margin", ["ratio"])}})
    writer.custom_scalars_layout({"loss": {"both": ("Multiline", ["loss/train", "loss/val"])}})
    (layout,) = read(run_dir).Tensors("custom_scalars__config__")
    assert not layout.tensor_proto.tensor_shape.dim  # a rank-0 string, as TensorBoard's own writer has it
    assert b"loss/val" in layout.tensor_proto.string_val[0]
    assert b"band" not in layout.tensor_proto.string_val[0]
