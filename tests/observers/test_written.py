"""What stands in a run's event file: readable by TensorBoard's own reader, named, small; other loggers get the same."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_lightning.loggers import CSVLogger

import stepkit as sk
from stepkit.config.settings import Observe
from tests.bench.observe import megabytes

from .runs import Batches, Optimizer, Read, Spy, fit, length, network, step

SGD: Optimizer = lambda groups: torch.optim.SGD(groups, lr=0.1)  # noqa: E731


def test_every_tag_of_a_run_is_read_and_the_scalars_are_few(own_folder: Path) -> None:
    run = sk.run("trainer.max_epochs=4", "step.clip=1")
    read = Read(run.path)
    tags = read.tags()
    expected = {"loss/train", "loss/val", "accuracy/val", "accuracy/test", "lr", "gradient/norm", "gradient/clipped"}
    expected |= {"update/ratio", "weight/norm", "gradient/cosine", "throughput/samples_per_second"}
    assert expected <= set(tags["scalars"]) and len(tags["scalars"]) < 30
    for tag in tags["scalars"]:
        assert all(math.isfinite(value) for value in read.scalars(tag).values()), tag
    for tag in tags["tensors"]:
        assert read.reader.Tensors(tag), tag
    layers = {tag for tag in tags["scalars"] if tag.startswith("gradient/norm/")}
    assert layers == {"gradient/norm/layers.0", "gradient/norm/layers.3"}
    assert {"gradient/flow", "gradient/norms", "gradient/log2_norms", "custom_scalars__config__"} <= set(
        tags["tensors"]
    )
    steps = read.scalars("gradient/norm")
    assert list(steps) == list(range(1, run.record["facts"]["steps"] + 1))
    assert list(read.scalars("update/ratio")) == [n for n in steps if n % 10 == 0 or n == 1]
    throughput = list(read.scalars("throughput/samples_per_second").values())[-1]
    assert throughput > 0.5 * run.record["facts"]["samples_per_second"]


@pytest.mark.parametrize("flush_every", [1, 7, 100])
def test_all_parameters_norms_stand_in_blocks_with_their_names(tmp_path: Path, flush_every: int) -> None:
    spy = Spy()
    fit(tmp_path, step(network(), SGD), Batches(150), Observe(flush_every=flush_every), callbacks=[spy])
    read = Read(tmp_path)
    names, rows = read.norms()
    assert names == [f"network.{name}" for name, _ in network().named_parameters()]
    assert list(rows) == list(range(1, 151))
    for row, seen in zip(rows.values(), spy.gradients, strict=True):
        assert row.tolist() == pytest.approx([length([seen[name]]) for name in names], rel=1e-5)
    assert len(read.reader.Tensors("gradient/norms")) == 3  # blocks of 64


def test_distributions_count_every_entry_at_doubling_steps(tmp_path: Path) -> None:
    spy = Spy()
    fit(tmp_path, step(network(), SGD), Batches(20), Observe(), callbacks=[spy])
    read, name = Read(tmp_path), "network.2.weight"
    entries = {"gradient": spy.gradients, "weight": spy.after}
    for kind, seen in entries.items():
        found = read.histogram(f"{kind}/2.weight")
        assert list(found) == [1, 2, 4, 8, 16]
        for number, bins in found.items():
            logs = np.log2(seen[number - 1][name].abs().flatten().numpy())
            for left, right, count in bins:
                assert count == ((logs >= left) & (logs < right)).sum()
            assert sum(count for *_, count in bins) == len(logs)
    assert list(read.histogram("update/2.weight")) == [1, 2, 4, 8, 16]
    card = read.histogram("gradient/log2_norms")
    assert list(card) == [1] and sum(count for *_, count in card[1]) == len(spy.gradients[0])


def test_other_loggers_get_the_same_numbers(tmp_path: Path) -> None:
    fit(tmp_path, step(network(), SGD), Batches(12), loggers=[CSVLogger(str(tmp_path), "", "")], gradient_clip_val=0.5)
    read, rows = Read(tmp_path), list(csv.DictReader((tmp_path / "metrics.csv").open()))
    for tag in ("loss/train", "gradient/norm", "gradient/clipped", "lr", "update/ratio", "gradient/norm/2"):
        written = {int(row["step"]): float(row[tag]) for row in rows if row.get(tag)}
        assert written == pytest.approx(read.scalars(tag), rel=1e-6), tag
        assert len(written) == 12


def test_observed_seldom_the_statistics_are_written_all_the_same(tmp_path: Path) -> None:
    fit(tmp_path, step(network(), SGD), Batches(12), Observe(every=100, statistics_every=5))
    assert list(Read(tmp_path).scalars("update/ratio")) == [1, 5, 10]


def test_a_chart_a_parameter_if_asked_for(tmp_path: Path) -> None:
    spy, observe = Spy(), Observe(per_parameter=True, statistics_every=1)
    fit(tmp_path, step(network(), SGD), Batches(3), observe, callbacks=[spy])
    read = Read(tmp_path)
    for name, _ in network().named_parameters():
        expected = [length([seen[f"network.{name}"]]) for seen in spy.gradients]
        assert list(read.scalars(f"gradient/norm/network.{name}").values()) == pytest.approx(expected, rel=1e-5)


def test_ten_thousand_steps_of_150_tensors_stay_under_15_megabytes(tmp_path: Path) -> None:
    assert 6 < megabytes(tmp_path) < 15  # the norms alone are 6
    names, rows = Read(tmp_path).norms()
    assert len(names) == 150 and list(rows) == list(range(1, 10_001))


@pytest.mark.process
def test_rank_0_alone_writes_and_two_ranks_see_what_one_process_sees(stepkit: Any, own_folder: Path) -> None:
    steady = ["model.dropout=0", "optimizer.fused=false", "trainer.max_steps=20", "trainer.max_epochs=1", "step.clip=1"]
    steady.append("observe.statistics_every=1")
    two = stepkit("trainer=ddp_cpu", "data.batch_size=16", "name=two", *steady)
    one = stepkit("trainer=cpu", "data.batch_size=32", "name=one", *steady)
    assert two.returncode == one.returncode == 0, two.stderr
    by_name = {run.record["name"]: run.path for run in sk.runs()}
    assert len([f for f in by_name["two"].glob("events.out.*") if not f.name.endswith(".end")]) == 1
    a, b = Read(by_name["two"]), Read(by_name["one"])
    assert a.tags()["scalars"] == b.tags()["scalars"]
    for tag in ("loss/train", "gradient/norm", "gradient/clipped", "update/norm", "update/ratio", "gradient/cosine"):
        assert a.scalars(tag) == pytest.approx(b.scalars(tag), rel=2e-3), tag
    (names, rows), (expected_names, expected) = a.norms(), b.norms()
    assert names == expected_names and list(rows) == list(expected) == list(range(1, 21))
    for row, other in zip(rows.values(), expected.values(), strict=True):
        assert row.tolist() == pytest.approx(other.tolist(), rel=2e-3)
