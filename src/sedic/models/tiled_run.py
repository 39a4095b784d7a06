"""Large pictures through convolutional networks in bounded memory."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import torch
from torch import Tensor


def in_tiles(run: Callable[[Tensor], Tensor], x: Tensor, tile: int, margin: int) -> Tensor:
    """``run`` on (1, channels, height, width), tile by tile, as if it ran on the whole.

    Each tile of ``tile`` cells a side is run with ``margin`` cells around it, which are cut off
    afterwards; at the borders of ``x`` there are none, so padding is the network's own. With a
    margin that covers the network's reach the result is that of one run. A network that shrinks
    needs ``tile``, ``margin`` and the sides of ``x`` to be multiples of its factor.
    """
    height, width = x.shape[-2:]
    if height <= tile and width <= tile:
        return run(x)
    whole: Tensor | None = None
    for top in range(0, height, tile):
        for left in range(0, width, tile):
            above, before = max(0, top - margin), max(0, left - margin)
            crop = x[..., above : top + tile + margin, before : left + tile + margin]
            result = run(crop)
            zoom = Fraction(result.shape[-1], crop.shape[-1])
            if whole is None:
                size = int(height * zoom), int(width * zoom)
                whole = torch.empty(1, result.shape[1], *size, dtype=result.dtype)
            y0, x0 = int(top * zoom), int(left * zoom)
            y1, x1 = int(min(top + tile, height) * zoom), int(min(left + tile, width) * zoom)
            dy, dx = int(above * zoom), int(before * zoom)
            whole[..., y0:y1, x0:x1] = result[..., y0 - dy : y1 - dy, x0 - dx : x1 - dx]
    assert whole is not None
    return whole
