"""Distances between two pictures that need no weights: PSNR and GMSD."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from sedic.picture import Picture


def psnr(a: Picture, b: Picture) -> float:
    """Peak signal-to-noise ratio in dB of (height, width, 3) uint8 pictures; inf if equal."""
    error = np.mean((a.astype(np.float64) - b) ** 2)
    return math.inf if error == 0 else float(10 * math.log10(255**2 / error))


def gmsd(a: Picture, b: Picture) -> float:
    """Gradient magnitude similarity deviation (Xue et al. 2014), 0 for equal pictures.

    Luma (BT.601, 0 to 255), 2x2 means at half size, Prewitt gradients, c = 170.
    """
    x, y = (_gradient(picture) for picture in (a, b))
    similarity = (2 * x * y + 170) / (x**2 + y**2 + 170)
    return float(similarity.std())


def _gradient(picture: Picture) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    luma = picture @ np.array([0.299, 0.587, 0.114])
    luma = ndimage.uniform_filter(luma, 2)[::2, ::2]
    across, down = (ndimage.prewitt(luma, axis) / 3 for axis in (1, 0))
    return np.asarray(np.hypot(across, down), np.float64)
