"""Pictures as PNG files in memory, with nothing but zlib."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOR_TYPE = {1: 0, 3: 2, 4: 6}  # channels -> gray, RGB, RGBA (https://www.w3.org/TR/png-3/#3colourType)


def png(pixels: NDArray[np.uint8]) -> bytes:
    """Encode a picture.

    Args:
        pixels: uint8 [H, W] (gray), or [H, W, C] with C = 1 (gray), 3 (RGB) or 4 (RGBA).

    Raises:
        ValueError: for another shape or type.
    """
    shape = pixels.shape if pixels.ndim == 3 else (*pixels.shape, 1)
    if pixels.dtype != np.uint8 or len(shape) != 3 or shape[2] not in COLOR_TYPE or 0 in shape:
        raise ValueError(f"a picture is uint8 [H, W], [H, W, 3] or [H, W, 4], not {pixels.dtype} {list(pixels.shape)}")
    height, width, channels = shape
    lines = np.zeros((height, 1 + width * channels), np.uint8)  # each line begins with its filter: 0, none
    lines[:, 1:] = pixels.reshape(height, -1)
    head = struct.pack(">IIBBBBB", width, height, 8, COLOR_TYPE[channels], 0, 0, 0)
    return SIGNATURE + _chunk(b"IHDR", head) + _chunk(b"IDAT", zlib.compress(lines.tobytes())) + _chunk(b"IEND", b"")


def size(picture: bytes) -> tuple[int, int]:
    """Width and height of a PNG file. Raises ValueError if it is none."""
    if picture[:8] != SIGNATURE or picture[12:16] != b"IHDR":
        raise ValueError("not a PNG file")
    width, height = struct.unpack(">II", picture[16:24])
    return width, height


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
