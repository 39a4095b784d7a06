"""A flat ground comes back as it was; what is not flat stays as it was decoded."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw
from skimage import data as samples

import sedic
from sedic.ground import choose, find_colour, paint
from sedic.semantics import Ground


def mottled(picture: np.ndarray, seed: int = 0) -> np.ndarray:
    """What a codec makes of flat colours: off by ten levels, and uneven."""
    cells = np.random.default_rng(seed).normal(8, 8, (*(n // 8 for n in picture.shape[:2]), 3))
    noise = cells.repeat(8, 0).repeat(8, 1)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def page() -> np.ndarray:
    image = Image.new("RGB", (320, 240), "white")
    pen = ImageDraw.Draw(image)
    for line in range(6):
        pen.text((20, 20 + 30 * line), "a line of dark letters on white", "black")
    pen.ellipse((200, 150, 300, 220), (200, 30, 90))
    return np.asarray(image)


@pytest.mark.parametrize("colour", [(200, 30, 90), (255, 255, 255), (0, 0, 0)])
def test_a_flat_picture_becomes_exact(colour: tuple[int, int, int]) -> None:
    flat = np.broadcast_to(np.uint8(colour), (96, 128, 3))
    assert find_colour(flat) == colour
    decoded = mottled(flat)
    ground = choose(colour, decoded, flat)
    assert ground is not None and np.array_equal(paint(decoded, ground), flat)


def test_a_page_keeps_its_letters_and_gets_a_white_ground() -> None:
    original = page()
    colour = find_colour(original)
    assert colour == (255, 255, 255)
    decoded = mottled(original)
    ground = choose(colour, decoded, original)
    assert ground is not None
    painted = paint(decoded, ground).astype(int)
    white = (original == 255).all(-1)
    assert (
        np.abs(painted - 255)[white].mean() < 0.3 * np.abs(decoded.astype(int) - 255)[white].mean()
    )
    letters = original.max(-1) < 60
    assert painted[letters].mean() < decoded[letters].mean() + 10


def test_photographs_have_no_ground_or_painting_it_does_not_help() -> None:
    cat = samples.chelsea()
    assert find_colour(cat) is None
    assert choose((0, 255, 0), cat, cat) is None


def test_pixels_far_from_the_ground_stay() -> None:
    cat = samples.chelsea()[:64, :64]
    assert np.array_equal(paint(cat, Ground((0, 0, 255), 8)), cat)


def test_a_page_in_few_bytes_has_a_white_ground() -> None:
    original = page()
    data = sedic.compress(original, max_bytes=340)
    assert len(data) <= 340
    ground = sedic.carried(data).ground
    assert ground is not None and ground.colour == (255, 255, 255)
    white = (original == 255).all(-1)
    for decoded in (sedic.preview(data), sedic.decompress(data)):
        assert (decoded[white] == 255).all(-1).mean() > 0.8
    assert sedic.carried(sedic.compress(original, max_bytes=100)).ground is None
