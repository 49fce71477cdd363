"""Data plugin `table`: a stranger's file is understood, prepared the same everywhere, or told in a line."""

from __future__ import annotations

import datetime
import gzip
import json
import random
import string
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_breast_cancer, load_iris, load_wine

from stepkit.data.table import Table
from stepkit.errors import BadPlace, UnknownName, UserError, WrongData, WrongValue


def passengers(n: int = 240, seed: int = 0) -> dict[str, list[str]]:
    """A table as people have it: a key, names, gaps, categories, dates, a constant, an empty column."""
    draw = random.Random(seed)

    def each(make: Any) -> list[str]:
        return [make() for _ in range(n)]

    return {
        "PassengerId": [str(i + 1) for i in range(n)],
        "Survived": each(lambda: draw.choice("01")),
        "Pclass": each(lambda: draw.choice("123")),
        "Name": [f'Doe, Mr. "J{i}"' for i in range(n)],
        "Sex": each(lambda: draw.choice(["male", "female"])),
        "Age": each(lambda: draw.choice(["", "NA", str(draw.randint(1, 80)), f"{draw.random() * 80:.1f}"])),
        "Ticket": each(lambda: f"T{int(draw.expovariate(0.1))}"),
        "Fare": each(lambda: f"{draw.expovariate(0.03):.2f}"),
        "Cabin": each(lambda: draw.choice(["", "C85", "E46"])),
        "Joined": each(lambda: f"19{draw.randint(10, 12)}-{draw.randint(1, 12):02d}-{draw.randint(1, 28):02d}"),
        "Ship": ["Titanic"] * n,
        "Deck": [""] * n,
        "Alone": each(lambda: draw.choice(["Yes", "No"])),
    }


def write(path: Path, columns: dict[str, list[Any]], separator: str = ",") -> str:
    pl.DataFrame(columns).write_csv(path, separator=separator)
    return str(path)


def made(path: str | Path, target: str | int, **options: Any) -> Table:
    table = Table(str(path), target, **options)
    table.setup(seed=0)
    return table


def told(error: pytest.ExceptionInfo[UserError]) -> str:
    assert len(error.value.lines) == 1 and "\n" not in str(error.value)
    return str(error.value)


@pytest.fixture
def titanic(tmp_path: Path) -> str:
    return write(tmp_path / "titanic.csv", passengers())


@pytest.mark.parametrize(("load", "sizes"), [(load_iris, (4, 3)), (load_wine, (13, 3)), (load_breast_cancer, (30, 2))])
def test_well_known_tables_are_classified_with_every_column_standardised(
    tmp_path: Path, load: Any, sizes: tuple[int, int]
) -> None:
    data = load(as_frame=False)
    names = [str(data.target_names[number]) for number in data.target]
    columns = {str(name): data.data[:, i] for i, name in enumerate(data.feature_names)}
    table = made(write(tmp_path / "t.csv", {**columns, "kind": names}), "kind")
    assert (table.spec.in_features, table.spec.num_classes) == sizes
    assert table.spec.class_names == tuple(sorted(set(names)))
    x, y = table.train
    torch.testing.assert_close(x.mean(0), torch.zeros(sizes[0]), atol=1e-5, rtol=0)
    torch.testing.assert_close(x.std(0, correction=0), torch.ones(sizes[0]), atol=1e-5, rtol=0)
    assert y.dtype == torch.int64 and x.dtype == torch.float32
    assert [len(part[0]) for part in (table.val, table.test)] == [round(len(names) * 0.15)] * 2


def test_each_kind_of_column_is_found_and_told(titanic: str) -> None:
    table = made(titanic, "Survived")
    notes = "\n".join(table.notes)
    assert "classification of 'Survived': 2 classes, 0 (" in notes
    assert "(a key): PassengerId" in notes and "(a name or a key): Name (168 in 168 rows)" in notes
    assert "same value in every row: Ship" in notes and "no value at all: Deck" in notes
    assert "read as dates: Joined (%Y-%m-%d)" in notes
    assert "filled with the median, and marked: Age (" in notes
    one_each = {
        "Pclass",
        "Sex=male",
        "Sex=female",
        "Age",
        "Age missing",
        "Fare",
        "Cabin=C85",
        "Cabin=(missing)",
        "Alone",
    }
    assert one_each <= set(table.features)
    assert {f"Joined {part}" for part in ("days", "year", "month", "day", "weekday")} <= set(table.features)
    assert len(table.features) == table.spec.in_features == table.train[0].shape[1]


