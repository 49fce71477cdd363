"""Scalars of many steps as records, encoded all at once.

One event a step holds all its scalars. Events of the same tags differ only in their time, step and values, so
the bytes of one are laid out once and those few are patched into a copy for each step: a protobuf message built
a step would cost some fifty times as much.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from tensorboard.compat.proto.summary_pb2 import Summary

from .record_file import FOOTER, HEADER, checksum, header

WALL_TIME, STEP, SUMMARY = b"\x09", b"\x10", b"\x2a"  # the keys of Event's fields 1 (double), 2 (int64), 5 (message)


def encode_table(tags: Sequence[str], steps: ArrayLike, values: ArrayLike, wall_times: ArrayLike) -> bytes:
    """K events, one a step, as records.

    Args:
        tags: n names.
        steps: [K] integers.
        values: [K, n] numbers, stored as float32; NaN and infinities as they are.
        wall_times: [K] seconds since the epoch.

    Raises:
        ValueError: if the shapes do not fit each other.
    """
    steps, wall_times = np.asarray(steps, np.int64), np.asarray(wall_times, "<f8")
    with np.errstate(over="ignore"):  # beyond float32 is infinity
        values = np.asarray(values).astype("<f4")
    if steps.ndim != 1 or wall_times.shape != steps.shape or values.shape != (len(steps), len(tags)):
        raise ValueError(f"{len(tags)} tags, steps {steps.shape}, values {values.shape}, wall_times {wall_times.shape}")
    if values.size == 0:
        return b""
    summary, slots = _layout(tuple(tags))
    numbers = _varints(steps)
    width = numbers.shape[1]
    head = WALL_TIME + bytes(8) + STEP + bytes(width) + SUMMARY + _varint(len(summary))
    event = head + summary

    out = np.empty((len(steps), HEADER + len(event) + FOOTER), np.uint8)
    out[:] = np.frombuffer(header(len(event)) + event + bytes(FOOTER), np.uint8)
    payloads = out[:, HEADER:-FOOTER]
    payloads[:, 1:9] = _bytes(wall_times)
    payloads[:, 10 : 10 + width] = numbers
    payloads[:, len(head) + slots] = _bytes(values)
    out[:, -FOOTER:] = _bytes(np.array([checksum(row.tobytes()) for row in payloads], "<u4"))
    return out.tobytes()


@lru_cache(maxsize=256)
def _layout(tags: tuple[str, ...]) -> tuple[bytes, NDArray[np.intp]]:
    """A Summary of zeros under these tags, and the places [4 n] in it of the values' bytes."""
    # Messages one after the other are one message with their repeated fields joined; a value's number comes last.
    parts = [Summary(value=[Summary.Value(tag=tag, simple_value=0.0)]).SerializeToString() for tag in tags]
    ends = np.cumsum([len(part) for part in parts])
    return b"".join(parts), (ends[:, None] + np.arange(-4, 0)).ravel()


def _varints(numbers: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Protobuf varints [K, width], all as wide as the widest: padding (0x80 … 0x00) keeps the value."""
    unsigned = numbers.view(np.uint64)  # a negative number is its two's complement
    width = len(_varint(int(unsigned.max())))
    septets = unsigned[:, None] >> np.arange(0, 7 * width, 7, dtype=np.uint64) & np.uint64(0x7F)
    septets[:, :-1] |= np.uint64(0x80)
    return septets.astype(np.uint8)


def _varint(number: int) -> bytes:
    septets = [number >> shift & 0x7F for shift in range(0, max(number.bit_length(), 1), 7)]
    return bytes([*(septet | 0x80 for septet in septets[:-1]), septets[-1]])


def _bytes(array: NDArray[np.generic]) -> NDArray[np.uint8]:
    """[K, …] numbers as the bytes [K, ·] that hold them."""
    return np.ascontiguousarray(array).view(np.uint8).reshape(len(array), -1)
