"""Damage ends a file, and cutting leaves whole records only."""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stepkit.events import cut, records
from stepkit.events.record_file import record

PAYLOADS = [b"first", b"", b"third" * 10]
FILE = b"".join(map(record, PAYLOADS))
STARTS = [0, 21, 37]

same_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)


def whole_before(end: int) -> list[tuple[int, bytes]]:
    ends = [*STARTS[1:], len(FILE)]
    return [one for one, last in zip(zip(STARTS, PAYLOADS, strict=True), ends, strict=True) if last <= end]


@same_folder
@given(length=st.integers(0, len(FILE)))
def test_reading_stops_at_a_torn_record(run_dir: Path, length: int) -> None:
    (run_dir / "torn").write_bytes(FILE[:length])
    assert list(records(run_dir / "torn")) == whole_before(length)


@same_folder
@given(place=st.integers(0, len(FILE) - 1), bit=st.integers(0, 7))
def test_reading_stops_at_a_flipped_bit(run_dir: Path, place: int, bit: int) -> None:
    damaged = bytearray(FILE)
    damaged[place] ^= 1 << bit
    (run_dir / "flipped").write_bytes(damaged)
    assert list(records(run_dir / "flipped")) == whole_before(place)


def test_cut_keeps_exactly_the_offset(run_dir: Path) -> None:
    path = run_dir / "file"
    path.write_bytes(FILE)
    assert cut(path, 37) == 37
    assert path.read_bytes() == FILE[:37]


@same_folder
@given(length=st.integers(0, len(FILE) - 1))
def test_cut_of_a_file_that_lost_its_end_keeps_its_whole_records(run_dir: Path, length: int) -> None:
    path = run_dir / "file"
    path.write_bytes(FILE[:length])
    kept = cut(path, len(FILE))
    assert kept == max(end for end in (0, 21, 37, len(FILE)) if end <= length)
    assert path.read_bytes() == FILE[:kept]


def test_cut_at_zero_empties_the_file(run_dir: Path) -> None:
    path = run_dir / "file"
    path.write_bytes(FILE)
    assert cut(path, 0) == 0
    assert path.read_bytes() == b""
