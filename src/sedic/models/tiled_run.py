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
    """Call ``run`` on tiles of ``x`` (1, channels, height, width), and join the results.

    ``x`` may be several tensors that differ in their channels alone; ``run`` gets them all.

    A tile has at most ``tile``**2 cells. It is run with ``margin`` cells around it, which are cut
    off afterwards; beyond the borders of ``x`` there are none, so the network pads there itself. If
    the margin covers the network's receptive field, the result is that of one call. Tiles have
    about the same size, and their numbers across and down are those with the fewest cells in
    margins. For a network that shrinks, ``tile``, ``margin`` and the sides of ``x`` must be
    multiples of its factor, at most ``_UNIT``.
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
    """The numbers of tiles down and across: at most ``tile``**2 cells each, fewest in margins."""

    def work(grid: tuple[int, int]) -> int:
        down, across = grid
        return (height + 2 * margin * (down - 1)) * (width + 2 * margin * (across - 1))

    count = -(-height * width // (tile * tile))
    grids = [(down, -(-count // down)) for down in range(1, count + 1)]
    return min(grids, key=work)
