"""Tables of runs: what differs, under which names, in which order, and that a stranger's files cannot harm."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from stepkit.errors import BadSyntax, UnknownName
from stepkit.events import EventWriter
from stepkit.events.record_file import header
from stepkit.record.record import Record, RunDirectory
from stepkit.review.curves import curves
from stepkit.review.query import differing, select, shortest, sort
from stepkit.review.row import Row, read_yaml
from stepkit.review.runs import facts, run_columns, show
from stepkit.review.sparkline import BLOCKS, sparkline

CONFIG = "optimizer:\n  lr: 0.003\n"


def made(outputs: Path, number: int, overrides: list[str], config: str = CONFIG, **known: Any) -> Row:
    """A run's directory as stepkit itself leaves it."""
    path = outputs / "digits" / f"20260101-000000-{number:06x}"
    directory = RunDirectory(path, Record(path.name, "digits", **known))
    directory.begin(config, overrides)
    directory.end("finished")
    return Row(path)


def shown(rows: list[Row], *, width: int = 400, terminal: bool = False) -> str:
    """The table as it would stand on a terminal, or in a pipe."""
    out = io.StringIO()
    show(Console(file=out, width=width, force_terminal=terminal, no_color=True), rows, run_columns(rows))
    return out.getvalue()


def test_what_differs_is_what_was_typed_for_some_and_is_not_the_same_in_all(tmp_path: Path) -> None:
    rows = [
        made(tmp_path, 1, ["optimizer.lr=0.1", "trainer.max_epochs=1"]),
        made(tmp_path, 2, ["optimizer.lr=1e-1", "trainer.max_epochs=1", "name=b"], name="b"),
        made(tmp_path, 3, ["+optimizer.lr=0.2", "trainer.max_epochs=1"]),
    ]
    assert differing(rows) == {"lr": "optimizer.lr"}
    assert differing(rows[:2]) == {}  # 1e-1 is 0.1, and a name has a column of its own


def test_a_run_that_did_not_type_a_key_shows_what_its_config_says(tmp_path: Path) -> None:
    rows = [made(tmp_path, 1, ["optimizer.lr=0.1"]), made(tmp_path, 2, [])]
    assert "0.003" in shown(rows)
    assert differing([rows[1], made(tmp_path, 3, ["optimizer.lr=3e-3"])]) == {}


KEYS = st.lists(st.sampled_from(["a", "b", "name"]), min_size=1, max_size=4).map(".".join)


@given(st.sets(KEYS, min_size=1, max_size=8))
def test_a_short_name_is_an_end_of_its_key_alone_or_the_whole_key(keys: set[str]) -> None:
    names = {key: shortest(key, keys) for key in keys}
    assert len(set(names.values())) == len(keys)
    for key, name in names.items():
        assert f".{key}".endswith(f".{name}")
        assert name == key or [other for other in keys if f".{other}".endswith(f".{name}")] == [key]


@pytest.fixture
def four(tmp_path: Path) -> list[Row]:
    rates = {1: "0.1", 2: "0.02", 3: "1e-3", 4: "1"}
    scores = {1: 0.5, 2: 0.75, 3: math.nan, 4: 0.25}
    return [
        made(tmp_path, n, [f"optimizer.lr={rates[n]}"], metrics={"accuracy/test": scores[n]}, tags=[f"t{n}"])
        for n in rates
    ]


def ids(rows: list[Row]) -> str:
    return "".join(row.id[-1] for row in rows)


@pytest.mark.parametrize(
    ("conditions", "left"),
    [
        (["lr<0.1"], "23"),
        (["lr<=0.1", "lr!=0.02"], "13"),
        (["optimizer.lr=0.001"], "3"),
        (["accuracy/test>0.4"], "12"),
        (["accuracy/test>=0.25"], "124"),
        (["tags~T4"], "4"),
        (["status=finished", "experiment~dig"], "1234"),
        (["name=null"], "1234"),
        (["name!=null"], ""),
        (["status=failed"], ""),
    ],
)
def test_rows_are_chosen_by_conditions(four: list[Row], conditions: list[str], left: str) -> None:
    assert ids(select(four, conditions)) == left


def test_rows_are_sorted_by_number_and_those_without_one_stand_last(four: list[Row]) -> None:
    assert ids(sort(four, "lr")) == "3214"
    assert ids(sort(four, "lr", reverse=True)) == "4123"
    assert ids(sort(four, "accuracy/test")) == "4123"
    assert ids(sort(four, "accuracy/test", reverse=True)) == "2143"


