"""How many bytes the latent of a picture takes at any level."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from sedic.reference.compact_latent import LatentCoder

_LEVEL_BYTE = 1
# A position is flat if every channel is within ``_STEP`` of the coarsest quantiser step of a
# neighbour's. Photographs have up to .26 of such positions, pages with text .5 and more.
_FLAT, _STEP = 0.3, 0.1


class LatentSizes:
    """The sizes of one latent, (1, channels, h, w) float32, as ``level_search.Estimates``."""

    def __init__(self, coder: LatentCoder, y: Tensor) -> None:
        self._coder, self._y = coder, y

    @cached_property
    def fall(self) -> bool:
        """Whether much of the picture is flat, so that sizes may fall far from level to level."""
        steps = self._coder.in_steps(self._y, 0)
        across = F.pad(steps.diff(dim=3).abs().amax(1), (0, 1), value=np.inf)
        down = F.pad(steps.diff(dim=2).abs().amax(1), (0, 0, 0, 1), value=np.inf)
        return bool((torch.minimum(across, down) < _STEP).float().mean() > _FLAT)

    @torch.inference_mode()
    def sizes(self, levels: Sequence[int], most: int, *, exact: bool) -> npt.NDArray[np.float64]:
        """The bytes of each level: ``exact`` within one byte, else within a few. Of a level that
        needs more than ``most`` bytes, the number only says that it does."""
        bits = self._coder.bits(self._y, levels, 8 * (most - _LEVEL_BYTE), exact=exact)
        return _LEVEL_BYTE + bits / 8