def test_text_has_a_place_for_each_frequent_value_one_for_the_rest_and_none_for_the_unseen(titanic: str) -> None:
    table = made(titanic, "Survived", categories=3)
    places = [name for name in table.features if name.startswith("Ticket=")]
    frame = pl.read_csv(titanic, infer_schema=False)
    assert len(places) == 4 and places[-1] == "Ticket=(other)"
    row = frame.row(0, named=True)
    encoded = dict(zip(table.features, table.prepare({**row, "Ticket": "new", "Sex": "x"})[0].tolist(), strict=True))
    assert [encoded[name] for name in places] == [0, 0, 0, 1]
    assert encoded["Sex=male"] == encoded["Sex=female"] == 0  # training held no other: nothing has learnt from one
    frequent = places[0].removeprefix("Ticket=")
    at_first = dict(zip(table.features, table.prepare({**row, "Ticket": frequent})[0].tolist(), strict=True))
    assert [at_first[name] for name in places] == [1, 0, 0, 0]


def test_rows_in_memory_a_file_and_a_stream_are_prepared_as_the_training_rows_were(titanic: str) -> None:
    table = made(titanic, "Survived")
    x = table.prepare(titanic)
    rows = sorted(map(tuple, x.tolist()))
    assert rows == sorted(tuple(row) for part in (table.train, table.val, table.test) for row in part[0].tolist())
    text, typed = pl.read_csv(titanic, infer_schema=False), pl.read_csv(titanic, null_values="NA", try_parse_dates=True)
    for raw in (
        text,
        typed,
        typed.lazy(),
        typed.to_dicts(),
        typed.to_dict(as_series=False),
        text.to_dicts(),
        typed.rows(),
    ):
        assert torch.equal(table.prepare(raw), x)
    assert torch.equal(table.prepare(typed.drop("Survived", "Name").to_dicts()[7]), x[7:8])
    assert torch.equal(table.prepare(typed.drop("Survived").row(7)), x[7:8])
    chunks = list(table.rows(titanic))
    assert torch.equal(torch.cat([chunk for _, chunk in chunks]), x)
    assert [number for numbers, _ in chunks for number in numbers] == list(range(1, 241))


def test_a_pandas_frame_is_prepared_too(titanic: str) -> None:
    pandas = pytest.importorskip("pandas")
    table = made(titanic, "Survived")
    frame = pandas.read_csv(titanic)
    assert torch.equal(table.prepare(frame), table.prepare(titanic))
    frame["Joined"] = pandas.to_datetime(frame["Joined"])
    assert torch.equal(table.prepare(frame), table.prepare(titanic))


def test_parquet_with_its_own_types_gives_what_csv_gives(titanic: str, tmp_path: Path) -> None:
    frame = pl.read_csv(titanic, null_values="NA", try_parse_dates=True)
    frame = frame.with_columns(
        pl.col("Sex").cast(pl.Categorical), pl.col("Alone") == "Yes", list=pl.Series([[1]] * 240)
    )
    frame.write_parquet(tmp_path / "titanic.parquet")
    csv, parquet = made(titanic, "Survived"), made(tmp_path / "titanic.parquet", "Survived")
    assert csv.features == parquet.features and torch.equal(csv.train[0], parquet.train[0])
    assert "dropped, neither numbers nor text: list (List(Int64))" in parquet.notes
    streamed = torch.cat([x for _, x in parquet.rows(str(tmp_path / "titanic.parquet"))])
    assert torch.equal(streamed, csv.prepare(titanic))


