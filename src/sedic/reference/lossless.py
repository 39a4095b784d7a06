"""Lossless files of very simple pictures, such as flat colours and plain drawings.

Learned codecs are bad at these, and a lossless file of them may be small enough. It is a WebP file,
which the reference codec ``external`` carries and every decoder of format version 2 reads.
"""

from __future__ import annotations

import io
import math
import zlib
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from sedic.reference.external import External

if TYPE_CHECKING:
    from sedic.picture import Picture

_ROWS = 32  # rows that are compressed before the whole picture is
_HOPE = 8  # if those rows take more than so many times the limit, the picture is not tried
# Of a larger picture about so many pixels are coded first, quickly; if they take more than so many
# times the limit, the picture is not tried.
_PIXELS, _LESS = 200_000, 2


def lossless_file(picture: Picture, max_bytes: int) -> bytes | None:
    """A file that ``External`` decodes to exactly this (height, width, 3) uint8 picture.

    None where it would have more than ``max_bytes`` bytes. For photographs, some rows are enough to
    see that.
    """
    if (picture == picture[0, 0]).all():
        pixels = picture[:1, :1]  # one pixel, enlarged
    else:
        rows = picture[:: -(-len(picture) // _ROWS)]
        steps = np.diff(rows, axis=1, prepend=rows[:, :1])  # modulo 256
        if len(zlib.compress(steps.tobytes(), 1)) > _HOPE * max_bytes:
            return None
        step = math.ceil(math.sqrt(picture.shape[0] * picture.shape[1] / _PIXELS))
        if step > 1 and len(_webp(picture[::step, ::step], 0)) > _LESS * max_bytes:
            return None
        pixels = picture
    data = _webp(pixels, 4)
    height, width = picture.shape[:2]
    fits = len(data) <= max_bytes
    return (
        data if fits and np.array_equal(External().decode(data, width, height), picture) else None
    )


def _webp(picture: Picture, effort: int) -> bytes:
    """A lossless WebP file; ``effort``: 0 (fast) to 6 (small)."""
    buffer = io.BytesIO()
    image = Image.fromarray(np.ascontiguousarray(picture))
    image.save(buffer, "WEBP", lossless=True, method=effort)
    return buffer.getvalue()
