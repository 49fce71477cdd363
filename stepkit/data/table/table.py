"""The data plugin `table`: a stranger's file, read, understood, split and prepared."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from stepkit import DataSpec, split
from stepkit.errors import BrokenPlugin, UnknownName, WrongData, WrongValue, nearest

if TYPE_CHECKING:
    import polars as pl

    from .columns import Encoder
    from .reading import Layout
    from .target import Target

FEWEST = 10  # rows, to split at all


class Table:
    """A CSV file (.csv, .tsv, .txt, also .gz) or a Parquet file: x [N, in_features], y [N] class numbers or [N, 1].

    What each column is, is found from the training rows. Numbers (and truth values) are scaled to mean 0 and
    deviation 1, missing and infinite ones filled with the median and marked in a feature of their own. Dates become
    days since 1970, year, month, day, weekday and hour. Text becomes one feature for each of its most frequent
    values. Columns with nothing to learn from are dropped: constant, empty, a key, a name. `notes` tells all of it.

    The target is learnt as classes when it is text, truth values, two different whole numbers, or at most 20
    different ones with five rows each on average; else as a number (regression). Rows without a target are left out.
    In a regression y is in deviations from the mean of the training rows, and so is a mean absolute error: times
    `target_scale` it is in the target's unit, which `restore` gives.

    After `load_state_dict`, `setup` reads and splits the file but keeps the loaded preparation: evaluation of a
    trained model on another file. There `test=1` makes every row a test row.

    Args:
        path: the file.
        target: the column to predict, by name or by place (0 is the first, -1 the last).
        task: what to learn instead of what the target's values suggest.
        ignore: columns to leave out.
        categories: the most features for one column of text; rarer values share one.
        separator: between two fields of a CSV file; found from the file when not given.
        header: whether the first line holds the names; found from the file when not given.
        val, test: the parts of the rows for validation and test.
    """

    spec: DataSpec
    goal: Target
    encoders: list[Encoder]

    def __init__(
        self,
        path: str,
        target: str | int,
        task: Literal["auto", "classification", "regression"] = "auto",
        ignore: list[str] | None = None,
        categories: int = 32,
        separator: str | None = None,
        header: bool | None = None,
        val: float = 0.15,
        test: float = 0.15,
    ) -> None:
        if importlib.util.find_spec("polars") is None:
            raise BrokenPlugin(
                "data=table reads files with polars, which is not installed: pip install 'stepkit[table]'"
            )
        if categories < 1:
            raise WrongValue("data.categories", categories, "give 1 or more")
        separator = {"\\t": "\t", "tab": "\t"}.get(separator or "", separator)  # as a command line gives it
        if separator is not None and (len(separator) != 1 or ord(separator) > 127):
            raise WrongValue("data.separator", separator, "give a single character, as ';'")
        self.path, self.target, self.task, self.ignore = path, target, task, list(ignore or [])
        self.categories, self.separator, self.header = categories, separator, header
        self.fractions = {"val": val, "test": test}
        self.notes: list[str] = []
        self.columns: tuple[str, ...] = ()
        self.loaded = False

    def setup(self, seed: int, fold: int | None = None, folds: int | None = None) -> None:
        """Read, find out what the target and each column is, split (classes in proportion) and encode.

        Raises:
            BadPlace: no such file, a folder, not readable.
            WrongData: a file that cannot be read, or has nothing to learn in it.
            UnknownName: a target or an ignored column that the table lacks.
        """
        from .reading import read

        frame, self.notes = read(self.path, self._layout())
        self._check_rows(len(frame))
        name = self._target_name(frame.columns)
        self._check_ignored(name, frame.columns)
        goal, frame = self._goal(name, frame)
        parts = self._split(goal(frame[name]), seed, fold, folds)
        if not self.loaded:
            self._fit(name, goal, frame, frame[parts[0].numpy()])
        x, y = self._encode(frame), self.goal(frame[name])
        self.train, self.val, self.test = ((x[rows], y[rows]) for rows in parts)

    def _goal(self, name: str, frame: pl.DataFrame) -> tuple[Target, pl.DataFrame]:
        """What is to be learnt, and the rows that have it."""
        from .target import find_target

        goal = self.goal if self.loaded else find_target(frame[name], self.task)
        known = goal.known(frame[name])
        if not known.all():
            self.notes.append(
                f"rows left out, '{name}' missing or no number: {len(known) - known.sum()} of {len(known)}"
            )
            frame = frame.filter(known)
        self._check_rows(len(frame))
        return goal, frame

    def _split(self, y: Tensor, seed: int, fold: int | None, folds: int | None) -> Sequence[Tensor]:
        classes = y if y.ndim == 1 else None
        if self.loaded and self.fractions["test"] == 1:
            return torch.arange(0), torch.arange(0), torch.arange(len(y))
        return split(len(y), seed, fold=fold, folds=folds, strata=classes, **self.fractions)

    def _fit(self, name: str, goal: Target, frame: pl.DataFrame, train: pl.DataFrame) -> None:
        from .fitting import fit

        self.goal = goal.fit(train[name])
        self.goal_name, self.columns = name, tuple(frame.columns)
        names = [column for column in frame.columns if column != name and column not in self.ignore]
        self.encoders, notes = fit(frame, train, names, self.categories)
        if not self.features:
            raise WrongData(
                f"data.path={self.path}: nothing left to learn from; {'; '.join(notes) or 'no other column'}"
            )
        self.spec = self.goal.spec(len(self.features))
        self.notes = [*self.goal.notes(frame[name]), *self.notes, *notes]

    @property
    def features(self) -> list[str]:
        """What each of x's columns is."""
        return [name for encoder in self.encoders for name in encoder.names]

    @property
    def target_scale(self) -> float:
        """One unit of y in the target's own unit; 1 for classes."""
        return self.goal.scale

    def prepare(self, raw: Any) -> Tensor:
        """Rows to x [N, in_features], with what was fitted in training; a target among the columns is not looked at.

        Args:
            raw: a polars or pandas DataFrame, a dict of columns, a dict (one row), a list of dicts, bare values
                [N, columns] in the table's order, or the path of a file.

        Raises:
            WrongData: a column is missing, or a value is not of the column's kind.
        """
        from .memory import frame_of
        from .reading import read

        if isinstance(raw, str | os.PathLike):
            return self._encode(read(os.fspath(raw), self._layout())[0])
        return self._encode(frame_of(raw, self._layout()))

    def restore(self, output: Tensor) -> list[str] | list[float]:
        """Class names for scores [N, C]; numbers in the target's unit for outputs [N, 1]."""
        return self.goal.restore(output)

    def rows(self, path: str) -> Iterator[tuple[list[int], Tensor]]:
        """(row numbers from 1, x) of a CSV or Parquet file, 10,000 rows at a time; empty rows are left out."""
        from .reading import stream

        for numbers, frame in stream(path, self._layout()):
            yield numbers, self._encode(frame)

    def state_dict(self) -> dict[str, Any]:
        """Everything that prepare and restore need, as JSON values."""
        from .columns import to_plain

        return {
            "target": {"name": self.goal_name, **self.goal.plain()},
            "columns": list(self.columns),
            "encoders": [to_plain(encoder) for encoder in self.encoders],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of `state_dict`."""
        from . import columns, target

        facts = dict(state["target"])
        self.goal_name, self.goal = str(facts.pop("name")), target.from_plain(facts)
        self.columns = tuple(state["columns"])
        self.encoders = [columns.from_plain(each) for each in state["encoders"]]
        self.spec = self.goal.spec(len(self.features))
        self.loaded = True

    def _layout(self) -> Layout:
        from .reading import Layout

        return Layout(self.separator, self.header, self.columns, self.goal_name if self.columns else self.target)

    def _encode(self, frame: pl.DataFrame) -> Tensor:
        from .columns import encode

        needed = [encoder.column for encoder in self.encoders]
        missing = [name for name in needed if name not in frame.columns]
        if missing:
            others = [name for name in frame.columns if name not in needed]
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            advice = nearest(missing[0], others) if others else "no other column is given"
            raise WrongData(f"no column '{missing[0]}'{more} in these rows, which the model needs; {advice}")
        return torch.from_numpy(encode(self.encoders, frame))

    def _target_name(self, columns: list[str]) -> str:
        if str(self.target) in columns:  # a column may be called 3
            return str(self.target)
        if isinstance(self.target, str):
            raise UnknownName("column", self.target, columns, where="data.target")
        if not -len(columns) <= self.target < len(columns):
            raise WrongValue(
                "data.target",
                self.target,
                f"the table has {len(columns)} columns; give a name, 0 to {len(columns) - 1}, or -1",
            )
        return columns[self.target]

    def _check_ignored(self, target: str, columns: list[str]) -> None:
        for name in self.ignore:
            if name not in columns:
                raise UnknownName("column", name, columns, where="data.ignore")
            if name == target:
                raise WrongData(f"data.ignore: '{name}' is the target; leave it out of one of the two")

    def _check_rows(self, count: int) -> None:
        least = 1 if self.loaded else FEWEST
        if count < least:
            what = "row" if count == 1 else "rows"
            raise WrongData(f"data.path={self.path}: {count or 'no'} {what} with a target; give {least} or more")
