"""The search for the highest level that fits, where bytes do not rise with the level."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from skimage import data as samples

from sedic import Profile
from sedic.level_search import highest_that_fits
from sedic.picture import resized

Picture = np.ndarray


class Known:
    """Estimates of sizes that are known, all wrong by ``off`` bytes unless they are exact."""

    def __init__(self, sizes: Sequence[int], *, fall: bool, off: float = 0.0) -> None:
        self.fall, self._sizes, self._off = fall, sizes, off

    def sizes(self, levels: Sequence[int], most: int, *, exact: bool) -> list[float]:
        return [self._sizes[level] + (0 if exact else self._off) for level in levels]


def search(sizes: Sequence[int], room: int, estimates: Known | None) -> tuple[int, int]:
    """The level that is found, and how many levels were coded on the way."""
    coded: list[int] = []

    def encode(level: int) -> bytes:
        coded.append(level)
        return bytes(sizes[level])

    level, data = highest_that_fits(encode, 0, bytes(sizes[0]), len(sizes), room, estimates)
    assert len(data) == sizes[level] <= room
    return level, len(coded)


@given(st.lists(st.integers(1, 400), min_size=1, max_size=60), st.integers(0, 500))
def test_sizes_that_fall_are_all_looked_at(sizes: list[int], more: int) -> None:
    room = sizes[0] + more
    level, coded = search(sizes, room, Known(sizes, fall=True))
    assert level == max(i for i, size in enumerate(sizes) if size <= room)
    assert coded <= 1 + sum(room < size <= room + 3 for size in sizes)


@given(
    st.lists(st.floats(-0.4, 0.4), min_size=213, max_size=213),
    st.floats(1.01, 1.03),
    st.floats(-0.3, 0.3),
    st.integers(20, 5_000),
)
def test_sizes_that_rise_but_for_dips_need_few_levels(
    noise: list[float], growth: float, off: float, room: int
) -> None:
    smooth = 20 * growth ** np.arange(213)
    sizes = np.maximum(1, smooth + np.array(noise) * np.sqrt(smooth)).astype(int).tolist()
    room = max(room, sizes[0])
    level, coded = search(sizes, room, Known(sizes, fall=False, off=off * np.sqrt(room)))
    assert level == max(i for i, size in enumerate(sizes) if size <= room)
    near = [abs(size - room) <= np.sqrt(room) for size in sizes]
    assert coded <= 2 + sum(near)


def test_a_codec_that_estimates_nothing_is_searched_by_halves() -> None:
    sizes = [10, 12, 11, 15, 14, 20, 19, 18, 30, 29, 40]
    for room in range(10, 41):
        assert search(sizes, room, None)[0] == max(i for i, s in enumerate(sizes) if s <= room)


def flat(height: int, width: int) -> Picture:
    return np.full((height, width, 3), (128, 90, 60), np.uint8)


def gradient(height: int, width: int) -> Picture:
    ramp = np.linspace(0, 255, width).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(ramp[None, :, None], (height, width, 3)))


def slope(height: int, width: int) -> Picture:
    share = np.linspace(0, 1, height)[:, None, None] * np.ones((1, width, 1))
    return (60 + share * np.array([120, 60, 150])).astype(np.uint8)


def noise(height: int, width: int) -> Picture:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def faint(height: int, width: int) -> Picture:
    return np.random.default_rng(1).integers(122, 135, (height, width, 3), np.uint8)


def page(height: int, width: int) -> Picture:
    image = Image.new("RGB", (width, height), "white")
    for top in range(4, height - 12, 12):
        ImageDraw.Draw(image).text((4, top), "a page of some plain text", fill="black")
    return np.array(image)


def drawing(height: int, width: int) -> Picture:
    image = Image.new("RGB", (width, height), (240, 230, 200))
    draw = ImageDraw.Draw(image)
    draw.ellipse((width * 0.2, height * 0.2, width * 0.6, height * 0.8), fill=(200, 30, 40))
    draw.rectangle((width // 2, height // 2, width * 0.9, height * 0.9), fill=(30, 80, 200))
    return np.array(image)


def cat(height: int, width: int) -> Picture:
    return resized(samples.chelsea(), width, height)


def coffee(height: int, width: int) -> Picture:
    return resized(samples.coffee(), width, height)


def check(picture: Picture, most_rooms: int) -> None:
    """The level that is found is the highest of all that fit, at many numbers of bytes."""
    codec = Profile.load("mini").reference_codec()
    prepared: Any = codec.prepare(picture)
    files = [prepared(level) for level in range(codec.levels)]
    sizes = [len(file) for file in files]
    rooms = {sizes[0]} | {int(size) for size in np.geomspace(sizes[0], max(sizes), most_rooms)}
    for room in sorted(rooms):
        level, data = highest_that_fits(
            files.__getitem__, 0, files[0], codec.levels, room, prepared.estimates
        )
        assert data == files[level] and len(data) <= room
        assert level == max(i for i, size in enumerate(sizes) if size <= room), room


@pytest.mark.parametrize("make", [gradient, cat])
def test_the_level_is_the_highest_of_all_that_fit(make: Callable[[int, int], Picture]) -> None:
    check(make(48, 80), 8)


@pytest.mark.slow
@pytest.mark.parametrize("size", [(64, 96), (128, 192), (176, 256)])
@pytest.mark.parametrize("make", [flat, gradient, slope, noise, faint, page, drawing, cat, coffee])
def test_the_level_is_the_highest_of_all_that_fit_whatever_the_picture(
    make: Callable[[int, int], Picture], size: tuple[int, int]
) -> None:
    check(make(*size), 60)
