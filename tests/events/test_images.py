"""PNG files that another decoder reads back to the last bit."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from stepkit.events import png
from stepkit.events.images import size

Image = pytest.importorskip("PIL.Image")

sizes = st.tuples(st.integers(1, 12), st.integers(1, 12))
shapes = sizes | st.tuples(st.integers(1, 12), st.integers(1, 12), st.sampled_from([1, 3, 4]))


@given(pixels=arrays(np.uint8, shapes))
def test_pixels_come_back(pixels: np.ndarray) -> None:
    encoded = png(pixels)
    assert size(encoded) == (pixels.shape[1], pixels.shape[0])
    with Image.open(io.BytesIO(encoded)) as picture:
        assert np.array_equal(np.asarray(picture), pixels.squeeze(2) if pixels.shape[2:] == (1,) else pixels)


def test_pixels_need_not_be_contiguous() -> None:
    pixels = np.arange(60, dtype=np.uint8).reshape(3, 4, 5).T[:3:, :, :].transpose(1, 2, 0)
    with Image.open(io.BytesIO(png(pixels))) as picture:
        assert np.array_equal(np.asarray(picture), pixels)


@pytest.mark.parametrize("shape", [(3,), (2, 2, 2), (2, 2, 5), (0, 3), (1, 2, 2, 3)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="a picture is uint8"):
        png(np.zeros(shape, np.uint8))


def test_floats_are_refused() -> None:
    with pytest.raises(ValueError, match="float64"):
        png(np.zeros((2, 2)))  # type: ignore[arg-type]


def test_what_is_no_png_has_no_size() -> None:
    with pytest.raises(ValueError, match="not a PNG"):
        size(b"GIF89a" + bytes(30))
