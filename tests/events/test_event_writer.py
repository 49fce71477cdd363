"""One file an attempt, whole records whatever happens."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stepkit.events import EventWriter, cut


def files(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_the_file_is_made_by_the_first_write(run_dir: Path) -> None:
    writer = EventWriter(run_dir / "a run", suffix=".end", clock=lambda: 1_700_000_000.5)
    assert writer.path is None
    assert writer.offset() == 0
    assert files(run_dir) == []

    writer.scalars(0, {"loss": 1.0})

    assert writer.path is not None
    assert writer.path.parent == run_dir / "a run"
    assert writer.path.name.startswith("events.out.tfevents.1700000000.")
    assert writer.path.name.endswith(f".{os.getpid()}.0.end")


def test_the_offset_is_the_size_of_the_file_after_every_write(run_dir: Path) -> None:
    writer = EventWriter(run_dir)
    for step in range(5):
        writer.scalars(step, {"loss": 1.0})
        writer.text("note", "word " * step, step)
        assert writer.path is not None
        assert writer.offset() == writer.path.stat().st_size


def test_close_twice_and_go_on_in_the_same_file(run_dir: Path, read: Callable[[Path], Any]) -> None:
    writer = EventWriter(run_dir)
    writer.close()
    writer.scalars(0, {"loss": 1.0})
    writer.close()
    writer.close()
    writer.scalars(1, {"loss": 0.5})
    assert len(files(run_dir)) == 1
    assert [(scalar.step, scalar.value) for scalar in read(run_dir).Scalars("loss")] == [(0, 1.0), (1, 0.5)]


def test_a_new_writer_never_touches_an_earlier_file_and_sorts_after_it(run_dir: Path) -> None:
    times = iter([1000.0] * 20)
    first, second = (EventWriter(run_dir, clock=lambda: next(times)) for _ in range(2))
    first.scalars(0, {"loss": 1.0}, wall_time=1.0)
    assert first.path is not None
    before = first.path.read_bytes()

    second.scalars(1, {"loss": 1.0}, wall_time=1.0)

    assert second.path is not None
    assert first.path.read_bytes() == before
    assert first.path.name < second.path.name


def test_a_clock_that_went_backwards_does_not_hide_the_new_file(run_dir: Path, read: Callable[[Path], Any]) -> None:
    EventWriter(run_dir, clock=lambda: 2000.0).scalars(0, {"loss": 1.0})
    EventWriter(run_dir, clock=lambda: 1000.0).scalars(1, {"loss": 0.5})
    assert [scalar.step for scalar in read(run_dir).Scalars("loss")] == [0, 1]


def test_a_writer_that_comes_at_the_same_moment_gets_a_file_of_its_own(run_dir: Path) -> None:
    """Both have looked at the empty directory before either has made its file."""
    first, second = EventWriter(run_dir, clock=lambda: 1000.0), EventWriter(run_dir, clock=lambda: 1000.0)
    second._stamp = lambda: 1000  # type: ignore[method-assign]
    first.scalars(0, {"loss": 1.0})
    second.scalars(1, {"loss": 1.0})
    assert [name.rpartition(".")[2] for name in files(run_dir)] == ["0", "1"]


def test_a_directory_that_cannot_be_made_is_named(run_dir: Path) -> None:
    (run_dir / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        EventWriter(run_dir / "file" / "run").scalars(0, {"loss": 1.0})


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """The system takes no more bytes of any file: the first ones of a write, then an error, as with a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_write_that_the_disk_cannot_take_leaves_whole_records(
    run_dir: Path, events: Callable[[Any], list[Any]]
) -> None:
    writer = EventWriter(run_dir)
    writer.scalars(0, {"loss": 1.0})
    assert writer.path is not None
    size = writer.offset()

    with largest_file(size + 10), pytest.raises(OSError, match=writer.path.name):
        writer.table(["loss"], range(1, 9), np.ones((8, 1)))
    assert writer.offset() == writer.path.stat().st_size == size

    writer.scalars(9, {"loss": 0.5})
    assert [event.step for event in events(writer.path)[1:]] == [0, 9]


def test_a_first_write_that_fails_can_be_made_again(run_dir: Path, events: Callable[[Any], list[Any]]) -> None:
    writer = EventWriter(run_dir)
    with largest_file(10), pytest.raises(OSError):
        writer.text("note", "a")
    writer.text("note", "b")
    version, note = events(writer.path)
    assert version.file_version == "brain.Event:2"
    assert note.summary.value[0].metadata.plugin_data.plugin_name == "text"


ENDLESS = """
import itertools, sys
import numpy as np
from stepkit.events import EventWriter
writer = EventWriter(sys.argv[1])
for k in itertools.count():
    writer.table(["loss/train", "gradient/norm"], range(100 * k, 100 * k + 100), np.full((100, 2), k))
    writer.text("note", "x" * 50_000, 100 * k)
"""


@pytest.mark.process
def test_sigkill_in_mid_writing_leaves_a_readable_file(
    run_dir: Path, read: Callable[[Path], Any], events: Callable[[Any], list[Any]]
) -> None:
    process = subprocess.Popen([sys.executable, "-c", ENDLESS, str(run_dir)])
    try:
        deadline = time.monotonic() + 60
        while sum(file.stat().st_size for file in run_dir.iterdir()) < 2_000_000:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL

    (path,) = run_dir.iterdir()
    steps = [event.step for event in events(path) if len(event.summary.value) == 2]
    assert steps == list(range(len(steps)))
    assert len(steps) >= 1000
    assert [scalar.step for scalar in read(run_dir).Scalars("gradient/norm")] == steps


def test_a_cut_file_and_the_next_attempts_show_each_step_once(
    run_dir: Path, read: Callable[[Path], Any], events: Callable[[Any], list[Any]]
) -> None:
    killed = EventWriter(run_dir)
    for step in range(10):
        killed.scalars(step, {"loss": -1.0})
        killed.histogram("weights", [0, 1], [step], step)
        if step == 5:
            checkpoint = killed.offset()
    assert killed.path is not None
    cut(killed.path, checkpoint)

    resumed = EventWriter(run_dir)
    for step in range(6, 10):
        resumed.scalars(step, {"loss": 1.0})
        resumed.histogram("weights", [0, 1], [step], step)

    raw = [event for path in sorted(run_dir.iterdir()) for event in events(path) if event.summary.value]
    assert [event.step for event in raw if event.summary.value[0].tag == "loss"] == list(range(10))
    shown = read(run_dir)
    assert [(one.step, one.value) for one in shown.Scalars("loss")] == [(s, -1.0 if s < 6 else 1.0) for s in range(10)]
    assert [one.step for one in shown.Tensors("weights")] == list(range(10))
