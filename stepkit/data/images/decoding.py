"""An image file, or an image in memory, as a square of bytes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from stepkit.errors import WrongData

ENDS = {"JPEG": b"\xff\xd9", "PNG": b"IEND", "GIF": b";"}  # how a whole file ends


def is_image_name(file: Path) -> bool:
    """By the ending of its name, whether Pillow reads such files."""
    return Image.registered_extensions().get(file.suffix.lower()) in Image.OPEN


def problem(path: str) -> str:
    """Why an image cannot be read, or "". Only the header is read, and the pixels where the file's end is missing."""
    try:
        with Image.open(path) as image:
            end = ENDS.get(image.format or "", b"")
            if end not in _tail(path):
                image.load()
        return ""
    except Exception as error:  # decoders raise anything on a broken file
        return _reason(error)


def load(path: str, size: int) -> Image.Image:
    """The image, upright. Raises WrongData with its path when it cannot be read.

    A JPEG much larger than `size` is decoded at a fraction of its size, which is several times faster.
    """
    try:
        with Image.open(path) as image:
            image.draft(None, (2 * size, 2 * size))  # None keeps the mode
            return ImageOps.exif_transpose(image)
    except Exception as error:  # decoders raise anything on a broken file
        raise WrongData(
            f"{path}: not readable as an image: {_reason(error)}; remove the file or save it again"
        ) from None


def square(image: Image.Image, size: int, channels: int, box: tuple[float, float, float, float]) -> NDArray[np.uint8]:
    """uint8 [size, size, channels] of the part of the image inside `box` (left, upper, right, lower)."""
    plain = in_colour(image, channels).resize((size, size), Image.Resampling.BILINEAR, box=box, reducing_gap=2.0)
    return np.asarray(plain).reshape(size, size, channels)


def in_colour(image: Image.Image, channels: int) -> Image.Image:
    """Red, green and blue of 8 bits, or grey of 8 bits; what is transparent becomes white."""
    if image.mode.startswith(("I", "F")):
        image = _eight_bits(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("L" if channels == 1 else "RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Grey of 16 bits, or of floats from 0 to 1, as 8 bits: Pillow's own conversion cuts them off at 255."""
    grey = np.nan_to_num(np.asarray(image, dtype=np.float64))
    top = 1 if image.mode == "F" and grey.max(initial=0) <= 1 else 255 if grey.max(initial=0) <= 255 else 65535
    if image.mode.startswith("I;16"):
        top = 65535
    return Image.fromarray((grey / top * 255).clip(0, 255).round().astype(np.uint8))


def pictures(raw: Any, size: int) -> list[Image.Image]:
    """What was given, as images: one or a list of paths, PIL images, arrays [H, W] or [H, W, C], tensors [C, H, W].

    Numbers are taken for bytes, or for shares of white (0 to 1) when they are floats up to 1.
    """
    if isinstance(raw, str | os.PathLike):
        return [load(os.path.expanduser(os.fspath(raw)), size)]
    if isinstance(raw, Image.Image):
        return [ImageOps.exif_transpose(raw)]
    if isinstance(raw, Tensor):
        raw = raw.detach().cpu()
        raw = (raw.movedim(-3, -1) if raw.ndim > 2 else raw).numpy()
    if isinstance(raw, np.ndarray) and raw.ndim < 4:
        return [_from_array(raw)]
    if isinstance(raw, list | tuple | np.ndarray) and len(raw):
        return [image for each in raw for image in pictures(each, size)]
    raise WrongData(
        f"{type(raw).__name__}: not an image; give a path, a PIL image, an array [H, W, 3] or a list of such"
    )


def _from_array(array: NDArray[Any]) -> Image.Image:
    if array.ndim == 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[-1] not in (3, 4)) or not array.size:
        raise WrongData(f"an array of shape {list(array.shape)} is no image; give [H, W], [H, W, 3] or [H, W, 4]")
    if array.dtype.kind not in "uifb":
        raise WrongData(f"an array of {array.dtype} is no image; give bytes from 0 to 255, or floats from 0 to 1")
    shares = array.dtype.kind == "b" or (array.dtype.kind == "f" and array.max() <= 1)
    return Image.fromarray(
        (np.nan_to_num(array.astype(np.float64)) * (255 if shares else 1)).clip(0, 255).astype(np.uint8)
    )


def to_tensor(pixels: NDArray[np.uint8]) -> Tensor:
    """float32 [C, H, W] from 0 to 1 of uint8 [H, W, C]."""
    return torch.from_numpy(pixels.astype(np.float32) / 255).permute(2, 0, 1).contiguous()


def _tail(path: str) -> bytes:
    with open(path, "rb") as file:
        file.seek(max(0, os.path.getsize(path) - 4096))  # some cameras write a little behind the end
        return file.read()


def _reason(error: BaseException) -> str:
    """Pillow's own words without the path, which stands before them."""
    if isinstance(error, UnidentifiedImageError):
        return "no image format that is known"
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
