"""Makes the grain of a decoded picture coarser: blurs it, without colour and at equal strength."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from sedic.picture import Picture

_BLUR = 1.5  # pixels, the deviation of the Gaussian


def with_coarse_grain(noisy: Picture, plain: Picture, share: npt.NDArray[np.float32]) -> Picture:
    """A picture, (height, width, 3) uint8, some of whose grain is made coarser.

    ``noisy`` and ``plain`` are decoded with and without noise; their difference is the grain.
    ``share`` is how much of it is made coarser, 0 to 1, on a grid of 16 pixels.
    """
    from scipy import ndimage

    height, width = plain.shape[:2]
    grain = noisy.astype(np.float32) - plain
    grey = grain.mean(-1, keepdims=True)  # coloured blotches would be seen as stains
    blurred = ndimage.gaussian_filter(grey, (_BLUR, _BLUR, 0))
    blurred *= grey.std() / max(float(blurred.std()), 1e-6)
    at = ndimage.zoom(share, 16, order=0, grid_mode=True, mode="nearest")[:height, :width, None]
    picture: Picture = np.clip(np.round(plain + grain + at * (blurred - grain)), 0, 255).astype(
        np.uint8
    )
    return picture
