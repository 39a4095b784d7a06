"""Transparency: alpha becomes a mask of one bit per cell of 8 x 8 pixels, which a file carries; the
decoder makes alpha with smooth edges of the mask. Colours are continued below transparent parts.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from sedic.semantics import GRID, Mask, grid_size

Picture = npt.NDArray[np.uint8]  # (height, width, 3 or 4), sRGB
Alpha = npt.NDArray[np.uint8]  # (height, width)

_BLUR = 1.0  # cells: the deviation of the blur that smooths a mask's steps
_STEEPNESS = 5.0  # factor on the blurred mask; the edge is then about 4 pixels wide


def over_white(colour: Picture, alpha: Alpha) -> Picture:
    """The (height, width, 3) colours laid over white."""
    share = alpha[..., None].astype(np.uint16)
    laid: Picture = ((colour * share + 255 * (255 - share) + 127) // 255).astype(np.uint8)
    return laid


def fill_below(colour: Picture, alpha: Alpha) -> Picture:
    """The picture with the colours of its opaque parts continued into the transparent ones.

    The invisible parts then cost few bytes, and edges have no white fringe. ``colour`` is
    (height, width, 3); opaque pixels stay as they are, translucent ones are mixed.
    """
    share = alpha.astype(np.float32)[..., None] / 255
    levels = [np.concatenate([colour.astype(np.float32) * share, share], 2)]
    while max(levels[-1].shape[:2]) > 1:
        levels.append(_halved(levels[-1]))
    whole = levels.pop()
    filled = whole[..., :3] / np.maximum(whole[..., 3:], 1e-6)
    if not whole[..., 3].any():
        filled[:] = 255
    while levels:
        level = levels.pop()
        height, width = level.shape[:2]
        below = filled.repeat(2, 0).repeat(2, 1)[:height, :width]
        filled = level[..., :3] + below * (1 - level[..., 3:])
    return _bytes(filled)


def _bytes(values: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    rounded: npt.NDArray[np.float32] = np.rint(values).clip(0, 255)
    return rounded.astype(np.uint8)


def _halved(level: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Means of 2 x 2 pixels, weighted by how opaque they are, as opaque as the most opaque one."""
    height, width = level.shape[:2]
    level = np.pad(level, ((0, height % 2), (0, width % 2), (0, 0)))
    parts = level.reshape(level.shape[0] // 2, 2, -1, 2, 4)
    total = parts.sum((1, 3))
    opacity = parts[..., 3:].max((1, 3))
    halved: npt.NDArray[np.float32] = total * opacity / np.maximum(total[..., 3:], 1e-6)
    return halved


def opaque_mask(alpha: Alpha, size: tuple[int, int]) -> Mask | None:
    """The cells of a picture of ``size`` (width, height) that are at least half opaque.

    None where all of them are.
    """
    small = np.asarray(Image.fromarray(alpha).resize(size, Image.Resampling.BOX))
    columns, rows = grid_size(*size)
    missing = rows * GRID - size[1], columns * GRID - size[0]
    whole = np.pad(small, ((0, missing[0]), (0, missing[1])), "edge")
    opacity = whole.reshape(rows, GRID, columns, GRID).mean((1, 3))
    cells = opacity >= 127.5
    return None if cells.all() else Mask.of(cells)


def with_alpha(picture: Picture, opaque: Mask | None, size: tuple[int, int]) -> Picture:
    """The (height, width, 3) picture with the alpha of a mask, (height, width, 4); as it is for
    None. ``size``: width and height at which the mask's cells have 8 x 8 pixels."""
    if opaque is None:
        return picture
    cells = Image.fromarray(opaque.array.astype(np.uint8) * 255)
    smooth = cells.filter(ImageFilter.GaussianBlur(_BLUR))
    box = (0.0, 0.0, size[0] / GRID, size[1] / GRID)
    large = smooth.resize(picture.shape[1::-1], Image.Resampling.BICUBIC, box)
    opacity = (np.asarray(large, np.float32) - 127.5) * _STEEPNESS + 127.5
    return np.dstack([picture, _bytes(opacity)])