@pytest.mark.parametrize("target", ["Survived", "Fare"])
def test_the_state_is_plain_and_makes_a_fresh_object_equal(titanic: str, target: str) -> None:
    table = made(titanic, target)
    fresh = Table(titanic, target)
    fresh.load_state_dict(json.loads(json.dumps(table.state_dict())))
    output = torch.randn(5, table.spec.out_features or 0)
    assert torch.equal(fresh.prepare(titanic), table.prepare(titanic))
    assert fresh.restore(output) == table.restore(output)
    assert fresh.spec == table.spec and fresh.features == table.features


def test_statistics_change_only_with_training_rows(tmp_path: Path) -> None:
    columns: dict[str, list[Any]] = {
        "a": [float(i) for i in range(100)],
        "b": [f"{i % 5}x" for i in range(100)],
        "c": [None if i % 3 else i / 7 for i in range(100)],
        "y": [i / 2 for i in range(100)],
    }

    def state() -> str:
        return json.dumps(made(write(tmp_path / "t.csv", columns), "y").state_dict())

    table = made(write(tmp_path / "t.csv", columns), "y")
    train, val, test = ([round(2 * y) for y in table.restore(part[1])] for part in (table.train, table.val, table.test))
    assert sorted(train + val + test) == list(range(100))
    before = state()
    for row in val + test:
        columns["a"][row], columns["b"][row], columns["c"][row], columns["y"][row] = 1e6, "new", None, 50.0 + row / 7
    assert state() == before
    columns["a"][train[0]] += 0.5
    assert state() != before


@pytest.mark.parametrize(
    ("values", "task"),
    [
        (["yes", "no"], "classification"),
        (["a", "b", "c"], "classification"),
        (["0", "1"], "classification"),
        (["1.0", "2.0", "3.0"], "classification"),
        (["3", "4", "5", "6", "7", "8"], "classification"),
        ([str(i) for i in range(21)], "regression"),
        (["0.5", "1.5"], "regression"),
        (["1,5", "2,5"], "regression"),
    ],
)
def test_the_task_follows_the_target_and_can_be_set(tmp_path: Path, values: list[str], task: str) -> None:
    columns = {"x": [i * 0.5 for i in range(126)], "y": [values[i % len(values)] for i in range(126)]}
    path = write(tmp_path / "t.csv", columns)
    assert made(path, "y").spec.task == task
    assert made(path, "y", task="classification").spec.task == "classification"
    if values[0][0].isdigit():
        assert made(path, "y", task="regression").spec.task == "regression"


def test_numbers_of_classes_are_ordered_by_size_and_restored(tmp_path: Path) -> None:
    columns = {"x": list(range(60)), "y": [str(i % 12) for i in range(60)]}
    table = made(write(tmp_path / "t.csv", columns), "y")
    assert table.spec.class_names == tuple(map(str, range(12)))
    assert table.restore(torch.eye(12)[[10, 2]]) == ["10", "2"]


def test_a_number_is_learnt_in_deviations_and_restored_in_its_unit(tmp_path: Path) -> None:
    prices = [1000 + 37 * (i % 40) + 0.5 for i in range(100)]
    table = made(write(tmp_path / "t.csv", {"x": list(range(100)), "price": prices}), "price")
    y = torch.cat([part[1] for part in (table.train, table.val, table.test)])
    assert y.shape == (100, 1) and y.dtype == torch.float32
    assert abs(table.train[1].mean()) < 1e-5 and abs(table.train[1].std(correction=0) - 1) < 1e-5
    assert np.allclose(sorted(table.restore(y)), sorted(prices), atol=1e-2)
    assert table.target_scale == pytest.approx(np.std(table.restore(table.train[1])), rel=1e-4)


def test_missing_and_infinite_numbers_are_the_median_and_marked(tmp_path: Path) -> None:
    values = [str(i) for i in range(90)] + ["", "NA", "?", "inf", "-inf", "nan", "None", "-", "1e300", "N/A"]
    table = made(write(tmp_path / "t.csv", {"a": values, "b": list(range(100)), "y": ["p", "q"] * 50}), "y")
    x = table.prepare(str(tmp_path / "t.csv"))
    place = table.features.index("a missing")
    assert x[:, place].tolist() == [0.0] * 90 + [1.0] * 10
    assert len(set(x[90:, table.features.index("a")].tolist())) == 1 and x.isfinite().all()


