"""The reference image: a picture at a few hundred bytes.

The codecs are listed in ``parts.REFERENCE_CODECS``; a profile makes them. Each has a module here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias

from sedic.settings import REALISM

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from sedic.picture import Picture


# How much made-up texture: 0 to 1, or for every cell of the masks' grid, 0 and above, (2, rows,
# columns) float32: of coarse texture and of fine.
Realism: TypeAlias = "float | npt.NDArray[np.float32]"


class Prepared(Protocol):
    """A picture that is ready to be coded at any level.

    It may have two more attributes. ``estimates``, a ``level_search.Estimates``: the bytes of the
    levels, for a codec whose bytes do not rise with the level for every picture; rate control finds
    the highest level that fits with it. ``comes_back(data) -> bool``: whether these bytes, which it
    gave, decode to what they were made of, where that is cheaper to see than by ``decode``.
    """

    def __call__(self, level: int) -> bytes: ...


class ReferenceCodec(Protocol):
    """Encodes a picture at one of ``levels`` rates, 0 the smallest, and decodes it again."""

    name: str
    levels: int
    # For each scale of ``coding.scale``, the lowest level that looks better than the next scale
    # with as many bytes. A codec that has none codes at full size only.
    scale_floors: tuple[int, ...]

    @property
    def fingerprint(self) -> bytes:
        """32 bytes: sha256 of the weights, zeros where there are none."""
        ...

    def prepare(self, picture: Picture) -> Prepared:
        """Do what does not depend on the rate; the result maps a level to the codec's bytes."""
        ...

    def decode(self, data: bytes, width: int, height: int, realism: Realism = REALISM) -> Picture:
        """The decoded (height, width, 3) uint8 picture; ``SedicError`` for damaged data.

        ``realism``: the share, 0 to 1, of the texture that the codec can generate. A codec that
        generates none ignores it.
        """
        ...
