"""A file of another codec as reference image.

The bytes are a whole WebP, AVIF or (where a Pillow plugin for it is installed) JPEG XL file. The
decoder opens no other format, checks the announced size before it decodes a pixel, and enlarges the
picture bicubically. Colour profiles, orientation tags, transparency and further frames are ignored.
The built-in encoder writes small WebP files, whose overhead is 30 bytes.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from sedic.errors import SedicError
from sedic.semantics import check_size
from sedic.settings import REALISM

if TYPE_CHECKING:
    from sedic.picture import Picture
    from sedic.reference import Realism

FORMATS = ("WEBP", "AVIF", "JXL")

# By rising rate: how many times smaller the picture is each way, and WebP's quality.
LEVELS = (
    (8, 0), (6, 0), (4, 0), (3, 0), (4, 5), (4, 10), (4, 20), (3, 10), (3, 20), (3, 30), (2, 10),
    (2, 20), (2, 30), (2, 50), (2, 70), (1, 30), (1, 50), (1, 70), (1, 90),
)  # fmt: skip


class External:
    """The ``ReferenceCodec`` of other codecs' files; it has no weights.

    ``file``: the bytes of a finished file of the picture, which is then carried as it is; without
    one, WebP files are made.
    """

    name = "external"
    scale_floors: tuple[int, ...] = ()
    fingerprint = bytes(32)

    def __init__(
        self, weights: object = None, dtype: object = None, *, file: bytes | None = None
    ) -> None:
        self._file = file
        self.levels = len(LEVELS) if file is None else 1

    def prepare(self, picture: Picture) -> Callable[[int], bytes]:
        """The encoder of ``picture`` (height, width, 3) uint8: a function of the level.

        Raises ``SedicError`` where a given file is none that ``decode`` takes.
        """
        height, width = picture.shape[:2]
        check_size(width, height)
        if (file := self._file) is not None:
            _open(file, width, height)
            return lambda level: file
        image = Image.fromarray(picture)

        def encode(level: int) -> bytes:
            factor, quality = LEVELS[level]
            size = max(1, round(width / factor)), max(1, round(height / factor))
            file = io.BytesIO()
            small = image.resize(size, Image.Resampling.LANCZOS)
            small.save(file, "WEBP", quality=quality, method=6)
            return file.getvalue()

        return encode

    def decode(self, data: bytes, width: int, height: int, realism: Realism = REALISM) -> Picture:
        """The decoded (height, width, 3) uint8 picture.

        Raises ``SedicError`` where the data is in no format of ``FORMATS``, is damaged, or
        announces a picture with a side longer than the same side of this one.
        """
        check_size(width, height)
        small = _open(data, width, height)
        return np.array(small.resize((width, height), Image.Resampling.BICUBIC))


def _open(data: bytes, width: int, height: int) -> Image.Image:
    """The file's picture, as RGB."""
    with contextlib.suppress(ImportError):
        importlib.import_module("pillow_jxl")  # registers JPEG XL
    Image.init()
    formats = [name for name in FORMATS if name in Image.OPEN]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Pillow warns of is checked here
            with Image.open(io.BytesIO(data), formats=formats) as image:
                if image.width > width or image.height > height:
                    raise SedicError(
                        f"reference image: {image.width}x{image.height} pixels are more than"
                        f" the picture's {width}x{height}"
                    )
                return image.convert("RGB")
    except SedicError:
        raise
    except Exception as error:  # the formats' parsers raise whatever they like
        readable = ", ".join(formats)
        raise SedicError(f"reference image: not an undamaged file in {readable}") from error
