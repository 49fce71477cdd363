"""How a CSV file is written: its encoding, separator, quotes and header, found from the file itself."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import shutil
import zlib
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from stepkit.errors import WrongData, given

SEPARATORS = ",;\t|"
BLOCK = 1 << 20
NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "'|'"}


@dataclass(frozen=True)
class Dialect:
    """Attributes:
    encoding: a codec of Python's.
    separator: the character between two fields.
    quote: '"', or None where quotes are ordinary characters (`5" pipe`).
    header: the fields of the first line when they are names, else None.
    width: fields in the first line.
    direct: whether a reader of UTF-8 can take the file as it is.
    """

    encoding: str
    separator: str
    quote: str | None
    header: tuple[str, ...] | None
    width: int
    direct: bool


def dialect(path: Path, separator: str | None, header: bool | None, wanted: Iterable[str]) -> Dialect:
    """Find out how a file is written; `wanted` are column names that mark the first line as a header.

    Raises WrongData when the file is empty or is no text.
    """
    encoding = _encoding(path)
    head = _head(path, encoding)
    if not head.strip():
        raise WrongData(f"{given('data.path', path)}: the file is empty")
    separator = separator or _separator(head)
    first, second = [*_records(head, separator, 2), [], []][:2]
    names = tuple(field.strip() for field in first)
    is_header = _is_header(first, second, set(wanted)) if header is None else header
    direct = encoding == "utf-8" and not _zipped(path) and not _old_mac(head)
    quote = '"' if _quotes_fields(path, encoding, separator) else None
    return Dialect(encoding, separator, quote, names if is_header else None, len(names), direct)


def rewrite(path: Path, encoding: str, to: Path) -> None:
    """A copy as plain UTF-8 with newlines that every reader knows, in constant memory."""
    with text(path, encoding) as source, to.open("w", encoding="utf-8", newline="\n") as copy:
        shutil.copyfileobj(source, copy, BLOCK)


def text(path: Path, encoding: str, newline: str | None = None) -> IO[str]:
    """The file as text, unpacked when it is gzip."""
    return io.TextIOWrapper(_binary(path), encoding=encoding, errors="replace", newline=newline)


def misfit(path: Path, how: Dialect) -> str:
    """What is wrong in a CSV file that a reader refused, with its line. Slow: for the error's sake alone."""
    width = how.width
    with text(path, how.encoding, newline="") as lines:
        reader = csv.reader(lines, delimiter=how.separator, strict=True)
        try:
            for fields in reader:
                if len(fields) > width:
                    return f"line {reader.line_num} has {len(fields)} fields, the first line {width}"
        except csv.Error:
            return f"a quoted text is not closed, or goes on after its quote, near line {reader.line_num}"
    return "the quotes do not pair up; a quote inside a quoted text is written twice"


def is_number(field: str) -> bool:
    """Whether a field of the first lines reads as a number, decimal comma included."""
    try:
        float(field.strip().replace(",", "."))
    except ValueError:
        return False
    return True


def _binary(path: Path) -> IO[bytes]:
    return gzip.open(path, "rb") if _zipped(path) else path.open("rb")  # type: ignore[return-value]


def _zipped(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _blocks(path: Path) -> Iterable[bytes]:
    """The file's bytes, a block at a time. Raises WrongData when a gzip file is cut or broken."""
    try:
        with _binary(path) as file:
            while block := file.read(BLOCK):
                yield block
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise WrongData(f"{given('data.path', path)}: the gzip file is cut or broken; copy it again") from None


def _encoding(path: Path) -> str:
    """UTF-8 unless a byte order mark or a byte that UTF-8 cannot hold says otherwise; the whole file is looked at."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    first = True
    with closing(iter(_blocks(path))) as blocks:  # type: ignore[type-var]
        for block in blocks:
            if first and block.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                return "utf-16"
            if first and b"\x00" in block:
                raise WrongData(f"{given('data.path', path)}: neither text (CSV) nor Parquet; save it as one of them")
            first = False
            try:
                decoder.decode(block)
            except UnicodeDecodeError:
                return "cp1252"  # what spreadsheets write in Western Europe; it has a letter for nearly every byte
    return "utf-8"


def _head(path: Path, encoding: str) -> str:
    """The file's beginning, cut at the end of a line that is not the first."""
    with text(path, encoding, newline="") as file:
        return (file.read(1 << 16) + file.readline() + file.readline()).removeprefix("\ufeff")


def _old_mac(head: str) -> bool:
    return "\r" in head and "\n" not in head


def _records(head: str, separator: str, count: int) -> list[list[str]]:
    """The first records of the file's beginning, blank lines left out."""
    reader = csv.reader(io.StringIO(head, newline=None), delimiter=separator)
    found: list[list[str]] = []
    try:
        for fields in reader:
            if fields:
                found.append(fields)
            if len(found) == count:
                break
    except csv.Error:  # told with its line when the file is read
        pass
    return found


def _separator(head: str) -> str:
    """The one that cuts the first lines into the most fields, the same number in each."""

    def score(separator: str) -> tuple[float, int]:
        widths = [len(fields) for fields in _records(head, separator, 30)]
        if not widths or widths[0] < 2:
            return (0.0, 0)
        return (sum(width == widths[0] for width in widths) / len(widths), widths[0])

    return max(SEPARATORS, key=score)


def _is_header(first: Sequence[str], second: Sequence[str], wanted: set[str]) -> bool:
    """Names, unless a number stands above a number and no wanted name is among them."""
    if wanted & {field.strip() for field in first}:
        return True
    return not any(is_number(upper) and is_number(lower) for upper, lower in zip(first, second, strict=False))


def _quotes_fields(path: Path, encoding: str, separator: str) -> bool:
    """Whether some field begins with a quote; where none does, quotes are ordinary characters."""
    marks = [
        before.encode(encoding.replace("16", "16-le")) + b'"' for before in ("\n", "\r", separator, f"{separator} ")
    ]
    last = b"\n"
    with closing(iter(_blocks(path))) as blocks:  # type: ignore[type-var]
        for block in blocks:
            if any(mark in last + block for mark in marks):
                return True
            last = block[-2:]
    return False
