"""MISC's reference image: a small grid of quantised block means, enlarged again.

The picture is reduced to a few cells with Pillow's antialiased bicubic filter, each channel is
floored to a multiple of a step, and the decoder enlarges the grid bicubically (MISC, Li et al.
2024, "pixel" mode). The floor is MISC's: the result is darker by half a step on average. MISC
reports the bits of this mode wrongly, with the side of a cell in place of the number of cells; here
the grid is entropy-coded and its bytes are counted.

Bytes: the level (one byte), then the cells, row by row, each green, red, blue. A value is
predicted from its left, upper and upper left neighbours (the median predictor of LOCO-I), red and
blue corrected by how far green missed, and the difference modulo the number of values is
range-coded with adaptive integer counts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from sedic.coding.range_coder import RangeDecoder, RangeEncoder
from sedic.errors import SedicError
from sedic.semantics import check_size
from sedic.settings import REALISM

if TYPE_CHECKING:
    from sedic.picture import Picture
    from sedic.reference import Realism

# By rising rate: cells along the longer side (MISC has 16), step between values (a divisor of 256).
LEVELS = (
    (8, 32), (12, 32), (12, 16), (16, 16), (24, 16), (32, 16), (32, 8), (48, 16), (48, 8),
    (64, 8), (96, 8), (128, 8),
)  # fmt: skip

_GAIN = 24  # added to a count by one occurrence
_COUNT_LIMIT = 1 << 12  # the counts of a context are halved when they sum to more
_QUIET, _BUSY = 0, 2  # neighbours that differ by up to these many steps select the context

# Returns the value at (row, column, channel), from its prediction and the counts of differences.
TellValue = Callable[[tuple[int, int, int], int, npt.NDArray[Any]], int]


class Pixel:
    """The ``ReferenceCodec`` of block means; it has no weights."""

    name = "pixel"
    scale_floors: tuple[int, ...] = ()
    levels = len(LEVELS)
    fingerprint = bytes(32)

    def __init__(self, weights: object = None, dtype: object = None) -> None:
        pass

    def prepare(self, picture: Picture) -> Callable[[int], bytes]:
        """The encoder of ``picture`` (height, width, 3) uint8: a function of the level."""
        height, width = picture.shape[:2]
        check_size(width, height)

        def encode(level: int) -> bytes:
            cells, step = LEVELS[level]
            small = block_means(picture, cell_side(width, height, cells), step) // step
            encoder = RangeEncoder()

            def write(place: tuple[int, int, int], predicted: int, counts: npt.NDArray[Any]) -> int:
                value = int(small[place])
                encoder.encode((value - predicted) % len(counts), counts)
                return value

            _walk(small.shape[:2], 256 // step, write)
            return bytes([level]) + encoder.finish()

        return encode

    def decode(self, data: bytes, width: int, height: int, realism: Realism = REALISM) -> Picture:
        """The decoded (height, width, 3) uint8 picture; ``SedicError`` for damaged data."""
        check_size(width, height)
        if not data or data[0] >= self.levels:
            raise SedicError("reference image: these bytes name no level of the pixel codec")
        cells, step = LEVELS[data[0]]
        decoder = RangeDecoder(data[1:])

        def read(place: tuple[int, int, int], predicted: int, counts: npt.NDArray[Any]) -> int:
            return (decoder.decode(counts) + predicted) % len(counts)

        side = cell_side(width, height, cells)
        small = _walk(grid_shape(width, height, side), 256 // step, read)
        return enlarge((small * step).astype(np.uint8), width, height)


def cell_side(width: int, height: int, cells: int) -> int:
    """Side of a cell in pixels, so that about ``cells`` fit along the longer side."""
    return max(1, max(width, height) // cells)


def grid_shape(width: int, height: int, side: int) -> tuple[int, int]:
    """Rows and columns of cells; what is left over makes all cells a little larger (MISC)."""
    return max(1, height // side), max(1, width // side)


def block_means(picture: Picture, side: int, step: int) -> Picture:
    """The (rows, columns, 3) uint8 cells of ``side`` pixels, floored to multiples of ``step``."""
    height, width = picture.shape[:2]
    rows, columns = grid_shape(width, height, side)
    small = Image.fromarray(picture).resize((columns, rows), Image.Resampling.BICUBIC)
    return np.asarray(small) // step * step


def enlarge(cells: Picture, width: int, height: int) -> Picture:
    """(rows, columns, 3) uint8 cells as a (height, width, 3) uint8 picture."""
    large = Image.fromarray(cells).resize((width, height), Image.Resampling.BICUBIC)
    return np.array(large)


def _walk(shape: tuple[int, ...], count: int, tell: TellValue) -> npt.NDArray[np.int64]:
    """Visit all values of a grid in coding order; the (rows, columns, 3) values below ``count``."""
    rows, columns = shape
    values = np.zeros((rows, columns, 3), np.int64)
    distance = np.minimum(np.arange(count), count - np.arange(count))
    # One set of counts for each of (green, the others) x (quiet, between, busy neighbourhoods).
    contexts = [[1 + (96 >> distance * 2 // (1 + k)) for k in range(3)] for _ in range(2)]
    for row in range(rows):
        for column in range(columns):
            green_miss = 0
            for channel in (1, 0, 2):
                left, above, corner = _neighbours(values, row, column, channel)
                low, high = min(left, above), max(left, above)
                median = low if corner >= high else high if corner <= low else left + above - corner
                predicted = min(max(median + green_miss, 0), count - 1)
                spread = max(high, corner) - min(low, corner)
                kind = (spread > _QUIET) + (spread > _BUSY)
                counts = contexts[channel != 1][kind]
                value = tell((row, column, channel), predicted, counts)
                values[row, column, channel] = value
                if channel == 1:
                    green_miss = value - predicted
                counts[(value - predicted) % count] += _GAIN
                if counts.sum() > _COUNT_LIMIT:
                    counts -= counts // 2
    return values


def _neighbours(
    values: npt.NDArray[np.int64], row: int, column: int, channel: int
) -> tuple[int, int, int]:
    """The values to the left, above and to the upper left; at the borders, existing ones replace
    missing ones."""
    if row and column:
        return (
            int(values[row, column - 1, channel]),
            int(values[row - 1, column, channel]),
            int(values[row - 1, column - 1, channel]),
        )
    if column:
        only = int(values[row, column - 1, channel])
    elif row:
        only = int(values[row - 1, column, channel])
    else:
        only = 0
    return only, only, only