def test_a_wild_value_does_not_flatten_the_others(tmp_path: Path) -> None:
    values = [float(i) for i in range(99)] + [1e30]
    table = made(write(tmp_path / "t.csv", {"a": values, "y": ["p", "q"] * 50}), "y")
    x = table.prepare({"a": values})[:, 0]
    assert x[:99].std() > 0.5 and x.abs().max() < 10


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (["3,5", "1.250,25"], [3.5, 1250.25]),
        (["$1,234.50", "$7.00"], [1234.5, 7.0]),
        (["5%", "12.5 %"], [5.0, 12.5]),
        (["True", "False"], [1.0, 0.0]),
        ([" 7", "8 "], [7.0, 8.0]),
    ],
)
def test_numbers_are_read_as_people_write_them(tmp_path: Path, values: list[str], wanted: list[float]) -> None:
    columns = {"a": values * 20, "y": ["p", "q", "q", "p"] * 10}
    table = made(write(tmp_path / "t.csv", columns, separator=";"), "y")
    plain = made(write(tmp_path / "p.csv", {"a": wanted * 20, "y": columns["y"]}), "y")
    assert torch.equal(table.prepare({"a": values}), plain.prepare({"a": wanted}))


@pytest.mark.parametrize(
    "form",
    ["%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%d %b %Y", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%SZ", "%m/%d/%y"],
)
def test_dates_are_read_in_any_usual_form(tmp_path: Path, form: str) -> None:
    days = [datetime.datetime(2020, 1, 1) + datetime.timedelta(days=11 * i) for i in range(60)]
    columns = {"when": [day.strftime(form) for day in days], "y": ["p", "q"] * 30}
    table = made(write(tmp_path / "t.csv", columns), "y")
    assert table.features == [f"when {part}" for part in ("days", "year", "month", "day", "weekday")]
    assert torch.equal(table.prepare({"when": days}), table.prepare(str(tmp_path / "t.csv")))
    x, places = table.prepare(str(tmp_path / "t.csv")), {name: i for i, name in enumerate(table.features)}
    months = [day.month for day in days]
    assert np.corrcoef(x[:, places["when month"]], months)[0, 1] == pytest.approx(1)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("packed", [False, True])
def test_any_usual_dialect_is_read(tmp_path: Path, end: str, separator: str, encoding: str, packed: bool) -> None:
    lines = [separator.join(("größe", "name", "y"))]
    lines += [separator.join((str(i), f'"a{separator} ""é"" {i % 3}"', "pq"[i % 2])) for i in range(40)]
    content = (end.join(lines) + end).encode(encoding)
    path = tmp_path / "t.csv"
    path.write_bytes(gzip.compress(content) if packed else content)
    table = made(path, "y")
    assert set(table.features) == {"größe", *(f'name=a{separator} "é" {i}' for i in range(3))}
    assert len(table.prepare(str(path))) == 40


def test_quotes_that_open_nothing_are_ordinary_characters(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("size,y\n" + "".join(f'{i % 3 + 1}" pipe,{"pq"[i % 2]}\n' for i in range(41)))
    assert 'size=1" pipe' in made(path, "y").features


def test_a_file_without_a_header_is_noticed_and_may_lack_the_target_when_predicting(tmp_path: Path) -> None:
    draw = random.Random(0)
    rows = [[f"{draw.random():.2f}", f"{draw.random():.1f}", draw.choice("ab")] for _ in range(60)]
    path, new = tmp_path / "t.csv", tmp_path / "new.csv"
    path.write_text("\n".join(map(",".join, rows)))
    new.write_text("\n".join(",".join(row[:2]) for row in rows))
    table = made(path, -1)
    assert table.features == ["column_1", "column_2"]
    assert any("the first line holds numbers" in note for note in table.notes)
    assert torch.equal(table.prepare(str(new)), table.prepare(str(path)))
    assert len(table.prepare(str(path))) == 60
    assert len(made(path, -1, header=True).prepare(str(path))) == 59


def test_blank_lines_keep_the_numbers_of_the_others(tmp_path: Path) -> None:
    table = made(write(tmp_path / "t.csv", {"a": list(range(40)), "y": ["p", "q"] * 20}), "y")
    (tmp_path / "new.csv").write_text("a\n1\n\n3\n\n")
    ((numbers, x),) = table.rows(str(tmp_path / "new.csv"))
    assert numbers == [1, 3] and torch.equal(x, table.prepare({"a": [1, 3]}))


def test_rows_without_a_target_are_left_out_and_told(tmp_path: Path) -> None:
    y = ["p", "q", ""] * 20
    table = made(write(tmp_path / "t.csv", {"a": list(range(60)), "y": y}), "y")
    assert sum(len(part[0]) for part in (table.train, table.val, table.test)) == 40
    assert any("'y' missing" in note and "20 of 60" in note for note in table.notes)
    y = ["1.5", "inf", "nan", "2.5", "x"] * 12 + ["3.5"] * 240
    table = made(write(tmp_path / "t.csv", {"a": list(range(300)), "y": y}), "y")
    assert table.spec.task == "regression" and any("36 of 300" in note for note in table.notes)


def test_a_class_of_a_single_row_is_told_and_learnt(tmp_path: Path) -> None:
    table = made(write(tmp_path / "t.csv", {"a": list(range(41)), "y": ["p", "q"] * 20 + ["r"]}), "y")
    assert any("a single row of class r" in note for note in table.notes)
    assert table.spec.num_classes == 3 and 2 in table.train[1]


def test_values_of_the_wrong_kind_are_told_unless_the_table_itself_has_such(tmp_path: Path) -> None:
    clean = made(write(tmp_path / "t.csv", {"age": list(range(100)), "y": ["p", "q"] * 50}), "y")
    with pytest.raises(WrongData, match="column 'age': 'forty' is no number") as error:
        clean.prepare({"age": "forty"})
    assert told(error)
    ages = [str(i) for i in range(98)] + ["unknown", "forty"]
    stray = made(write(tmp_path / "t.csv", {"age": ages, "y": ["p", "q"] * 50}), "y")
    assert torch.equal(stray.prepare({"age": "fifty"}), stray.prepare({"age": None}))


def test_folds_have_the_same_test_part_and_cover_the_rest(titanic: str) -> None:
    seen = []
    for fold in range(3):
        table = Table(titanic, "Fare", ignore=["Name"])
        table.setup(seed=0, fold=fold, folds=3)
        seen += table.restore(table.val[1])
        test = sorted(table.restore(table.test[1]))
        whole = made(titanic, "Fare")
        assert np.allclose(test, sorted(whole.restore(whole.test[1])), atol=1e-3)
    assert len(seen) == 240 - len(test)


def test_a_loaded_model_is_evaluated_on_another_file_with_its_own_preparation(titanic: str, tmp_path: Path) -> None:
    table = made(titanic, "Survived")
    new = write(tmp_path / "new.csv", passengers(3, seed=5))
    other = Table(new, "Survived", val=0, test=1)
    other.load_state_dict(table.state_dict())
    other.setup(seed=0)
    assert torch.equal(other.test[0], table.prepare(new)) and len(other.train[0]) == 0
    assert other.restore(torch.eye(2)[other.test[1]]) == passengers(3, seed=5)["Survived"]
    bad = write(tmp_path / "bad.csv", {**passengers(3), "Survived": ["0", "1", "perhaps"]})
    other = Table(bad, "Survived", val=0, test=1)
    other.load_state_dict(table.state_dict())
    with pytest.raises(WrongData, match="Survived=perhaps: no class of this model") as error:
        other.setup(seed=0)
    assert told(error)


@pytest.mark.parametrize(
    "raw", [None, 3, [], {}, "nothing.csv", [[1, 2]], [None], [{"Sex": "male"}, 3], {"Sex": ["male"], "Age": [1, 2]}]
)
def test_what_are_no_rows_of_the_table_is_told(titanic: str, raw: Any) -> None:
    with pytest.raises(UserError) as error:
        made(titanic, "Survived").prepare(raw)
    assert told(error)


def test_a_column_that_is_missing_is_told_with_the_nearest_given(titanic: str) -> None:
    table = made(titanic, "Survived")
    row = pl.read_csv(titanic).row(0, named=True)
    row["Farre"] = row.pop("Fare")
    with pytest.raises(WrongData, match=r"no column 'Fare' in these rows.*did you mean 'Farre'") as error:
        table.prepare(row)
    assert told(error)


GOOD = "x,y\n" + "".join(f"{i * 0.37:.2f},{'ab'[i % 2]}\n" for i in range(40))
FILES: dict[str, tuple[str | bytes, dict[str, Any], type[UserError], str]] = {
    "empty": ("", {}, WrongData, "the file is empty"),
    "only a header": ("x,y\n", {}, WrongData, "no rows with a target"),
    "one row": ("x,y\n1,a\n", {}, WrongData, "1 row with a target; give 10 or more"),
    "two rows": ("x,y\n1,a\n2,b\n", {}, WrongData, "2 rows with a target"),
    "names only": (
        "x,y\n" + "".join(f"N {i},{i % 2}\n" for i in range(40)),
        {},
        WrongData,
        "nothing left to learn from",
    ),
    "no other column": ("y\n" + "a\nb\n" * 20, {}, WrongData, "nothing left to learn from; no other column"),
    "target misspelt": (GOOD.replace("y", "label"), {"target": "lable"}, UnknownName, "did you mean 'label'?"),
    "place too high": (GOOD, {"target": 2}, WrongValue, "0 to 1, or -1"),
    "one class": ("x,y\n" + "1,a\n2,a\n" * 20, {}, WrongData, "'a' in every row"),
    "one number": ("x,y\n" + "1,2.5\n2,2.5\n" * 20, {}, WrongData, "the same number in every row"),
    "no target": ("x,y\n" + "1,\n2,NA\n" * 20, {}, WrongData, "no row has a finite value"),
    "infinite": ("x,y\n" + "1,inf\n2,-inf\n" * 20, {}, WrongData, "no row has a finite value"),
    "classes for all": ("x,y\n" + "".join(f"{i},N {i}\n" for i in range(40)), {}, WrongData, "are no classes"),
    "regression on text": (GOOD, {"task": "regression"}, WrongData, "'a' is no number"),
    "target ignored": (GOOD, {"ignore": ["y"]}, WrongData, "'y' is the target"),
    "ignored misspelt": (GOOD, {"ignore": ["xx"]}, UnknownName, "did you mean 'x'?"),
    "a name twice": ("x,x,y\n1,2,a\n", {}, WrongData, "two columns are called 'x'"),
    "open quote": (GOOD + '1,"a\n' + GOOD, {}, WrongData, "near line"),
    "text after a quote": (GOOD + '1,"a"b\n', {}, WrongData, "near line 42"),
    "long line": (GOOD + "1,a,b\n" + GOOD, {}, WrongData, "line 42 has 3 fields, the first line 2"),
    "a picture": (b"\x89PNG\r\n\x1a\n\x00\x00", {}, WrongData, "neither text (CSV) nor Parquet"),
    "cut parquet": (b"PAR1" + b"\x00" * 40, {}, WrongData, "not a Parquet file"),
    "cut gzip": (gzip.compress(GOOD.encode())[:-9], {}, WrongData, "the gzip file is cut"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_cannot_be_learnt_from_is_told_in_a_line(tmp_path: Path, name: str) -> None:
    content, options, kind, words = FILES[name]
    path = tmp_path / "t.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(kind) as error:
        made(path, **{"target": "y", **options})
    assert words in told(error)


def test_a_path_that_is_no_table_is_told(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text(GOOD)
    (tmp_path / "book.xlsx").write_text("x")
    (tmp_path / "no.parquet").write_text(GOOD)
    cases: dict[str, tuple[type[UserError], str]] = {
        "": (BadPlace, "give the path"),
        str(tmp_path): (BadPlace, "a folder; give one file, as"),
        str(tmp_path / "dta.csv"): (BadPlace, "no such file; in its folder did you mean 'data.csv'?"),
        str(tmp_path / "book.xlsx"): (WrongData, "save its sheet as CSV"),
        str(tmp_path / "no.parquet"): (WrongData, "not a Parquet file"),
    }
    for path, (kind, words) in cases.items():
        with pytest.raises(kind) as error:
            made(path, "y")
        assert words in told(error)


def test_options_out_of_range_are_told() -> None:
    for options in ({"categories": 0}, {"separator": "ab"}):
        with pytest.raises(WrongValue):
            Table("t.csv", "y", **options)


def test_fifty_thousand_rows_are_ready_in_seconds_and_streamed_in_chunks(tmp_path: Path) -> None:
    n, draw = 50_000, np.random.default_rng(0)
    columns: dict[str, Any] = {f"n{i}": draw.normal(size=n) for i in range(13)}
    columns |= {f"t{i}": draw.choice(list(string.ascii_lowercase), n) for i in range(5)}
    columns |= {"when": [f"2024-01-{day:02d}" for day in draw.integers(1, 29, n)], "y": draw.choice(["p", "q"], n)}
    path = write(tmp_path / "t.csv", columns)
    start = time.perf_counter()
    table = made(path, "y")
    assert time.perf_counter() - start < 15  # 1.3 s on a quiet core
    chunks = list(table.rows(path))
    assert max(len(numbers) for numbers, _ in chunks) <= 10_000
    assert torch.equal(torch.cat([x for _, x in chunks]), table.prepare(path))


CELLS = st.one_of(
    st.integers(-(10**20), 10**20).map(str),
    st.floats(width=64).map(str),
    st.sampled_from(["", "NA", "yes", "no", "True", "2024-02-30", "31.12.1999", "1,5", "$1,000", "'", '"', "-", "é"]),
    st.text(max_size=6),
)
COLUMNS = st.one_of(
    st.lists(CELLS, min_size=1, max_size=6),
    st.lists(st.floats(width=64).map(str), min_size=1, max_size=8),
    st.lists(st.datetimes().map(str), min_size=1, max_size=8),
    st.lists(st.sampled_from("abc"), min_size=1, max_size=3),
)


@given(
    columns=st.lists(st.tuples(st.text(max_size=5), COLUMNS), min_size=1, max_size=5),
    rows=st.integers(0, 40),
    separator=st.sampled_from(",;\t"),
    task=st.sampled_from(["auto", "classification", "regression"]),
    parquet=st.booleans(),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_table_gives_finite_features_or_a_line(
    columns: list[tuple[str, list[str]]], rows: int, separator: str, task: Any, parquet: bool
) -> None:
    data = {name: [values[i % len(values)] for i in range(rows)] for name, values in columns}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("t.parquet" if parquet else "t.csv")
        frame = pl.DataFrame(data, schema=dict.fromkeys(data, pl.String))
        frame.write_parquet(path) if parquet else frame.write_csv(path, separator=separator)
        table = Table(str(path), -1, task=task)
        try:
            table.setup(seed=0)
        except UserError as error:
            assert "\n" not in str(error) or any("\n" in name for name in data)
            return
        x = table.prepare(str(path))
        assert x.isfinite().all() and x.shape[1] == table.spec.in_features
        assert torch.equal(torch.cat([part for _, part in table.rows(str(path))]), x)
        fresh = Table(str(path), -1)
        fresh.load_state_dict(json.loads(json.dumps(table.state_dict())))
        assert torch.equal(fresh.prepare(str(path)), x)
        for part in (table.train, table.val, table.test):
            assert part[0].isfinite().all() and part[1].isfinite().all()


@given(content=st.one_of(st.binary(max_size=200), st.text(alphabet='ab1.5,;"\t\n\r', max_size=300).map(str.encode)))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_bytes_as_a_file_are_read_or_told(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.csv"
        path.write_bytes(content)
        table = Table(str(path), 0)
        try:
            table.setup(seed=0)
        except UserError as error:
            assert str(error)
        else:
            assert table.train[0].isfinite().all()
