"""Grain for training crops, as film and sensors have it.

The training photographs were stored with loss, which takes most of their grain away. A codec that
has never seen grain neither sends how strong it is nor decodes any.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from sedic.picture import Picture

_WEAKEST, _STRONGEST = 1.5, 9.0  # standard deviation, grey levels
_LARGEST = 0.8  # pixels: the deviation of the blur that makes grain coarse
_COLOUR = 0.5  # at most, of the strength: what differs between the three channels


def with_grain(rng: np.random.Generator, crop: Picture) -> Picture:
    """A picture (h, w, 3) uint8 with grain of random strength, size and colour, strongest in the
    middle tones."""
    strength = np.exp(rng.uniform(np.log(_WEAKEST), np.log(_STRONGEST)))
    size, colour = rng.uniform(0, _LARGEST), rng.uniform(0, _COLOUR)
    noise = rng.standard_normal((*crop.shape[:2], 4), np.float32)
    if size > 0.3:
        noise = ndimage.gaussian_filter1d(ndimage.gaussian_filter1d(noise, size, 0), size, 1)
        noise /= noise.std()
    grain = np.sqrt(1 - colour**2) * noise[..., :1] + colour * noise[..., 1:]
    x = crop.astype(np.float32)
    tone = x.mean(2, keepdims=True) / 255
    amount = strength * (0.35 + 2.6 * tone * (1 - tone))
    grainy: Picture = np.clip(np.round(x + amount * grain), 0, 255).astype(np.uint8)
    return grainy
