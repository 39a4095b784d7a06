"""The reference image: a picture at a few hundred bytes, as one of four codecs.

Everything behind ``ReferenceCodec`` can be swapped. Implementations live in modules of the same
name and are imported only when asked for (``load``).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

from sedic.semantics import REFERENCE_CODECS, SedicError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from sedic.picture import Picture


REALISM = 0.5  # by default: more is rougher than originals, less leaves a weave

# How much made-up texture: 0 to 1, or for every cell of the masks' grid, 0 and above, (2, rows,
# columns) float32: of coarse texture and of fine.
Realism: TypeAlias = "float | npt.NDArray[np.float32]"


class ReferenceCodec(Protocol):
    """Encodes a picture at one of ``levels`` rates, 0 the smallest, and decodes it again."""

    name: str
    levels: int

    @property
    def fingerprint(self) -> bytes:
        """32 bytes: sha256 of the weights, zeros where there are none."""
        ...

    def prepare(self, picture: Picture) -> Callable[[int], bytes]:
        """Do what does not depend on the rate; the result maps a level to the codec's bytes."""
        ...

    def decode(self, data: bytes, width: int, height: int, realism: Realism = REALISM) -> Picture:
        """The decoded (height, width, 3) uint8 picture; ``SedicError`` on data that lies.

        ``realism``: how much of the texture that the codec can make up is in it. A codec that makes
        up nothing ignores it.
        """
        ...


def load(name: str, weights: Path | None = None) -> ReferenceCodec:
    """The reference codec of this name; ``weights`` for the learned ones.

    Raises ``SedicError`` for an unknown name or weights that are missing or not the codec's.
    """
    if name == "compact":
        from sedic.reference.compact import Compact

        return Compact(weights)
    if name == "cheng2020":
        from sedic.reference.cheng2020 import Cheng2020

        if weights is None:
            raise SedicError(
                "cheng2020 has no weights of its own: name a CompressAI checkpoint with"
                " --reference-weights"
            )
        return Cheng2020([weights])
    if name == "pixel":
        from sedic.reference.pixel import Pixel

        return Pixel()
    if name == "external":
        from sedic.reference.external import External

        return External()
    raise SedicError(f"unknown reference codec {name!r}; one of {', '.join(REFERENCE_CODECS)}")
