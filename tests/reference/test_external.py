"""external: other codecs' files, opened only where format and size are allowed."""

from __future__ import annotations

import contextlib
import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, features

from sedic.errors import SedicError
from sedic.reference.external import External

CODEC = External()


@pytest.fixture(scope="module")
def photograph() -> np.ndarray:
    from skimage.data import coffee

    return coffee()


def _file(picture: np.ndarray, name: str, **settings: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, name, **settings)
    return file.getvalue()


def test_levels_grow_and_improve(photograph: np.ndarray) -> None:
    height, width = photograph.shape[:2]
    encode = CODEC.prepare(photograph)
    sizes, errors = [], []
    for level in range(CODEC.levels):
        data = encode(level)
        decoded = CODEC.decode(data, width, height)
        assert decoded.shape == photograph.shape
        assert decoded.dtype == np.uint8
        sizes.append(len(data))
        errors.append(np.square(decoded.astype(float) - photograph).mean())
    assert sizes == sorted(sizes)
    assert sizes[0] < 250
    assert all(after < before for before, after in zip(errors, errors[4:], strict=False))


@pytest.mark.parametrize("name", ["WEBP", "AVIF"])
def test_given_files_are_kept_as_they_are(photograph: np.ndarray, name: str) -> None:
    if not features.check(name.lower()):
        pytest.skip(f"this Pillow has no {name}")
    height, width = photograph.shape[:2]
    data = _file(photograph[::4, ::4], name, quality=80)
    codec = External(file=data)
    assert codec.levels == 1 and codec.prepare(photograph)(0) == data
    error = CODEC.decode(data, width, height).astype(float) - photograph
    assert np.abs(error).mean() < 15


def test_sizes_that_need_no_enlarging(photograph: np.ndarray) -> None:
    picture = photograph[:33, :47]
    data = _file(picture, "WEBP", lossless=True)
    np.testing.assert_array_equal(CODEC.decode(data, 47, 33), picture)


@pytest.mark.parametrize("name", ["PNG", "JPEG", "TIFF", "GIF", "EPS"])
def test_other_formats_are_refused(photograph: np.ndarray, name: str) -> None:
    with pytest.raises(SedicError, match="WEBP"):
        CODEC.decode(_file(photograph, name), 4000, 4000)


def test_pictures_larger_than_announced_are_refused(photograph: np.ndarray) -> None:
    data = _file(photograph[:20, :40], "WEBP")
    with pytest.raises(SedicError, match="40x20 pixels are more"):
        CODEC.decode(data, 39, 20)
    with pytest.raises(SedicError, match="40x20 pixels are more"):
        External(file=data).prepare(np.zeros((19, 40, 3), np.uint8))


def test_a_header_that_lies_is_refused_before_decoding() -> None:
    """A few bytes that claim 16383 x 16383 pixels (VP8L: 14 bits each)."""
    bits = (16382 | 16382 << 14).to_bytes(4, "little")
    body = b"WEBPVP8L" + struct.pack("<I", 10) + b"\x2f" + bits + zlib.compress(b"")[:5]
    data = b"RIFF" + struct.pack("<I", len(body)) + body
    with pytest.raises(SedicError):
        CODEC.decode(data, 768, 512)


def test_every_truncation_gives_a_picture_or_a_clear_error(photograph: np.ndarray) -> None:
    data = CODEC.prepare(photograph[:64, :64])(3)
    for size in range(len(data)):
        try:
            assert CODEC.decode(data[:size], 64, 64).shape == (64, 64, 3)
        except SedicError:
            continue
    with pytest.raises(SedicError):
        CODEC.decode(b"", 64, 64)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_damaged_files_give_a_picture_or_a_clear_error(data: st.DataObject) -> None:
    picture = np.random.RandomState(0).randint(0, 256, (16, 24, 3)).astype(np.uint8)
    file = bytearray(_file(picture, "WEBP"))
    for _ in range(data.draw(st.integers(1, 4))):
        file[data.draw(st.integers(0, len(file) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(SedicError):
        assert CODEC.decode(bytes(file), 24, 16).shape == (16, 24, 3)
