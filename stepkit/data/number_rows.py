"""The rows of a CSV file of numbers, a chunk at a time: the file may be larger than memory."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from itertools import islice

import torch
from torch import Tensor

from stepkit.errors import BadPlace, WrongData

CHUNK = 1024


def number_rows(path: str, columns: int) -> Iterator[tuple[list[int], Tensor]]:
    """(row numbers from 1, values float32 [rows, columns]) of a CSV file; a first line of names is skipped.

    Raises:
        BadPlace: no such file, or not readable.
        WrongData: a row of another length, or with something that is no number.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            lines = enumerate((row for row in csv.reader(file) if row), 1)
            rows = (parsed for number, row in lines if (parsed := _parsed(path, number, row, columns)) is not None)
            numbered = enumerate(rows, 1)
            while chunk := list(islice(numbered, CHUNK)):
                yield [number for number, _ in chunk], torch.tensor([values for _, values in chunk])
    except OSError as error:
        raise BadPlace(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise WrongData(f"{path}: not UTF-8 text; give a CSV file of {columns} numbers a row") from None


def _parsed(path: str, number: int, row: list[str], columns: int) -> list[float] | None:
    """The values of a row; None for a first row of names."""
    if len(row) != columns:
        raise WrongData(
            f"{path}: row {number} has {len(row)} values; give {columns} numbers a row, separated by commas"
        )
    try:
        return [float(cell) for cell in row]
    except ValueError as error:
        if number == 1:
            return None
        raise WrongData(f"{path}: row {number}: {error}") from None