def test_a_name_that_means_nothing_or_several_keys_is_one_line(tmp_path: Path, four: list[Row]) -> None:
    with pytest.raises(UnknownName, match="did you mean 'accuracy/test'"):
        sort(four, "acuracy/test")
    with pytest.raises(BadSyntax, match="not a condition"):
        select(four, ["lr"])
    row = made(tmp_path, 9, [], "a:\n  size: 1\nb:\n  size: 2\n")
    with pytest.raises(BadSyntax, match=r"several keys: a\.size, b\.size"):
        sort([row], "size")


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_a_table_fits_its_terminal_and_names_what_it_left_out(four: list[Row], width: int) -> None:
    text = shown(four, width=width, terminal=True)
    plain = [line for line in text.replace("\x1b[1m", "").replace("\x1b[0m", "").splitlines()]
    assert all(cell_len(line) <= width for line in plain)
    headings = {"run", "status", "experiment", "lr", "accuracy/test", "duration", "when"}
    told = " ".join(plain).replace(",", " ").split()
    assert headings <= set(told)


DAMAGE: list[Any] = [
    "",
    "{",
    "[" * 100_000,
    "[]",
    "{}",
    "\x00",
    {"status": 3},
    {"metrics": []},
    {"metrics": None},
    {"started": "yesterday"},
    {"duration": 1e300},
    {"duration": math.nan},
    {"started": 10**400},
    {"plugins": "none"},
    {"best": 7},
    {"attempts": {}},
]


@pytest.mark.parametrize("damage", DAMAGE, ids=range(len(DAMAGE)))
def test_a_damaged_record_is_a_row_that_says_so(tmp_path: Path, damage: Any) -> None:
    sound, row = made(tmp_path, 1, ["optimizer.lr=0.1"]), made(tmp_path, 2, ["optimizer.lr=0.2"])
    text = damage if isinstance(damage, str) else json.dumps({**row.record, **damage})
    (row.path / "run.json").write_text(text)
    rows = [sound, Row(row.path)]
    (line,) = (line for line in shown(rows).splitlines() if row.id in line)
    assert (line.split()[1] == "damaged" and "run.json" in line) or "recursion" in line
    assert facts(rows[1])["status"] == "damaged" and json.dumps(facts(rows[1]), allow_nan=False)
    assert ids(sort(rows, "duration")) == "12" and ids(select(rows, ["status=damaged"])) == "2"


VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(list(Record.__dataclass_fields__)), VALUE), st.text(max_size=40))
def test_whatever_stands_in_a_record_is_shown_without_what_a_terminal_obeys(
    tmp_path_factory: pytest.TempPathFactory, changed: dict[str, Any], typed: str
) -> None:
    row = made(tmp_path_factory.mktemp("outputs"), 1, [], metrics={"loss/test": 1.0})
    (row.path / "run.json").write_text(json.dumps({**row.record, **changed}))
    (row.path / "overrides.yaml").write_text(json.dumps([f"key={typed}"]))
    text = shown([Row(row.path), made(row.path.parents[1], 2, [])])
    assert all(c.isprintable() or c == "\n" for c in text)
    json.dumps(facts(Row(row.path)), allow_nan=False)


def test_aliases_of_aliases_are_not_expanded(tmp_path: Path) -> None:
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n"
    for one, next_one in zip("abcdefghij", "bcdefghijk", strict=True):
        bomb += f"{next_one}: &{next_one} [{','.join([f'*{one}'] * 9)}]\n"
    (tmp_path / "config.yaml").write_text(bomb)
    assert read_yaml(tmp_path / "config.yaml") is None


def test_curves_are_read_over_attempts_up_to_a_torn_end(tmp_path: Path) -> None:
    for second, (steps, values) in enumerate([([0, 1, 2], [3.0, 2.0, 9.0]), ([2, 3], [1.0, 0.5])]):
        writer = EventWriter(tmp_path)
        writer.table(["loss/train", "lr"], steps, [[value, 0.1] for value in values])
        assert writer.path is not None
        writer.close()
        writer.path.rename(tmp_path / f"events.out.tfevents.{9 + second}.host")  # 9 comes before 10
    with (tmp_path / "events.out.tfevents.10.host").open("ab") as file:
        file.write(b"\x10\x00torn")
    (tmp_path / "events.out.tfevents.11.host").write_bytes(header(2**60) + b"a forged length")
    assert curves(tmp_path, ["loss/train", "loss/val"]) == {
        "loss/train": {0: 3.0, 1: 2.0, 2: 1.0, 3: 0.5},
        "loss/val": {},
    }


def test_a_sparkline_rises_where_the_values_do() -> None:
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7]) == BLOCKS
    assert sparkline([1.0, math.nan, 2.0]) == "▁!█"
    assert sparkline([5.0, 5.0]) == "▁▁"
    assert sparkline([]) == ""
    assert sparkline([1.0], low=0.0, high=1.0) == "█"


@given(st.lists(st.floats(), max_size=200), st.integers(1, 50))
def test_a_sparkline_takes_any_numbers_and_keeps_its_width(values: list[float], width: int) -> None:
    line = sparkline(values, width)
    assert len(line) == min(len(values), width)
    assert set(line) <= set(BLOCKS + "!")
