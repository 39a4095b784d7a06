"""Tests an outline: the object is painted away, and the classifier sees the picture again.

If an outline is too narrow (a head without its body, one of three domes), the rest of the object is
enough for the classifier to name it. Zeiler and Fergus (2014, section 4.2) do the same with a grey
square.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from sedic.describe.activation import Sighting, around
from sedic.describe.names import Names
from sedic.models.classifier import SIDE, Classifier, softmax

Region = npt.NDArray[np.bool_]
Picture = npt.NDArray[np.uint8]

_COARSE = 56  # pixels: side of the reduced view in which the region is filled in
_BLURS = (2.0, 5.0, 14.0)  # its pixels: the smallest blur that reaches known pixels fills a pixel
_REACHED = 0.02  # weight of known pixels in a blur that has reached them
_MARGIN = 3  # pixels of a view by which the region is widened
_MIN_CHANCE = 0.3  # lower bound of the chance before, by which the chance after is divided


def remains(
    picture: Picture, region: Region, sighting: Sighting, classifier: Classifier, names: Names
) -> float:
    """The chance of a sighting's name or kind after ``region`` was painted away, over that before.

    0 to 1. ``region``: (rows, columns) over the whole (height, width, 3) uint8 picture.
    """
    view = around(picture, sighting.box)
    mask = np.repeat(np.asarray(region, np.uint8)[..., None] * np.uint8(255), 3, axis=2)
    painted = _painted(view, around(mask, sighting.box)[..., 0] > 127)
    logits, _ = classifier.look(np.stack([view, painted]))
    before, after = names.chances(softmax(logits))[:, names.line(sighting.node)[:2]].max(axis=1)
    return min(1.0, float(after) / max(float(before), _MIN_CHANCE))


def _painted(view: Picture, region: Region) -> Picture:
    """A (side, side, 3) view whose ``region`` is filled in smoothly with what is around it."""
    region = ndimage.binary_dilation(region, iterations=_MARGIN)
    shape = (_COARSE, _COARSE)
    known = np.asarray(Image.fromarray(~region).convert("L").resize(shape, Image.Resampling.BOX))
    weight = (known == 255).astype(np.float32)
    coarse = np.asarray(Image.fromarray(view).resize(shape, Image.Resampling.BOX), np.float32)
    filled = coarse.copy()
    missing = weight == 0
    for blur in _BLURS:
        reach = ndimage.gaussian_filter(weight, blur, mode="nearest")
        mean = (
            ndimage.gaussian_filter(coarse * weight[..., None], (blur, blur, 0), mode="nearest")
            / np.maximum(reach, 1e-6)[..., None]
        )
        here = missing & ((reach > _REACHED) | (blur == _BLURS[-1]))
        filled[here] = mean[here]
        missing &= ~here
    smooth = Image.fromarray(np.clip(filled, 0, 255).astype(np.uint8))
    fine = np.asarray(smooth.resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    return np.where(region[..., None], fine, view)
