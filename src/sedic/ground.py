"""The ground of a picture: one colour of much of its area, as in logos, scanned pages and slides.

A learned codec decodes flat colours with spots and a tint. So the file carries the colour itself
(``coding.carried``), and the decoder paints it where the decoded picture is close to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sedic.semantics import Ground

if TYPE_CHECKING:
    from sedic.picture import Picture

_SHARE = 0.2  # of the pixels, at least, have the colour of a ground
_EQUAL = 3  # grey levels by which such a pixel may differ from the colour, because of JPEG's noise
_TOLERANCES = (8, 16, 24, 32, 48, 64, 96)  # grey levels that are tried
_GAIN = 0.98  # a ground is sent if it brings the squared error to this share of it, or less
_FLAT = 4  # weight of errors on the ground, where they are seen more easily than in texture
_WINDOW = 5  # pixels: side of the window over which spots are averaged


def find_colour(picture: Picture) -> tuple[int, int, int] | None:
    """The colour of at least a fifth of a picture, (height, width, 3) uint8, or ``None``."""
    some = picture[::2, ::2].astype(np.uint32)
    packed = some[..., 0] << 16 | some[..., 1] << 8 | some[..., 2]
    colours, counts = np.unique(packed, return_counts=True)
    most = int(colours[counts.argmax()])
    colour = most >> 16, most >> 8 & 255, most & 255
    far = np.abs(some.astype(np.int16) - np.array(colour, np.int16)).max(-1)
    return colour if (far <= _EQUAL).mean() >= _SHARE else None


def choose(colour: tuple[int, int, int], decoded: Picture, original: Picture) -> Ground | None:
    """The ground of this colour whose painting brings ``decoded`` closest to ``original``.

    ``None`` where painting does not help.
    """
    far = _distance(decoded, colour)
    flat = np.abs(original.astype(np.int16) - np.array(colour, np.int16)).max(-1) <= _EQUAL
    weights = np.where(flat, np.float32(_FLAT), np.float32(1))
    least, best = _GAIN * _error(decoded, original, weights), None
    for tolerance in _TOLERANCES:
        painted = _painted(decoded, Ground(colour, tolerance), far)
        error = _error(painted, original, weights)
        if error < least:
            least, best = error, Ground(colour, tolerance)
    return best


def paint(decoded: Picture, ground: Ground) -> Picture:
    """A decoded picture with its ground painted, (height, width, 3) uint8."""
    return _painted(decoded, ground, _distance(decoded, ground.colour))


def _distance(decoded: Picture, colour: tuple[int, int, int]) -> npt.NDArray[np.float32]:
    """The distance of each pixel from a colour, (height, width), in grey levels.

    The larger of two numbers: the distance of the mean of the pixel's neighbourhood, and half of
    the pixel's own distance; both are the largest over the three channels.
    """
    from scipy import ndimage

    difference = decoded.astype(np.float32) - np.array(colour, np.float32)
    near = ndimage.uniform_filter(difference, (_WINDOW, _WINDOW, 1), mode="nearest")
    distance: npt.NDArray[np.float32] = np.maximum(
        np.abs(near).max(-1), np.abs(difference).max(-1) / 2
    )
    return distance


def _painted(decoded: Picture, ground: Ground, far: npt.NDArray[np.float32]) -> Picture:
    share = np.clip(2 - far / ground.tolerance, 0, 1)[..., None]
    mixed = decoded + share * (np.array(ground.colour, np.float32) - decoded)
    picture: Picture = np.round(mixed).astype(np.uint8)
    return picture


def _error(a: Picture, b: Picture, weights: npt.NDArray[np.float32]) -> float:
    """The weighted mean square error."""
    return float((np.square(a.astype(np.float32) - b).mean(-1) * weights).mean())
