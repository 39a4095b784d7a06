"""pixel: MISC's block means to the bit, in fewer bytes than their plain values."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from sedic.errors import SedicError
from sedic.reference.pixel import LEVELS, Pixel, block_means, cell_side, enlarge, grid_shape

CODEC = Pixel()


@pytest.mark.parametrize("size", ["192x128", "130x97"])
@pytest.mark.parametrize("side", [8, 16, 32])
@pytest.mark.parametrize("step", [8, 16, 32])
def test_cells_are_the_research_codes(shared: Path, size: str, side: int, step: int) -> None:
    folder = shared / "parity" / "reference_pixel"
    golden = load_file(folder / "io.safetensors")
    case = f"to_block.{size}.grid{side}.level{step}"
    picture = golden[f"in.{size}"]
    cells = block_means(picture, side, step)
    np.testing.assert_array_equal(cells, golden[f"{case}.small_quantised"])
    large = enlarge(cells, picture.shape[1], picture.shape[0])
    expected = json.loads((folder / "meta.json").read_text())["cases"][case]["sha256_reference"]
    assert hashlib.sha256(large.tobytes()).hexdigest() == expected


@pytest.fixture(scope="module")
def photograph() -> np.ndarray:
    from skimage.data import astronaut

    return astronaut()


def test_levels_decode_to_their_cells_and_beat_plain_values(photograph: np.ndarray) -> None:
    picture = photograph[:400, 10:]
    height, width = picture.shape[:2]
    encode = CODEC.prepare(picture)
    sizes = []
    for level, (cells, step) in enumerate(LEVELS):
        payload = encode(level)
        side = cell_side(width, height, cells)
        expected = enlarge(block_means(picture, side, step), width, height)
        np.testing.assert_array_equal(CODEC.decode(payload, width, height), expected)
        rows, columns = grid_shape(width, height, side)
        plain_bits = 3 * rows * columns * (256 // step - 1).bit_length()
        assert 8 * len(payload) < 0.85 * plain_bits
        sizes.append(len(payload))
    assert sizes == sorted(sizes)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([0, 5, 11]), st.integers(0, 9))
def test_any_small_picture(width: int, height: int, level: int, seed: int) -> None:
    picture = np.random.RandomState(seed).randint(0, 256, (height, width, 3)).astype(np.uint8)
    cells, step = LEVELS[level]
    decoded = CODEC.decode(CODEC.prepare(picture)(level), width, height)
    expected = block_means(picture, cell_side(width, height, cells), step)
    np.testing.assert_array_equal(decoded, enlarge(expected, width, height))


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=60), st.integers(1, 300), st.integers(1, 300))
def test_any_bytes_give_a_picture_or_a_clear_error(data: bytes, width: int, height: int) -> None:
    try:
        decoded = CODEC.decode(data, width, height)
    except SedicError:
        return
    assert decoded.shape == (height, width, 3)
    assert decoded.dtype == np.uint8


def test_levels_that_do_not_exist_are_refused() -> None:
    for data in (b"", bytes([len(LEVELS)]), b"\xff123"):
        with pytest.raises(SedicError, match="level"):
            CODEC.decode(data, 64, 64)
