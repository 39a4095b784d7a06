"""Pictures so simple that a lossless file of them is small enough: flat colours, plain drawings.

A learned codec is at its worst there, and nothing can be better than the picture itself. The file
is a WebP, which the reference codec ``external`` carries and every decoder of format version 2
reads.
"""

from __future__ import annotations

import io
import zlib
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from sedic.reference.external import External

if TYPE_CHECKING:
    from sedic.picture import Picture

_ROWS = 32  # that are looked at before the whole picture is coded
_HOPE = 8  # times as many bytes as there may be: rows that need more say that it is hopeless


def lossless_file(picture: Picture, most: int) -> bytes | None:
    """A file that ``External`` decodes to exactly this (height, width, 3) uint8 picture.

    None where it would have more than ``most`` bytes. Photographs are given up after a look at some
    of their rows.
    """
    if (picture == picture[0, 0]).all():
        kept = picture[:1, :1]  # one pixel, enlarged
    else:
        rows = picture[:: -(-len(picture) // _ROWS)]
        steps = np.diff(rows, axis=1, prepend=rows[:, :1])  # modulo 256
        if len(zlib.compress(steps.tobytes(), 1)) > _HOPE * most:
            return None
        kept = picture
    made = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(kept)).save(made, "WEBP", lossless=True, method=4)
    data = made.getvalue()
    height, width = picture.shape[:2]
    fits = len(data) <= most
    return (
        data if fits and np.array_equal(External().decode(data, width, height), picture) else None
    )
