"""Masks of 8 x 8 blocks, as MISC has them: 64 bits a mask before coding, about half after.

A block is on or off. The grid's rows and columns are divided as evenly as whole cells allow; the
first blocks get the remainder, and a grid of fewer than eight rows has blocks without cells. Blocks
are coded like cells; the context is the block above, the block to the left, and the same block of
the union of the masks before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from sedic.coding.bilevel import Cells, Template, decode_plane, encode_plane, fresh_weights
from sedic.coding.range_coder import RangeDecoder, RangeEncoder
from sedic.errors import SedicError
from sedic.semantics import (
    even_parts,
)

BLOCKS = 8  # each way
TEMPLATE: Template = ((-1, 0), (0, -1))


def encode(planes: Sequence[Cells]) -> bytes:
    """The bytes of (rows, columns) masks of one size; ``SedicError`` if one is not of blocks."""
    encoder, weights = RangeEncoder(), fresh_weights(TEMPLATE)
    covered: Cells | None = None
    for plane in planes:
        blocks = np.zeros((BLOCKS, BLOCKS), np.bool_)
        rows, columns = (np.array(even_parts(length, BLOCKS)) for length in plane.shape)
        nonempty = np.ix_(rows > 0, columns > 0)
        first = np.ix_((rows.cumsum() - rows)[rows > 0], (columns.cumsum() - columns)[columns > 0])
        blocks[nonempty] = plane[first]
        if not np.array_equal(_spread(blocks, *plane.shape), plane):
            raise SedicError("the blocks coder codes masks of 8 x 8 blocks only (method misc)")
        encode_plane(encoder, blocks, TEMPLATE, weights, covered)
        covered = blocks if covered is None else covered | blocks
    return encoder.finish()


def decode(data: bytes, width: int, height: int, count: int) -> Iterator[Cells]:
    """``count`` masks of ``height`` x ``width`` cells; any bytes are some masks."""
    decoder, weights = RangeDecoder(data), fresh_weights(TEMPLATE)
    covered: Cells | None = None
    for _ in range(count):
        blocks = decode_plane(decoder, BLOCKS, BLOCKS, TEMPLATE, weights, covered)
        covered = blocks if covered is None else covered | blocks
        yield _spread(blocks, height, width)


def _spread(blocks: Cells, rows: int, columns: int) -> Cells:
    return blocks.repeat(even_parts(rows, BLOCKS), 0).repeat(even_parts(columns, BLOCKS), 1)
