"""Masks to bytes and back: all masks of a file in one stream.

``context``, the default, codes the mask grid itself (an eighth of the picture) under adaptive
contexts of twelve neighbours and one cell of the masks before, from weights primed on masks of
training photographs. ``blocks`` codes masks of 8 x 8 blocks, MISC's. ``runlength`` and ``jbig2``
code the masks at full picture resolution, as the papers do; they are here so that the papers' byte
counts can be reproduced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from importlib.resources import files

import numpy as np

from sedic.coding import block_masks, jbig2, runlength
from sedic.coding.bilevel import Cells, Template, Weights, decode_plane, encode_plane
from sedic.coding.range_coder import RangeDecoder, RangeEncoder
from sedic.errors import SedicError
from sedic.semantics import (
    GRID,
    MAX_OBJECTS,
    Mask,
)

MASK_CODERS = ("context", "runlength", "jbig2", "blocks")
PRIMING = "masks.safetensors"  # in sedic/weights; made by sedic.lab.train.mask_table

TEMPLATE: Template = (
    *((-2, column) for column in (-1, 0, 1)),
    *((-1, column) for column in (-3, -2, -1, 0, 1, 2, 3)),
    *((0, column) for column in (-2, -1)),
)


def encode_masks(masks: Sequence[Mask], coder: str = "context") -> bytes:
    """The bytes of up to ``MAX_OBJECTS`` masks of one size; none have none.

    Raises ``SedicError`` for an unknown coder, masks of different sizes, masks that are too large
    (jbig2) or too ragged (runlength) for a full-resolution coder, and others than blocks (blocks).
    """
    _check(len(masks), coder)
    if not masks:
        return b""
    if len({(mask.width, mask.height) for mask in masks}) > 1:
        raise SedicError("masks of one picture must have one size")
    planes = [mask.array for mask in masks]
    if coder == "context":
        encoder = RangeEncoder()
        encode_planes(encoder, planes, _primed_weights())
        return encoder.finish()
    if coder == "blocks":
        return block_masks.encode(planes)
    encode = runlength.encode if coder == "runlength" else jbig2.encode
    return encode(plane.repeat(GRID, 0).repeat(GRID, 1) for plane in planes)


def decode_masks(
    data: bytes, width: int, height: int, count: int, coder: str = "context"
) -> tuple[Mask, ...]:
    """``count`` masks of ``width`` x ``height`` grid cells (see ``semantics.grid_size``).

    Any bytes give masks or ``SedicError``, in time and memory that only the grid bounds.
    """
    _check(count, coder)
    if not count:
        if data:
            raise SedicError("damaged masks: bytes for no mask")
        return ()
    if coder == "context":
        return tuple(Mask.of(plane) for plane in _decode_planes(data, width, height, count))
    if coder == "blocks":
        return tuple(Mask.of(plane) for plane in block_masks.decode(data, width, height, count))
    decode: Callable[[bytes, int, int, int], Iterator[Cells]]
    decode = runlength.decode if coder == "runlength" else jbig2.decode
    planes = decode(data, width * GRID, height * GRID, count)
    return tuple(Mask.of(plane[::GRID, ::GRID]) for plane in planes)


def _check(count: int, coder: str) -> None:
    if coder not in MASK_CODERS:
        raise SedicError(f"unknown mask coder {coder!r}; one of {MASK_CODERS}")
    if not 0 <= count <= MAX_OBJECTS:
        raise SedicError(f"{count} masks; at most {MAX_OBJECTS}")


def encode_planes(encoder: RangeEncoder, planes: Sequence[Cells], weights: Weights) -> None:
    """Write (rows, columns) masks of one picture; ``weights`` learn from them, in place."""
    taken: Cells | None = None  # by the masks before
    for plane in planes:
        encode_plane(encoder, plane, TEMPLATE, weights, taken)
        taken = plane if taken is None else taken | plane


def _decode_planes(data: bytes, width: int, height: int, count: int) -> Iterator[Cells]:
    decoder = RangeDecoder(data)
    weights = _primed_weights()
    taken: Cells | None = None
    for _ in range(count):
        plane = decode_plane(decoder, height, width, TEMPLATE, weights, taken)
        taken = plane if taken is None else taken | plane
        yield plane


@lru_cache(maxsize=1)
def _stored_weights() -> Weights:
    from safetensors.numpy import load

    stored = load((files("sedic") / "weights" / PRIMING).read_bytes())
    return stored["weights"].astype(np.int64)


def _primed_weights() -> Weights:
    """A fresh copy of the weights that the context coder starts from."""
    return _stored_weights().copy()
