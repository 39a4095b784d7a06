"""Drawn training crops: flat colours, ramps, shapes and letters, which photographs hardly have."""

from __future__ import annotations

import string

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from sedic.picture import Picture

_FLAT = 0.4  # share of drawings that are one colour
_RAMP = 0.2  # share that go from one colour to another; the rest have shapes and letters
_WHITE = 0.4  # share of the grounds that are white or nearly so
_SHAPES = 6  # at most


def drawing(rng: np.random.Generator, side: int) -> Picture:
    """A drawing, (side, side, 3) uint8."""
    ground = _ground(rng)
    kind = rng.random()
    if kind < _FLAT:
        return np.broadcast_to(np.uint8(ground), (side, side, 3)).copy()
    if kind < _FLAT + _RAMP:
        return _ramp(rng, ground, side)
    image = Image.new("RGB", (side, side), ground)
    pen = ImageDraw.Draw(image)
    for _ in range(rng.integers(1, _SHAPES + 1)):
        left, top = rng.integers(-side // 4, side, 2).tolist()
        box = (left, top, left + int(rng.integers(8, side)), top + int(rng.integers(8, side)))
        fill = _colour(rng)
        what = rng.integers(4)
        if what == 0:
            pen.rectangle(box, fill)
        elif what == 1:
            pen.ellipse(box, fill)
        elif what == 2:
            pen.line(box, fill, int(rng.integers(1, 9)))
        else:
            letters = "".join(rng.choice(list(string.ascii_letters + string.digits), 8))
            pen.text((left, top), letters, fill, ImageFont.load_default(int(rng.integers(12, 48))))
    return np.asarray(image)


def _colour(rng: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = rng.integers(0, 256, 3).tolist()
    return red, green, blue


def _ground(rng: np.random.Generator) -> tuple[int, int, int]:
    if rng.random() < _WHITE:
        level = int(rng.choice([255, 255, 255, 250, 240, 0, 128]))
        return level, level, level
    return _colour(rng)


def _ramp(rng: np.random.Generator, start: tuple[int, int, int], side: int) -> Picture:
    end = np.array(_colour(rng), np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    rows, columns = np.mgrid[0:side, 0:side] / (side - 1)
    place = np.cos(angle) * columns + np.sin(angle) * rows
    place = (place - place.min()) / (place.max() - place.min())
    ramp = np.array(start, np.float32) + place[..., None] * (end - np.array(start, np.float32))
    picture: Picture = np.round(ramp).astype(np.uint8)
    return picture
