"""BlurHash and ThumbHash: blurred placeholders in some twenty to two hundred bytes.

BlurHash comes from its Python library, ThumbHash from ``fast-thumbhash``, a binding of its Rust
library (the decoder of the Python port ``thumbhash`` 0.1.2 gives one colour). Both are made of a
small copy of the picture, as their authors recommend, and decoded to a small picture that the
filter of our decoder enlarges.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

import numpy as np
from PIL import Image

from sedic.errors import SedicError
from sedic.lab.bench.rivals import Missing
from sedic.picture import resized

if TYPE_CHECKING:
    from sedic.picture import Picture

_SIDE = 96  # pixels of the longer side of what is coded and decoded


class Placeholder(Protocol):
    """A codec of blurred placeholders."""

    @property
    def name(self) -> str: ...

    def encode(self, picture: Picture, limit: int) -> bytes:
        """At most ``limit`` bytes; ``SedicError`` if that is too few."""

    def decode(self, data: bytes, width: int, height: int) -> Picture:
        """The picture, (height, width, 3) uint8."""


class BlurHash:
    """A string of base 83: 6 characters for one component, two more for every other."""

    name, package = "BlurHash", "blurhash"

    def __init__(self) -> None:
        import blurhash

        self._library = blurhash

    def encode(self, picture: Picture, limit: int) -> bytes:
        """The string with the most components that fit, up to 9 x 9, in the proportions of the
        picture."""
        height, width = picture.shape[:2]
        pairs = [(x, y) for x in range(1, 10) for y in range(1, 10) if 4 + 2 * x * y <= limit]
        if not pairs:
            raise SedicError(f"BlurHash needs more than {limit} bytes")

        def score(pair: tuple[int, int]) -> tuple[int, float]:
            x, y = pair
            return x * y, -abs(math.log(x / y * height / width))

        across, down = max(pairs, key=score)
        text = self._library.encode(_small(picture), across, down)
        return str(text).encode("ascii")

    def decode(self, data: bytes, width: int, height: int) -> Picture:
        decoded = self._library.decode(data.decode("ascii"), *_size(width, height))
        return resized(np.asarray(decoded, np.uint8), width, height)


class ThumbHash:
    """Some 25 bytes, whatever the limit."""

    name, package = "ThumbHash", "fast-thumbhash"

    def __init__(self) -> None:
        import fast_thumbhash

        self._library = fast_thumbhash

    def encode(self, picture: Picture, limit: int) -> bytes:
        small = _small(picture)
        opaque = np.dstack([small, np.full(small.shape[:2], 255, np.uint8)])
        rows, columns = small.shape[:2]
        data = bytes(self._library.rgba_to_thumb_hash(columns, rows, opaque.tobytes()))
        if len(data) > limit:
            raise SedicError(f"ThumbHash has {len(data)} bytes, more than {limit}")
        return data

    def decode(self, data: bytes, width: int, height: int) -> Picture:
        columns, rows, values = self._library.thumb_hash_to_rgba(data)
        decoded = np.array(list(values), np.uint8).reshape(rows, columns, 4)[..., :3]
        return resized(np.ascontiguousarray(decoded), width, height)


def find() -> list[Placeholder | Missing]:
    """Both placeholder codecs; for one that is not installed, the reason."""
    placeholders: list[Placeholder | Missing] = []
    for kind in (BlurHash, ThumbHash):
        try:
            placeholders.append(kind())
        except ImportError:
            placeholders.append(Missing(kind.name, f"pip install {kind.package}"))
    return placeholders


def _size(width: int, height: int) -> tuple[int, int]:
    factor = min(1.0, _SIDE / max(width, height))
    return max(1, round(width * factor)), max(1, round(height * factor))


def _small(picture: Picture) -> Picture:
    size = _size(picture.shape[1], picture.shape[0])
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))
