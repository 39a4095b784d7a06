"""Large pictures through convolutional networks in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

import torch
from torch import Tensor

_UNIT = 16  # cells of which sides of tiles are multiples


def in_tiles(
    run: Callable[..., Tensor], x: Tensor | Sequence[Tensor], tile: int, margin: int
) -> Tensor:
    """``run`` on (1, channels, height, width), tile by tile, as if it ran on the whole; or on
    several tensors that differ in their channels alone.

    Each tile of at most ``tile``**2 cells is run with ``margin`` cells around it, which are cut off
    afterwards; at the borders of ``x`` there are none, so padding is the network's own. With a
    margin that covers the network's reach the result is that of one run. Tiles are as even as they
    can be, and as many each way as make the fewest cells in margins. A network that shrinks needs
    ``tile``, ``margin`` and the sides of ``x`` to be multiples of its factor, at most ``_UNIT``.
    """
    parts = [x] if isinstance(x, Tensor) else x
    height, width = parts[0].shape[-2:]
    if height * width <= tile * tile:
        return run(*parts)
    down, across = _grid(height, width, tile, margin)
    rows, columns = (
        -(-side // (count * _UNIT)) * _UNIT for side, count in ((height, down), (width, across))
    )
    whole: Tensor | None = None
    for top in range(0, height, rows):
        for left in range(0, width, columns):
            above, before = max(0, top - margin), max(0, left - margin)
            lines, places = (
                slice(above, top + rows + margin),
                slice(before, left + columns + margin),
            )
            crops = [part[..., lines, places] for part in parts]
            result = run(*crops)
            zoom = Fraction(result.shape[-1], crops[0].shape[-1])
            if whole is None:
                size = int(height * zoom), int(width * zoom)
                whole = torch.empty(1, result.shape[1], *size, dtype=result.dtype)
            y0, x0 = int(top * zoom), int(left * zoom)
            y1, x1 = int(min(top + rows, height) * zoom), int(min(left + columns, width) * zoom)
            dy, dx = int(above * zoom), int(before * zoom)
            whole[..., y0:y1, x0:x1] = result[..., y0 - dy : y1 - dy, x0 - dx : x1 - dx]
    assert whole is not None
    return whole


def _grid(height: int, width: int, tile: int, margin: int) -> tuple[int, int]:
    """How many tiles down and across: of no more than ``tile``**2 cells, with the least margins."""

    def work(grid: tuple[int, int]) -> int:
        down, across = grid
        return (height + 2 * margin * (down - 1)) * (width + 2 * margin * (across - 1))

    least = -(-height * width // (tile * tile))
    grids = [(down, -(-least // down)) for down in range(1, least + 1)]
    return min(grids, key=work)
