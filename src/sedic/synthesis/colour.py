"""The wavelet colour fix: a picture's detail over another's colours (StableSR; DiffBIR)."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sedic.models.tiled_run import in_tiles
from sedic.picture import Picture

_LEVELS = 5
_REACH = 2**_LEVELS - 1  # pixels that the five blurs see, each way
_TILE = 1024


def low_frequencies(x: Tensor) -> Tensor:
    """Five levels of the à trous wavelet transform, (n, c, h, w): what remains without detail.

    Each level blurs with the binomial kernel 1 2 1, dilated by 2**level, edges repeated.
    """
    line = torch.tensor([0.25, 0.5, 0.25], dtype=x.dtype, device=x.device)
    kernel = (line[:, None] * line).expand(x.shape[1], 1, 3, 3)
    for level in range(_LEVELS):
        reach = 1 << level
        padded = F.pad(x, (reach,) * 4, mode="replicate")
        x = F.conv2d(padded, kernel, groups=x.shape[1], dilation=reach)
    return x


def recolour(content: Tensor, style: Tensor) -> Tensor:
    """The detail of ``content`` over the low frequencies of ``style``, both (n, c, h, w)."""
    return content + low_frequencies(style - content)


def recolour_picture(content: Picture, style: Picture) -> Picture:
    """``recolour`` on pictures of one size, in bounded memory."""
    pair = torch.from_numpy(np.concatenate((content, style), 2)).permute(2, 0, 1)[None]

    def run(crop: Tensor) -> Tensor:
        fixed = recolour(crop[:, :3].float(), crop[:, 3:].float())
        return fixed.round().clamp(0, 255).to(torch.uint8)

    return in_tiles(run, pair, _TILE, _REACH)[0].permute(1, 2, 0).contiguous().numpy()


def smooth_picture(picture: Picture) -> Picture:
    """The low frequencies of a picture, in bounded memory."""
    pixels = torch.from_numpy(picture).permute(2, 0, 1)[None]

    def run(crop: Tensor) -> Tensor:
        return low_frequencies(crop.float()).round().clamp(0, 255).to(torch.uint8)

    return in_tiles(run, pixels, _TILE, _REACH)[0].permute(1, 2, 0).contiguous().numpy()
