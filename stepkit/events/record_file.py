"""The file format below TensorBoard's events: records, each guarded by two checksums.

A record is `length (uint64) | its checksum (uint32) | payload | its checksum (uint32)`, little-endian. The
checksum is CRC32C, masked (https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import google_crc32c

HEADER = 12  # bytes before a payload
FOOTER = 4  # bytes after it


def checksum(data: bytes) -> int:
    """Masked CRC32C: the rotation keeps the checksum of data that holds checksums from degenerating."""
    crc: int = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def header(length: int) -> bytes:
    """What stands before a payload of that many bytes."""
    size = struct.pack("<Q", length)
    return size + struct.pack("<I", checksum(size))


def record(payload: bytes) -> bytes:
    """A payload as one whole record."""
    return header(len(payload)) + payload + struct.pack("<I", checksum(payload))


def records(path: str | os.PathLike[str], offset: int = 0) -> Iterator[tuple[int, bytes]]:
    """Every whole record as (offset of its first byte, payload), up to the end or the first torn or damaged one.

    `offset` is where a record begins: those before it are left out.
    """
    with open(path, "rb") as file:
        file.seek(offset)
        while (payload := _next_payload(file)) is not None:
            yield offset, payload
            offset = file.tell()


def _next_payload(file: BinaryIO) -> bytes | None:
    """The payload of the record that begins here; None where there is no whole one."""
    head = file.read(HEADER)
    length = int.from_bytes(head[:8], "little")
    if head != header(length):  # the end, or a length that is torn and must not be trusted
        return None
    if length > os.fstat(file.fileno()).st_size:  # forged: its checksum holds, but no file has so much
        return None
    payload = file.read(length)
    return payload if file.read(FOOTER) == struct.pack("<I", checksum(payload)) else None


def cut(path: str | os.PathLike[str], offset: int) -> int:
    """Cut an event file to its first `offset` bytes; returns the bytes that are left.

    A file shorter than that (the machine lost power before the last records reached the disk) is cut after its
    last whole record: growing it would fill the gap with zeros, and nothing after a torn record is ever read.
    """
    size = Path(path).stat().st_size
    if size < offset:
        offset = max((start + HEADER + len(payload) + FOOTER for start, payload in records(path)), default=0)
    os.truncate(path, offset)
    return offset
