"""Mask coders: all masks of a file become one stream of bytes.

``context``, the default, codes the mask grid itself (an eighth of the picture). The adaptive
context of a cell is twelve neighbours and one cell of the masks before; initial weights were
counted on masks of training photographs. ``blocks`` codes masks of 8 x 8 blocks (MISC).
``runlength`` and ``jbig2`` code masks at full picture resolution, as the papers do, so that the
papers' byte counts can be reproduced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np

from sedic.coding import block_masks, jbig2, runlength
from sedic.coding.bilevel import Cells, Template, Weights, decode_plane, encode_plane
from sedic.coding.range_coder import RangeDecoder, RangeEncoder
from sedic.errors import DamagedFileError, MissingWeightsError, UnsuitableInputError
from sedic.semantics import (
    GRID,
    MAX_OBJECTS,
    Mask,
)

TEMPLATE: Template = (
    *((-2, column) for column in (-1, 0, 1)),
    *((-1, column) for column in (-3, -2, -1, 0, 1, 2, 3)),
    *((0, column) for column in (-2, -1)),
)


class MaskCoder(Protocol):
    """Turns all masks of a picture into one stream of bytes and back."""

    def encode(self, masks: Sequence[Mask]) -> bytes:
        """The bytes of 1 to ``MAX_OBJECTS`` masks of one size.

        Raises ``UnsuitableInputError`` for masks of different sizes and for masks that this coder
        cannot write.
        """
        ...

    def decode(self, data: bytes, width: int, height: int, count: int) -> tuple[Mask, ...]:
        """``count`` masks of ``width`` x ``height`` grid cells (``semantics.grid_size``).

        Any bytes give masks or ``DamagedFileError``, in time and memory that only the grid bounds.
        """
        ...


class ContextMasks:
    """The mask coder ``context``. ``table``: the bytes of a safetensors file with its weights."""

    def __init__(self, table: bytes | None) -> None:
        if table is None:
            raise MissingWeightsError("this profile has no table for the mask coder 'context'")
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            self._weights: Weights = load(table)["weights"].astype(np.int64)
        except (SafetensorError, KeyError) as error:
            raise DamagedFileError("the mask table is damaged: run `sedic train masks`") from error

    def encode(self, masks: Sequence[Mask]) -> bytes:
        """The bytes of masks; see ``MaskCoder``."""
        encoder = RangeEncoder()
        encode_planes(encoder, _planes(masks), self._weights.copy())
        return encoder.finish()

    def decode(self, data: bytes, width: int, height: int, count: int) -> tuple[Mask, ...]:
        """The masks of ``encode``'s bytes; see ``MaskCoder``."""
        decoder = RangeDecoder(data)
        weights = self._weights.copy()
        masks = []
        covered: Cells | None = None
        for _ in range(count):
            plane = decode_plane(decoder, height, width, TEMPLATE, weights, covered)
            covered = plane if covered is None else covered | plane
            masks.append(Mask.of(plane))
        return tuple(masks)


class BlockMasks:
    """The mask coder ``blocks``, for masks that are even on every one of 8 x 8 blocks (MISC)."""

    def __init__(self, table: object = None) -> None:
        pass

    def encode(self, masks: Sequence[Mask]) -> bytes:
        """The bytes of masks; ``UnsuitableInputError`` for a mask that is uneven on a block."""
        return block_masks.encode(_planes(masks))

    def decode(self, data: bytes, width: int, height: int, count: int) -> tuple[Mask, ...]:
        """The masks of ``encode``'s bytes; see ``MaskCoder``."""
        return tuple(Mask.of(plane) for plane in block_masks.decode(data, width, height, count))


class _FullResolution:
    """Codes masks at the picture's resolution, as the papers do, to reproduce their byte counts."""

    _encode: Callable[[Iterator[Cells]], bytes]
    _decode: Callable[[bytes, int, int, int], Iterator[Cells]]

    def __init__(self, table: object = None) -> None:
        pass

    def encode(self, masks: Sequence[Mask]) -> bytes:
        """The bytes of masks; ``UnsuitableInputError`` where they are too large or too ragged."""
        return type(self)._encode(plane.repeat(GRID, 0).repeat(GRID, 1) for plane in _planes(masks))

    def decode(self, data: bytes, width: int, height: int, count: int) -> tuple[Mask, ...]:
        """The masks of ``encode``'s bytes; see ``MaskCoder``."""
        planes = type(self)._decode(data, width * GRID, height * GRID, count)
        return tuple(Mask.of(plane[::GRID, ::GRID]) for plane in planes)


class RunLengthMasks(_FullResolution):
    """The mask coder ``runlength`` (SEDIC)."""

    _encode, _decode = staticmethod(runlength.encode), staticmethod(runlength.decode)


class Jbig2Masks(_FullResolution):
    """The mask coder ``jbig2``."""

    _encode, _decode = staticmethod(jbig2.encode), staticmethod(jbig2.decode)


def _planes(masks: Sequence[Mask]) -> list[Cells]:
    if not 1 <= len(masks) <= MAX_OBJECTS:
        raise UnsuitableInputError(f"{len(masks)} masks; 1 to {MAX_OBJECTS}")
    if len({(mask.width, mask.height) for mask in masks}) > 1:
        raise UnsuitableInputError("masks of one picture must have one size")
    return [mask.array for mask in masks]


def encode_planes(encoder: RangeEncoder, planes: Sequence[Cells], weights: Weights) -> None:
    """Write (rows, columns) masks of one picture; ``weights`` learn from them, in place."""
    covered: Cells | None = None  # by the masks before
    for plane in planes:
        encode_plane(encoder, plane, TEMPLATE, weights, covered)
        covered = plane if covered is None else covered | plane
