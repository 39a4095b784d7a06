"""The reference image: a picture at a few hundred bytes, as one of four codecs.

Everything behind ``ReferenceCodec`` can be swapped. Implementations live in modules of the same
name and are imported only when asked for (``load``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Picture = npt.NDArray[np.uint8]  # (height, width, 3), sRGB


class ReferenceCodec(Protocol):
    """Encodes a picture at one of ``levels`` rates, 0 the smallest, and decodes it again."""

    name: str
    levels: int
    fingerprint: bytes  # 32 bytes: sha256 of the weights, zeros where there are none

    def prepare(self, picture: Picture) -> Callable[[int], bytes]:
        """Do what does not depend on the rate; the result maps a level to the codec's bytes."""
        ...

    def decode(self, data: bytes, width: int, height: int) -> Picture:
        """The decoded (height, width, 3) uint8 picture; ``SedicError`` on data that lies."""
        ...
