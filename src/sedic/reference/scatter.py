"""What a decoder draws again in each block, shown at random places instead.

Where next to nothing is coded, the decoder's input is the same in each block, or in every second
one as on a checkerboard, and so is the texture that it makes: a pattern with a period of 16 or 32
pixels. Here the part of a picture that repeats is found and put together anew from pieces of itself
that are taken at random places nearby. Strength and looks of the texture stay; its period goes.
(AV1 places film grain in the same way: pieces of a template, at random offsets, overlapping.)
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from sedic.picture import Picture

_BLOCK = 16  # pixels: the network's stride
_AROUND = 5  # blocks a side of the region in which the same pattern is looked for
_PLACE = 5  # blocks a side of the region in which it is decided whether there is one
# What repeats is left where it is up to the first share of the detail's variance, and all of it is
# moved from the second on.
_FEW, _MANY = 0.25, 0.5
_FAINT = 1e-5  # of a variance, in a range of 1: two thirds of a grey level cannot be seen
_PIECE = 20  # pixels a side of a piece
REACH = 16  # pixels: how far away a piece is taken from, at most, in each direction
LAYERS = 4  # of pieces: two each way, half a piece apart
_TILE = 1024  # pixels a side of what is computed at once
_MARGIN = 128  # pixels around a tile on which it depends


def pieces(side: int) -> int:
    """How many pieces of a layer there are along a side of so many pixels."""
    return (side + _PIECE // 2 - 1) // _PIECE + 1


def scattered_picture(picture: Picture, moves: Tensor) -> Picture:
    """``scattered`` of a (height, width, 3) uint8 picture whose sides are multiples of 16, a tile
    at a time. A picture of less than two blocks a side is returned as it is."""
    height, width = picture.shape[:2]
    if min(height, width) < 2 * _BLOCK:
        return picture
    whole = torch.from_numpy(picture)
    result = torch.empty_like(whole)
    for top in range(0, height, _TILE):
        for left in range(0, width, _TILE):
            above, before = max(0, top - _MARGIN), max(0, left - _MARGIN)
            part = whole[above : top + _TILE + _MARGIN, before : left + _TILE + _MARGIN]
            planes = part.permute(2, 0, 1)[None].contiguous().float() / 255
            made = scattered(planes, moves, above, before)
            made = torch.round(made[0] * 255).clamp(0, 255).to(torch.uint8).permute(1, 2, 0)
            inside = made[top - above :, left - before :][:_TILE, :_TILE]
            result[top : top + _TILE, left : left + _TILE] = inside
    return result.numpy()


def scattered(x: Tensor, moves: Tensor, top: int = 0, left: int = 0) -> Tensor:
    """Pictures whose repeating part is at random places; (b, 3, h, w), float, values in a range of
    width 1, sides multiples of 16 from 32 on.

    ``moves``: how far down and right each piece is taken from, in pixels, integers in
    [-REACH, REACH), shape (2, LAYERS, ``pieces(height)``, ``pieces(width)``). They are of a whole
    picture, in which ``x`` begins at row ``top`` and column ``left``, multiples of 16.
    """
    pattern = _repeating(x)
    return x - pattern + _moved(pattern, moves, top, left)


def _repeating(x: Tensor) -> Tensor:
    """The part of pictures that repeats from block to block, where it is enough of their detail.

    Each block gets the mean of the others around it that have its colour on the checkerboard.
    Blocks with little detail count more in it, so an edge is not taken for a pattern. In training
    the gradient passes through the mean alone.
    """
    slow = F.avg_pool2d(F.avg_pool2d(x, 8), 3, 1, 1, count_include_pad=False)
    detail = x - F.interpolate(slow, scale_factor=8, mode="bilinear")
    blocks = F.pixel_unshuffle(detail, _BLOCK)
    offsets = torch.arange(_AROUND, device=x.device) - _AROUND // 2
    same_colour = ((offsets[:, None] + offsets) % 2 == 0).to(x.dtype)
    same_colour[_AROUND // 2, _AROUND // 2] = 0  # the block itself
    with torch.no_grad():
        power = blocks.square().mean(1, keepdim=True) + _FAINT
        weight = 1 / power
        count = _summed(weight, same_colour)
    pattern = _summed(blocks * weight, same_colour) / count
    with torch.no_grad():
        common = (blocks * pattern).mean(1, keepdim=True) * weight
        everywhere = x.new_ones(_PLACE, _PLACE)
        share = _summed(common, everywhere) / _summed(power * weight, everywhere)
        share = ((share - _FEW) / (_MANY - _FEW)).clamp(0, 1)
    return F.pixel_shuffle(pattern * share, _BLOCK)


def _summed(x: Tensor, kernel: Tensor) -> Tensor:
    """Sums over the cells around each that the kernel (side, side) names; zeros beyond borders."""
    channels = x.shape[1]
    weight = kernel.expand(channels, 1, -1, -1)
    return F.conv2d(x, weight, padding=len(kernel) // 2, groups=channels)


def _moved(pattern: Tensor, moves: Tensor, top: int, left: int) -> Tensor:
    """``pattern`` put together from pieces of itself, mirrored at its borders. The squares of the
    pieces' weights add up to one, which keeps the deviation of what is not alike."""
    height, width = pattern.shape[-2:]
    wide = width + 2 * REACH
    rows, columns = (torch.arange(n, device=pattern.device) for n in (height, width))
    here = (rows[:, None] + REACH) * wide + columns + REACH  # places in the padded pattern
    away = moves[0] * wide + moves[1]
    flat = F.pad(pattern, (REACH, REACH, REACH, REACH), mode="reflect").flatten(2)
    total = torch.zeros_like(pattern)
    for layer in range(LAYERS):
        down = rows + top + layer // 2 * (_PIECE // 2)
        right = columns + left + layer % 2 * (_PIECE // 2)
        place = here + away[layer].index_select(0, down // _PIECE).index_select(1, right // _PIECE)
        piece = flat.gather(2, place.flatten().expand(*flat.shape[:2], -1)).view_as(pattern)
        along, across = (torch.sin(math.pi * (at % _PIECE + 0.5) / _PIECE) for at in (down, right))
        total = torch.addcmul(total, piece, (along[:, None] * across).to(pattern))
    return total
