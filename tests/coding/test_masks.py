"""Masks come back as they were, cost few bytes, and damaged ones do no harm."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sedic.coding import jbig2, runlength
from sedic.errors import SedicError, UnsuitableInputError
from sedic.parts import MASK_CODERS
from sedic.profile import Profile
from sedic.semantics import (
    GRID,
    MAX_OBJECTS,
    Mask,
)

PROFILE = Profile.load("mini")
ANY_MASKS = [coder for coder in MASK_CODERS.names if coder != "blocks"]  # it has tests of its own


def blobs(height: int, width: int, count: int, seed: int = 0) -> list[np.ndarray]:
    """Disjoint smooth regions: the places where one of some random ellipses is nearest."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width] / np.array([height, width])[:, None, None]
    distances = [
        np.hypot((rows - rng.random()) * rng.uniform(0.7, 2), (columns - rng.random()) * 1.2)
        for _ in range(count)
    ]
    nearest = np.argmin(distances, axis=0)
    return [(nearest == k) & (distances[k] < rng.uniform(0.15, 0.3)) for k in range(count)]


def coded(planes: list[np.ndarray], coder: str) -> bytes:
    """The bytes of the masks, after checking that they decode to them."""
    masks = tuple(Mask.of(plane) for plane in planes)
    data = PROFILE.mask_coder(coder).encode(masks)
    height, width = planes[0].shape
    assert PROFILE.mask_coder(coder).decode(data, width, height, len(masks)) == masks
    return data


@st.composite
def any_masks(draw: st.DrawFn) -> list[np.ndarray]:
    height, width = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    rng = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    densities = draw(st.lists(st.sampled_from([0, 0.02, 0.5, 0.98, 1]), min_size=1, max_size=4))
    return [rng.random((height, width)) < density for density in densities]


@pytest.mark.parametrize("coder", ANY_MASKS)
@given(planes=any_masks())
@settings(max_examples=50, deadline=None)
def test_any_masks_round_trip(coder: str, planes: list[np.ndarray]) -> None:
    coded(planes, coder)


@pytest.mark.parametrize("coder", ANY_MASKS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 100), (100, 1), (2, 3), (32, 48)])
def test_blobs_round_trip_on_grids_of_every_shape(coder: str, shape: tuple[int, int]) -> None:
    coded(blobs(*shape, 2), coder)


def test_no_masks_are_refused() -> None:
    with pytest.raises(UnsuitableInputError, match="0 masks"):
        PROFILE.mask_coder("context").encode([])


def test_smooth_masks_cost_few_bytes() -> None:
    context = [len(coded(blobs(64, 96, 3, seed), "context")) / 3 for seed in range(5)]
    assert sum(context) / 5 <= 25
    jbig2_bytes, runlength_bytes = (len(coded(blobs(64, 96, 1), x)) for x in ("jbig2", "runlength"))
    assert max(context) < jbig2_bytes < runlength_bytes < 1000


def test_the_context_coder_copes_with_what_it_was_not_primed_for() -> None:
    """Noise costs a bit a cell, and emptiness next to nothing."""
    noise = np.random.default_rng(0).random((64, 96)) < 0.5
    assert len(coded([noise], "context")) < 1.6 * noise.size / 8
    assert len(coded([np.zeros((64, 96), np.bool_)], "context")) <= 2
    assert len(coded([np.ones((64, 96), np.bool_)] * 7, "context")) <= 7 * 40


def test_a_large_grid_round_trips() -> None:
    assert len(coded(blobs(512, 400, 1), "context")) < 300


@pytest.mark.parametrize("codec", [runlength, jbig2])
def test_the_papers_coders_take_full_resolution_pictures(codec) -> None:  # type: ignore[no-untyped-def]
    planes = blobs(131, 203, 3)
    data = codec.encode(planes)
    for plane, again in zip(planes, codec.decode(data, 203, 131, 3), strict=True):
        np.testing.assert_array_equal(plane, again)


def test_run_lengths_are_golomb_codes() -> None:
    """Runs of 3, 2 and 3 pixels: k = 1 and k = 0 by hand."""
    plane = np.array([[0, 0, 0, 1], [1, 0, 0, 0]], np.bool_)
    zeros, ones = "00001", "00000"
    bits = zeros + ones + "101" + "10" + "100"
    assert runlength.encode([plane]) == int(bits.ljust(24, "0"), 2).to_bytes(3, "big")


GOLDEN = {  # run lengths: see the codes by hand above
    "context": "ff246cd1e09607",
    "jbig2": "09109b29d544abae1c34571aa7f4a58de8ecd69585d724bffaaf239c629be758da6750ab098cb508",
}


@pytest.mark.parametrize("coder", GOLDEN)
def test_the_bytes_of_format_version_1_do_not_change(coder: str) -> None:
    rows, columns = np.mgrid[0:10, 0:14]
    left = 2 * (rows - 4) ** 2 + (columns - 4) ** 2 < 30
    assert coded([left, ~left & (rows > 5)], coder).hex() == GOLDEN[coder]


@pytest.mark.parametrize("coder", MASK_CODERS.names)
@given(data=st.binary(max_size=60))
@settings(max_examples=50, deadline=None)
def test_any_bytes_give_masks_or_an_error(coder: str, data: bytes) -> None:
    try:
        masks = PROFILE.mask_coder(coder).decode(data, 12, 9, 3)
    except SedicError as error:
        assert str(error).isprintable()
    else:
        assert [(mask.width, mask.height) for mask in masks] == [(12, 9)] * 3


@pytest.mark.parametrize("coder", ANY_MASKS)
def test_every_flipped_bit_gives_masks_or_an_error(coder: str) -> None:
    data = coded(blobs(5, 6, 2), coder)
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 128 >> bit % 8
        with suppress(SedicError):
            assert len(PROFILE.mask_coder(coder).decode(bytes(damaged), 6, 5, 2)) == 2


def test_run_lengths_that_lie_are_refused() -> None:
    data = coded(blobs(12, 16, 2), "runlength")
    for wrong in (b"", data[:-2], data + b"\0", data + b"\1", b"\xff" * 50, bytes(1 << 19)):
        with pytest.raises(SedicError, match="masks"):
            PROFILE.mask_coder("runlength").decode(wrong, 16, 12, 2)


def test_what_cannot_be_coded_is_refused() -> None:
    mask = Mask.of(np.ones((4, 5), np.bool_))
    with pytest.raises(SedicError, match="unknown mask coder"):
        PROFILE.mask_coder("png").encode([mask])
    with pytest.raises(SedicError, match="unknown mask coder"):
        PROFILE.mask_coder("png").decode(b"", 5, 4, 1)
    with pytest.raises(SedicError, match="8 masks"):
        PROFILE.mask_coder("context").encode([mask] * (MAX_OBJECTS + 1))
    with pytest.raises(SedicError, match="one size"):
        PROFILE.mask_coder("context").encode([mask, Mask.of(np.ones((5, 4), np.bool_))])


def test_pictures_too_large_or_ragged_for_the_papers_coders_are_refused() -> None:
    noise = np.random.default_rng(0).random((512, 512)) < 0.5
    with pytest.raises(SedicError, match="use the context coder"):
        PROFILE.mask_coder("runlength").encode([Mask.of(noise)])
    side = int(jbig2.MAX_PIXELS**0.5) // GRID + 1
    with pytest.raises(SedicError, match="use the context coder"):
        PROFILE.mask_coder("jbig2").encode([Mask.of(np.zeros((side, side), np.bool_))])
    with pytest.raises(SedicError, match="use the context coder"):
        PROFILE.mask_coder("jbig2").decode(b"", side, side, 1)
