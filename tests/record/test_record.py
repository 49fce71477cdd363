"""A run's directory: names that stay in their place, files replaced whole, runs found again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepkit.errors import BadPlace, NoSuchRun, UserError, WrongValue
from stepkit.record.directory import make, new_directory, safe_name
from stepkit.record.files import read_json, write_json, write_text
from stepkit.record.find import all_runs, find_run
from stepkit.record.record import Record, RunDirectory


@pytest.mark.parametrize("name", ["", ".", "..", "../up", "a/b", "/etc", "a\0b", "x" * 300, ".hidden", "a\nb", "a\\b"])
def test_a_name_cannot_leave_its_folder(name: str) -> None:
    with pytest.raises(WrongValue):
        safe_name("experiment", name)


@given(st.text(max_size=60))
def test_a_name_is_refused_or_stays_directly_in_its_folder(name: str) -> None:
    try:
        good = safe_name("experiment", name)
    except WrongValue:
        return
    assert Path("/outputs", good).parent == Path("/outputs")


def test_two_runs_of_one_second_never_share_a_directory(tmp_path: Path) -> None:
    paths = {new_directory(tmp_path, "digits") for _ in range(200)}
    assert len(paths) == 200
    path = paths.pop()
    make(path)
    with pytest.raises(BadPlace, match="exists already"):
        make(path)


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    write_json(file, {"a": 1, "nan": float("nan"), "list": [float("inf")]})
    assert read_json(file) == {"a": 1, "nan": "nan", "list": ["inf"]}
    write_text(file, "{}")
    assert read_json(file) == {}
    assert [path for path in tmp_path.iterdir() if path.name != "work"] == [file]


@pytest.mark.parametrize("text", ["", "{", "[1]", "\x00"])
def test_a_damaged_file_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(BadPlace, match="damaged"):
        read_json(tmp_path / "run.json")


def begun(path: Path, **facts: object) -> RunDirectory:
    directory = RunDirectory(path, Record(path.name, "digits"))
    directory.begin("seed: 0\n", ["optimizer.lr=0.1", "name='it''s'"])
    return directory


def test_a_record_is_true_at_every_moment(tmp_path: Path) -> None:
    directory = begun(tmp_path / "digits" / "20260101-000000-abcdef")
    assert read_json(directory.path / "run.json")["status"] == "running"
    directory.end("failed", "out of memory")
    facts = read_json(directory.path / "run.json")
    assert (facts["status"], facts["error"]) == ("failed", "out of memory")
    assert facts["duration"] >= 0 and facts["attempts"][0]["status"] == "failed"
    assert RunDirectory.open(directory.path).record == directory.record


def test_what_a_later_stepkit_added_to_a_record_is_left_out(tmp_path: Path) -> None:
    directory = begun(tmp_path / "digits" / "20260101-000000-abcdef")
    facts = {**read_json(directory.path / "run.json"), "invented": 1}
    (directory.path / "run.json").write_text(json.dumps(facts))
    assert RunDirectory.open(directory.path).record.id == "20260101-000000-abcdef"


def test_runs_are_found_by_path_id_start_of_id_and_last(tmp_path: Path) -> None:
    old = begun(tmp_path / "digits" / "20260101-000000-abcdef").path
    new = begun(tmp_path / "digits" / "20260102-000000-abffff").path
    trial = begun(tmp_path / "digits" / "20260103-000000-aaaaaa" / "0").path
    assert list(all_runs(tmp_path)) == [trial, new, old]
    assert find_run("last", tmp_path) == trial
    assert find_run("abcdef", tmp_path) == find_run("abc", tmp_path) == find_run("20260101", tmp_path) == old
    assert find_run(str(new), tmp_path) == new
    with pytest.raises(NoSuchRun, match="start of 2 runs"):
        find_run("ab", tmp_path)
    with pytest.raises(UserError, match="no run 'nope'"):
        find_run("nope", tmp_path)
    with pytest.raises(NoSuchRun, match="there are none"):
        find_run("last", tmp_path / "empty")


def test_an_unwritable_place_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "outputs").write_text("a file, not a folder")
    with pytest.raises(BadPlace, match="cannot be made"):
        make(tmp_path / "outputs" / "digits" / "x")
