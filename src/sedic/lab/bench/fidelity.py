"""Distances between two pictures by formulas alone: no weights, nothing learned.

PSNR compares pixels and knows nothing of structure, so it favours blur at these rates. The others
were each fitted to, and checked against, what people said of distorted pictures:

- MS-SSIM, because the field reports it: structure and contrast at five scales;
- VIF, how much of the original's information about a natural scene is left: rewards detail, not
  only the absence of error;
- GMSD, the spread of gradient errors: one spoilt region costs more than even, mild blur;
- HaarPSI, edges by size and colour, weighted by where the eye looks: among those without weights
  the one that agrees best with people on several databases (Reisenhofer et al. 2018).

Pictures are (height, width, 3) uint8 of one size.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy import ndimage, signal
from scipy.special import expit, logit

from sedic.errors import SedicError

if TYPE_CHECKING:
    from torch import Tensor

    from sedic.picture import Picture

Plane = npt.NDArray[np.float64]

LUMA = (0.299, 0.587, 0.114)  # BT.601
EQUAL_EDGES = 170  # GMSD's c: gradients that are smaller than its root count as equal
_YIQ = np.array([LUMA, (0.596, -0.274, -0.322), (0.211, -0.523, 0.312)])
MS_SSIM_SIDE = 161  # five scales of an 11 x 11 window
VIF_SIDE = 41  # four scales, the last with a 3 x 3 window


def psnr(a: Picture, b: Picture) -> float:
    """Peak signal-to-noise ratio in dB over all three channels; inf if equal."""
    error = np.mean((a.astype(np.float64) - b) ** 2)
    return math.inf if error == 0 else float(10 * math.log10(255**2 / error))


def ms_ssim(a: Picture, b: Picture) -> float:
    """Multi-scale structural similarity (Wang, Simoncelli and Bovik 2003), 1 for equal pictures.

    Mean over RGB, 11 x 11 Gaussian window, torchmetrics' implementation; ``SedicError`` if a side
    is below ``MS_SSIM_SIDE`` pixels or torchmetrics is missing.
    """
    _check_side(a, MS_SSIM_SIDE)
    try:
        from torchmetrics.functional.image import (
            multiscale_structural_similarity_index_measure as measure,
        )
    except ImportError as error:
        raise _needs_torchmetrics() from error
    import torch

    # Channels last: the same numbers, four times faster on a CPU.
    x, y = (
        _planes(picture.transpose(2, 0, 1) / 255).contiguous(memory_format=torch.channels_last)
        for picture in (a, b)
    )
    return float(measure(x, y, data_range=1.0))


def vif(a: Picture, b: Picture) -> float:
    """Visual information fidelity of ``a`` for the original ``b`` (Sheikh and Bovik 2006).

    The pixel-domain version on luma (BT.601, 0 to 255), torchmetrics' implementation: 1 for equal
    pictures, 0 if nothing is left. ``SedicError`` if a side is below ``VIF_SIDE`` pixels or
    torchmetrics is missing.
    """
    _check_side(a, VIF_SIDE)
    try:
        from torchmetrics.functional.image import visual_information_fidelity as measure
    except ImportError as error:
        raise _needs_torchmetrics() from error
    x, y = (_planes((picture @ np.array(LUMA))[None]) for picture in (a, b))
    return float(measure(x, y))


def gmsd(a: Picture, b: Picture) -> float:
    """Gradient magnitude similarity deviation (Xue et al. 2014), 0 for equal pictures.

    Luma (BT.601, 0 to 255), 2x2 means at half size, Prewitt gradients, c = 170.
    """
    x, y = (_gradient(picture) for picture in (a, b))
    return float(_similar(x, y, EQUAL_EDGES).std())


def haarpsi(a: Picture, b: Picture) -> float:
    """Haar wavelet-based perceptual similarity (Reisenhofer et al. 2018), 1 for equal pictures.

    Their colour version: YIQ, 2x2 means at half size, C = 30, alpha = 4.2.
    """
    c, alpha = 30, 4.2
    x, y = (_halved_yiq(picture) for picture in (a, b))
    weighted = total = 0.0
    weights = []
    for axis in (0, 1):
        first, second = (
            [np.abs(_haar(picture[0], scale, axis)) for scale in (1, 2, 3)] for picture in (x, y)
        )
        similarity = sum(_similar(first[i], second[i], c) for i in (0, 1)) / 2
        weights.append(np.maximum(first[2], second[2]))  # of the coarsest scale
        weighted += float((expit(alpha * similarity) * weights[-1]).sum())
        total += float(weights[-1].sum())
    chroma = sum(_similar(np.abs(_mean2(x[i])), np.abs(_mean2(y[i])), c) for i in (1, 2)) / 2
    weight = (weights[0] + weights[1]) / 2
    weighted += float((expit(alpha * chroma) * weight).sum())
    total += float(weight.sum())
    if total == 0:  # both are of one grey: there is no edge to look at
        return 1.0
    return float((logit(weighted / total) / alpha) ** 2)


def _similar(x: Plane, y: Plane, c: float) -> Plane:
    return np.asarray((2 * x * y + c) / (x**2 + y**2 + c))


def _mean2(plane: Plane) -> Plane:
    """Means of 2x2 pixels, zeros beyond the edge."""
    return _window(plane, np.full((2, 2), 0.25))


def _haar(plane: Plane, scale: int, axis: int) -> Plane:
    size = 2**scale
    kernel = np.full((size, size), 2.0**-scale)
    kernel[: size // 2] *= -1
    return _window(plane, kernel if axis == 0 else kernel.T)


def _window(plane: Plane, kernel: Plane) -> Plane:
    """Convolution of the same size with zeros beyond the edge, as MATLAB's conv2 centres it."""
    full = signal.convolve2d(plane, kernel)
    top, left = (side // 2 for side in kernel.shape)
    return np.asarray(full[top : top + plane.shape[0], left : left + plane.shape[1]])


def _halved(plane: Plane) -> Plane:
    """Every second of ``_mean2``, both ways."""
    rows, columns = plane.shape
    even = np.pad(plane, ((0, rows % 2), (0, columns % 2)))
    return np.asarray(even.reshape(-(-rows // 2), 2, -1, 2).mean((1, 3)))


def _halved_yiq(picture: Picture) -> list[Plane]:
    return [_halved(picture @ row) for row in _YIQ]


def _gradient(picture: Picture) -> Plane:
    luma = _halved(picture @ np.array(LUMA))
    across, down = (ndimage.prewitt(luma, axis, mode="constant") / 3 for axis in (1, 0))
    return np.asarray(np.hypot(across, down), np.float64)


def _planes(values: Plane) -> Tensor:
    import torch

    return torch.from_numpy(np.ascontiguousarray(values, np.float32))[None]


def _check_side(picture: Picture, side: int) -> None:
    if min(picture.shape[:2]) < side:
        raise SedicError(f"pictures of at least {side} pixels a side are needed")


def _needs_torchmetrics() -> SedicError:
    return SedicError("needs torchmetrics: pip install 'sedic[bench]'")
