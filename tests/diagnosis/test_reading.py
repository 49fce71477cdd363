"""What was written is read back: by the step, by the parameter, in pieces, and whatever a file holds."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stepkit.diagnosis import Evidence, examine, findings
from stepkit.diagnosis.evidence import CHANCE, TOTAL
from stepkit.events import EventWriter
from stepkit.events.reading import ZEROS_BELOW, Norms, Observations, Reader, Series
from stepkit.observers.measures import LOWEST, edges, exponents
from stepkit.record.record import Record, RunDirectory


def test_scalars_of_a_step_written_twice_are_the_later_attempt_s(tmp_path: Path) -> None:
    first, second = EventWriter(tmp_path, clock=lambda: 1000.0), EventWriter(tmp_path, clock=lambda: 2000.0)
    first.table(["loss/train"], [1, 2, 3], [[1.0], [2.0], [3.0]])
    second.table(["loss/train"], [3, 4], [[30.0], [40.0]])
    found = Reader(tmp_path).read().scalars["loss/train"]
    assert found.steps.tolist() == [1, 2, 3, 4] and found.values.tolist() == [1.0, 2.0, 30.0, 40.0]


def test_a_second_reading_goes_on_where_the_first_stopped(tmp_path: Path) -> None:
    writer, reader = EventWriter(tmp_path), Reader(tmp_path)
    writer.scalars(1, {"a": 1.0})
    assert reader.read().scalars["a"].steps.tolist() == [1]
    (file,) = tmp_path.glob("*tfevents*")
    with file.open("r+b") as damaged:  # what was read is not read again: else nothing after it would be found
        damaged.seek(20)
        damaged.write(b"\xff" * 8)
    writer.scalars(2, {"a": 2.0})
    assert reader.read().scalars["a"].values.tolist() == [1.0, 2.0]


def test_parameters_norms_are_joined_from_their_blocks(tmp_path: Path) -> None:
    writer, names = EventWriter(tmp_path), ["network.a.weight", "network.a.bias", "network.b.weight"]
    rows = np.arange(12, dtype=np.float32).reshape(3, 4)
    for block in (rows[:2], rows[2:]):
        writer.tensor("gradient/norms", block, int(block[-1, 0]), content=json.dumps(names).encode())
    seen = Reader(tmp_path).read()
    assert seen.norms is not None and seen.norms.names == tuple(names)
    assert seen.norms.steps.tolist() == [0, 4, 8] and seen.norms.values.tolist() == rows[:, 1:].tolist()
    layers, _, table = Evidence(seen).layers
    assert layers == ["a", "b"] and table[0].tolist() == pytest.approx([5**0.5, 3.0])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=60), st.integers(0, 50))
def test_magnitudes_give_back_the_norm_and_the_zeros(values: list[float], zeros: int) -> None:
    import tempfile

    tensor = torch.tensor([*values, *[0.0] * zeros])
    with tempfile.TemporaryDirectory() as folder:
        EventWriter(folder).histogram("weight/w", edges(), exponents([tensor])[0].numpy(), 1)
        (found,) = Reader(Path(folder)).read().magnitudes["weight"]["w"]
    assert found.zero_share == pytest.approx(float((tensor == 0).float().mean()))
    large = tensor[tensor.abs() > 2.0**LOWEST]
    true = float(large.double().norm())
    assert found.norm == pytest.approx(true, rel=0.5, abs=1e-10)


def test_zeros_stand_left_of_every_magnitude() -> None:
    assert edges()[0] < ZEROS_BELOW == LOWEST


def run_of(path: Path, steps: int, parameters: int) -> None:
    """A run's files as a training of so many parameters leaves them."""
    directory = RunDirectory(path, Record(path.name, "made", status="running"))
    directory.begin("{}", ())
    directory.end("finished")
    writer, draw = EventWriter(path), np.random.default_rng(0)
    number = np.arange(1, steps + 1)
    loss = 2 * np.exp(-number / steps) + 0.1 * draw.random(steps)
    writer.table(["loss/train", "gradient/norm", "lr"], number, np.stack([loss, loss, 0 * loss + 0.1], axis=1))
    names = [f"network.blocks.{n // 2}.{('weight', 'bias')[n % 2]}" for n in range(parameters)]
    for start in range(0, steps, 64):
        block = np.concatenate(
            [number[start : start + 64, None], 0.5 + draw.random((len(number[start : start + 64]), parameters))], axis=1
        )
        writer.tensor("gradient/norms", block, int(block[-1, 0]), content=json.dumps(names).encode())
    every = number[9::10]
    layers = [f"gradient/norm/{n}" for n in range(20)]
    writer.table(layers, every, draw.random((len(every), 20)))
    for step in every:
        writer.scalars(int(step), {"update/ratio": 1e-3, "activation/dead": 0.1, "activation/dead_worst": 0.2})
    for power in range(14):
        for name in names:
            for kind in ("gradient", "weight", "update"):
                counts = draw.integers(0, 99, len(edges()) - 1)
                writer.histogram(f"{kind}/{name.removeprefix('network.')}", edges(), counts, 2**power)


def test_ten_thousand_steps_of_150_parameters_are_judged_in_two_seconds(tmp_path: Path) -> None:
    run_of(tmp_path / "run", 10_000, 150)
    started = time.perf_counter()
    assert findings(tmp_path / "run") == []
    assert time.perf_counter() - started < 2.0


ANY = st.floats(width=32, allow_nan=True, allow_infinity=True) | st.sampled_from([0.0, 1.0, 1e-3, -1.0])
TAGS = (
    *("loss/train", "loss/val", "gradient/norm", "gradient/clipped", "gradient/noise_scale", "update/ratio", "lr"),
    *("activation/dead", "activation/dead_worst", "activation/saturated", "activation/saturated_worst"),
)


@st.composite
def observations(draw: st.DrawFn) -> Observations:
    count = draw(st.integers(1, 40))
    repeat = draw(st.integers(1, 4))

    def column() -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return np.tile(draw(st.lists(ANY, min_size=count, max_size=count)), repeat).astype(np.float64)

    steps = np.cumsum(np.ones(count * repeat, np.int64) * draw(st.integers(1, 5)))
    tags = draw(st.sets(st.sampled_from(TAGS)))
    table = np.abs(np.stack([column() for _ in range(3)], axis=1))
    tensors = {tag: np.array(draw(ANY)) for tag in draw(st.sets(st.sampled_from([CHANCE, TOTAL])))}
    return Observations(
        {tag: Series(steps, column()) for tag in tags},
        draw(st.sampled_from([None, Norms(("a.w", "b.w", "c.w"), steps, table)])),
        tensors=tensors,
        hyperparameters=draw(st.sampled_from([{}, {"data.batch_size": 32, "optimizer.lr": 0.1, "step.clip": 1.0}])),
    )


@pytest.mark.filterwarnings("error")
@settings(max_examples=300, deadline=None)
@given(observations(), st.booleans(), st.sampled_from(["min", "max"]))
def test_whatever_was_recorded_the_rules_neither_fail_nor_warn(seen: Observations, ended: bool, mode: str) -> None:
    report = examine(Evidence(seen, mode=mode, ended=ended))
    assert set(report.looked).isdisjoint(report.unseen)
    for finding in report.findings:
        assert finding.what and finding.why and finding.advice and finding.steps[0] <= finding.steps[1]
        json.loads(json.dumps(finding.plain(), allow_nan=False))
