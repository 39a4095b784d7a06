"""JBIG2-style coding of masks at full picture resolution, one of the papers' mask coders.

It is the generic region of ITU-T T.88 (section 6.2) with the 10-pixel template 2 and all adaptive
pixels at their nominal places. Every mask is a region of its own with initial weights. The
arithmetic coder is this project's range coder instead of the MQ coder, and there are no segment
headers, so files are slightly smaller than JBIG2's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sedic.coding.bilevel import Cells, decode_plane, encode_plane, fresh_weights
from sedic.coding.range_coder import RangeDecoder, RangeEncoder
from sedic.errors import SedicError

TEMPLATE = (
    *((-2, column) for column in (-1, 0, 1)),
    *((-1, column) for column in (-2, -1, 0, 1, 2)),
    *((0, column) for column in (-2, -1)),
)
MAX_PIXELS = 1 << 25  # of all masks together: about ten seconds of decoding


def encode(planes: Iterable[Cells]) -> bytes:
    """The bytes of (height, width) planes of one size; ``SedicError`` above 2**25 pixels."""
    encoder = RangeEncoder()
    for count, plane in enumerate(planes, 1):
        _check(plane.shape[1], plane.shape[0], count)
        encode_plane(encoder, plane, TEMPLATE, fresh_weights(TEMPLATE))
    return encoder.finish()


def decode(data: bytes, width: int, height: int, count: int) -> Iterator[Cells]:
    """The ``count`` planes of ``encode``; any bytes give some planes or ``SedicError``."""
    _check(width, height, count)
    decoder = RangeDecoder(data)
    for _ in range(count):
        yield decode_plane(decoder, height, width, TEMPLATE, fresh_weights(TEMPLATE))


def _check(width: int, height: int, count: int) -> None:
    if width * height * count > MAX_PIXELS:
        raise SedicError(
            f"{count} masks of {width}x{height} pixels are too many for the jbig2 mask coder;"
            " use the context coder"
        )
