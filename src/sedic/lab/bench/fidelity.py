"""Metrics of two pictures that need no weights.

PSNR compares pixels without regard to structure, so it favours blur at these rates. The others were
fitted to people's ratings of distorted pictures:

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
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy import ndimage, signal
from scipy.special import expit, logit

from sedic.errors import SedicError
from sedic.failures import check_memory

if TYPE_CHECKING:
    from torch import Tensor

    from sedic.picture import Picture

Plane = npt.NDArray[np.float64]

LUMA = (0.299, 0.587, 0.114)  # BT.601
EQUAL_EDGES = 170  # GMSD's c: gradients that are smaller than its root count as equal
_YIQ = np.array([LUMA, (0.596, -0.274, -0.322), (0.211, -0.523, 0.312)])
_LARGE = 512  # pixels a side: more than any metric needs


def psnr(a: Picture, b: Picture) -> float:
    """Peak signal-to-noise ratio in dB over all three channels; inf if equal."""
    error = np.mean((a.astype(np.float64) - b) ** 2)
    return math.inf if error == 0 else float(10 * math.log10(255**2 / error))


def ms_ssim(a: Picture, b: Picture) -> float:
    """Multi-scale structural similarity (Wang, Simoncelli and Bovik 2003), 1 for equal pictures.

    Mean over RGB, five scales, 11 x 11 Gaussian window, torchmetrics' implementation;
    ``SedicError`` if that finds the pictures too small, or is missing.
    """
    # Channels last: the same numbers, four times faster on a CPU.
    x, y = (_planes(picture.transpose(2, 0, 1) / 255, channels_last=True) for picture in (a, b))
    return _measured(_ms_ssim, x, y)


def vif(a: Picture, b: Picture) -> float:
    """Visual information fidelity of ``a`` for the original ``b`` (Sheikh and Bovik 2006).

    The pixel-domain version on luma (BT.601, 0 to 255), torchmetrics' implementation: 1 for equal
    pictures, 0 if nothing is left. ``SedicError`` if that finds the pictures too small, or is
    missing.
    """
    x, y = (_planes((picture @ np.array(LUMA))[None]) for picture in (a, b))
    return _measured(_vif, x, y)


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


def _planes(values: Plane, *, channels_last: bool = False) -> Tensor:
    import torch

    planes = torch.from_numpy(np.ascontiguousarray(values, np.float32))[None]
    return planes.contiguous(memory_format=torch.channels_last) if channels_last else planes


def _ms_ssim(x: Tensor, y: Tensor) -> Tensor:
    from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

    return multiscale_structural_similarity_index_measure(x, y, data_range=1.0)


def _vif(x: Tensor, y: Tensor) -> Tensor:
    from torchmetrics.functional.image import visual_information_fidelity

    return visual_information_fidelity(x, y)


def _measured(measure: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor) -> float:
    """A metric of torchmetrics; ``SedicError`` says how large pictures must be, if that is why."""
    try:
        return float(measure(x, y))
    except ImportError as error:
        raise SedicError("needs torchmetrics: pip install 'sedic[bench]'") from error
    except (ValueError, RuntimeError) as error:
        check_memory(error, "the metric")
        side = smallest_side(measure, x.shape[1])
        if min(x.shape[-2:]) >= side:
            raise
        raise SedicError(f"pictures of at least {side} pixels a side are needed") from error


@cache
def smallest_side(measure: Callable[[Tensor, Tensor], Tensor], channels: int) -> int:
    """The least side of square pictures that a metric accepts, found by trying."""
    import torch

    refused, accepted = 0, _LARGE
    while accepted - refused > 1:
        side = (refused + accepted) // 2
        black = torch.zeros(1, channels, side, side)
        try:
            measure(black, black)
        except (ValueError, RuntimeError):
            refused = side
        else:
            accepted = side
    return accepted
