"""The search for the highest level that fits, where bytes do not rise with the level."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from PIL import Image, ImageDraw

from sedic import Profile
from sedic.rate import highest_that_fits


def test_levels_that_are_expected_to_fit_are_found_however_far_up() -> None:
    sizes = [20, 22, 24, 60, 70, 80, 90, 40, 43, 41, 30, 35, 50, 90, 99, 130]

    def expected(factor: float, low: int) -> list[float]:
        return [factor * size * (0.95, 1, 1.05)[size % 3] for size in sizes[low:]]

    for wrong in (0.7, 1.0, 1.3):  # a common factor of all expectations
        for room in range(20, 131):
            level, data = highest_that_fits(
                lambda one: bytes(sizes[one]),
                0,
                bytes(sizes[0]),
                len(sizes),
                room,
                partial(expected, wrong),
            )
            assert len(data) == sizes[level] <= room
            assert level == max(i for i, size in enumerate(sizes) if size <= room)


def page() -> np.ndarray:
    image = Image.new("RGB", (160, 112), "white")
    for top in range(4, 110, 12):
        ImageDraw.Draw(image).text((4, top), "a page of some plain text", fill="black")
    return np.asarray(image)


ramp = np.linspace(0, 255, 128).astype(np.uint8)
UNUSUAL = {
    "flat": np.full((64, 96, 3), 128, np.uint8),
    "gradient": np.broadcast_to(ramp[None, :, None], (96, 128, 3)),
    "text": page(),
    "noise": np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", UNUSUAL)
def test_the_level_is_the_highest_that_fits(kind: str) -> None:
    codec = Profile.load("mini").reference_codec()
    prepared = codec.prepare(UNUSUAL[kind])
    files = [prepared(level) for level in range(codec.levels)]
    sizes = [len(file) for file in files]
    rooms = sorted({int(size) for size in np.geomspace(min(sizes), max(sizes), 60)})
    best, found = [], []
    for room in rooms:
        level, data = highest_that_fits(
            files.__getitem__, 0, files[0], codec.levels, room, prepared.expected_sizes
        )
        assert len(data) <= room
        best.append(max(level for level, size in enumerate(sizes) if size <= room))
        found.append(level)
    # Expected sizes are estimates: what they miss is a few levels in a few rooms of a hundred.
    assert sum(a != b for a, b in zip(found, best, strict=True)) <= len(rooms) // 20
    assert max(b - a for a, b in zip(found, best, strict=True)) <= 20
