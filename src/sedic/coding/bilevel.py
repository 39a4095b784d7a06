"""Adaptive context coding of two-level pictures, a diagonal at a time.

The context of a cell is made of the already coded cells of a template around it, and of one cell of
a picture that encoder and decoder already have. Each context has two integer weights, which grow
with every coded cell, so encoder and decoder have the same numbers on every machine.

The cells (row, column) of one diagonal ``column + s * row = t`` are not in each other's contexts,
if the slant ``s`` fits the template. So they are coded together by one vectorised call, and their
weights grow after it. In the flattened, padded picture the indices of a diagonal are an arithmetic
progression; those of the neighbours are the same one, shifted.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from sedic.coding.range_coder import RangeDecoder, RangeEncoder

Cells = npt.NDArray[np.bool_]  # (height, width)
Template = tuple[tuple[int, int], ...]  # (row, column) offsets of already coded cells
Weights = npt.NDArray[np.int64]  # (contexts, 2): weights of the values 0 and 1

STEP = 32  # added to a weight by one coded cell
PRECISION = 16  # chances are multiples of 2**-PRECISION, never 0 or 1


def fresh_weights(template: Template) -> Weights:
    """Weights before any cell is coded: half a cell for each value (Krichevsky & Trofimov 1981)."""
    return np.full((2 << len(template), 2), STEP // 2, np.int64)


def encode_plane(
    encoder: RangeEncoder,
    cells: Cells,
    template: Template,
    weights: Weights,
    side: Cells | None = None,
) -> None:
    """Write the (height, width) ``cells``; ``weights`` learn from them, in place.

    ``side`` is a picture of the same size that the decoder already has; None means all zeros.
    """
    frame = _Frame(cells.shape[0], cells.shape[1], template)
    known = frame.pad(cells)

    def write(place: slice, ones: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
        bits = known[place].astype(np.int32)
        encoder.encode_bits(bits, ones, PRECISION)
        return bits

    frame.walk(template, weights, side, write)


def decode_plane(
    decoder: RangeDecoder,
    height: int,
    width: int,
    template: Template,
    weights: Weights,
    side: Cells | None = None,
) -> Cells:
    """Read what ``encode_plane`` wrote from the same ``weights`` and ``side``."""
    frame = _Frame(height, width, template)
    return frame.walk(template, weights, side, lambda _, ones: decoder.decode_bits(ones, PRECISION))


class _Frame:
    """A picture with enough empty cells around it for a template, flattened."""

    def __init__(self, height: int, width: int, template: Template) -> None:
        self.height, self.width = height, width
        self.top = max(-row for row, _ in template)
        self.margin = max(abs(column) for _, column in template)
        self.stride = width + 2 * self.margin
        self.slant = max(-(-(column + 1) // -row) for row, column in template if row < 0)

    def pad(self, cells: Cells) -> npt.NDArray[np.uint8]:
        wide = np.pad(cells.astype(np.uint8), ((self.top, 0), (self.margin, self.margin)))
        return wide.ravel()

    def walk(
        self,
        template: Template,
        weights: Weights,
        side: Cells | None,
        code: Callable[[slice, npt.NDArray[np.int64]], npt.NDArray[np.int32]],
    ) -> Cells:
        plane = self.pad(np.zeros((self.height, self.width), np.bool_))
        padded_side = plane.copy() if side is None else self.pad(side)
        offsets = np.array([row * self.stride + column for row, column in template])[:, None]
        places = 2 << np.arange(len(template))
        step = self.stride - self.slant
        flat_weights = weights.reshape(-1)
        for t in range(self.width + self.slant * (self.height - 1)):
            first = max(0, -(-(t - self.width + 1) // self.slant))
            last = min(self.height - 1, t // self.slant)
            start = (self.top + first) * self.stride + self.margin + t - self.slant * first
            if last < first:  # narrow pictures: no cell lies on this diagonal
                continue
            place = slice(start, start + step * (last - first) + 1, step)
            index = np.arange(place.start, place.stop, step)
            contexts = places @ plane[index + offsets] + padded_side[place]
            zeros, ones = weights[contexts].T
            chances = (ones << PRECISION) // (zeros + ones)
            chances = np.minimum(np.maximum(chances, 1), (1 << PRECISION) - 1)  # clip is slow
            bits = code(place, chances)
            plane[place] = bits
            np.add.at(flat_weights, 2 * contexts + bits, STEP)
        wide = plane.reshape(-1, self.stride)[self.top :, self.margin : self.margin + self.width]
        return wide.astype(np.bool_)
