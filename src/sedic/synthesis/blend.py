"""Equation 4: an object's pixels change, all others stay as they were."""

from __future__ import annotations

import torch
from torch import Tensor


def blend(new: Tensor, earlier: Tensor, mask: Tensor) -> Tensor:
    """``new`` inside the mask, ``earlier`` outside (SEDIC eq. 4).

    Latents (1, c, h, w) at the same noise level; ``mask`` (h, w) boolean.
    """
    return torch.where(mask, new, earlier)
