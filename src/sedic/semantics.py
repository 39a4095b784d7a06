"""The vocabulary of sedic: what a picture becomes between the encoder and the decoder.

Everything meets in ``SemanticImage``: describers and the reference codec make one, coding maps it
to bytes and back, and synthesis makes a picture of it.

All classes here are frozen and validated on construction; two are equal exactly when they would
be written as the same bytes of meaning. Nothing heavy is imported.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from sedic.errors import LimitError, UnsuitableInputError
from sedic.parts import REFERENCE_CODECS

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

METHODS = ("sedic", "misc", "image-text")

MAX_SIDE = 16_383
MAX_PIXELS = 1 << 26  # 8192 x 8192
MAX_OBJECTS = 7
MAX_NAME_WORDS = 3
MAX_TEXT_BYTES = 2_048  # one description, UTF-8
MAX_REFERENCE_BYTES = 1 << 24
GRID = 8  # picture pixels per mask cell, each way: the latent grid of the diffusion models


def grid_size(width: int, height: int) -> tuple[int, int]:
    """Columns and rows of the mask grid of a ``width`` x ``height`` picture (rounded up)."""
    return -(-width // GRID), -(-height // GRID)


def even_parts(length: int, parts: int) -> list[int]:
    """``length`` cells divided into ``parts`` runs; what is left over goes to the first ones."""
    each, more = divmod(length, parts)
    return [each + (part < more) for part in range(parts)]


def check_size(width: int, height: int) -> None:
    """Raise ``LimitError`` unless a picture of this size may exist in a file."""
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
        raise LimitError(f"picture size {width}x{height}: each side must be 1 to {MAX_SIDE} pixels")
    if width * height > MAX_PIXELS:
        raise LimitError(f"picture size {width}x{height}: more than {MAX_PIXELS} pixels in all")


def _check_text(text: str, what: str) -> None:
    if any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or c in "\u2028\u2029" for c in text):
        raise UnsuitableInputError(f"{what}: control characters and line breaks are not allowed")
    if text != text.strip():
        raise UnsuitableInputError(f"{what}: it must not begin or end with a blank")
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise UnsuitableInputError(f"{what}: not valid Unicode text") from error
    if size > MAX_TEXT_BYTES:
        raise UnsuitableInputError(f"{what}: {size} bytes of text; at most {MAX_TEXT_BYTES}")


@dataclass(frozen=True)
class Mask:
    """A binary region on a grid of ``width`` x ``height`` cells.

    ``bits`` holds the cells row by row, eight to a byte, first cell in the highest bit; the spare
    bits of the last byte are zero, so equal masks have equal bytes. Build one from an array with
    ``Mask.of``.
    """

    width: int
    height: int
    bits: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not (1 <= self.width <= MAX_SIDE and 1 <= self.height <= MAX_SIDE):
            raise UnsuitableInputError(f"mask size {self.width}x{self.height} is out of range")
        if self.width * self.height > MAX_PIXELS:
            raise UnsuitableInputError(f"mask size {self.width}x{self.height}: too many cells")
        cells = self.width * self.height
        if len(self.bits) != -(-cells // 8):
            raise UnsuitableInputError(f"mask of {cells} cells cannot have {len(self.bits)} bytes")
        if cells % 8 and self.bits[-1] & (0xFF >> cells % 8):
            raise UnsuitableInputError("mask has cells beyond its end")

    @classmethod
    def of(cls, cells: npt.NDArray[np.bool_]) -> Mask:
        """The mask of a (height, width) boolean array."""
        import numpy as np

        if cells.ndim != 2 or cells.dtype != np.bool_:
            raise UnsuitableInputError("a mask is made from a two-dimensional boolean array")
        height, width = cells.shape
        return cls(width, height, np.packbits(cells).tobytes())

    def resized(self, width: int, height: int) -> Mask:
        """The mask on another grid: cells at least half covered."""
        if (width, height) == (self.width, self.height):
            return self
        import numpy as np
        from PIL import Image

        image = Image.fromarray(self.array.astype(np.uint8) * 255)
        covered = image.resize((width, height), Image.Resampling.BOX)
        return Mask.of(np.asarray(covered) >= 128)

    @property
    def array(self) -> npt.NDArray[np.bool_]:
        """The cells as a fresh (height, width) boolean array."""
        import numpy as np

        count = self.width * self.height
        cells = np.unpackbits(np.frombuffer(self.bits, np.uint8), count=count)
        return cells.astype(np.bool_).reshape(self.height, self.width)

    @property
    def area(self) -> int:
        """How many cells are set."""
        return sum(byte.bit_count() for byte in self.bits)


def leading_words(detail: str, count: int) -> str:
    """The first ``count`` words of ``detail``, without the punctuation that ends them."""
    return " ".join(detail.split(" ")[:count]).rstrip(",;:.")


@dataclass(frozen=True)
class ObjectLayer:
    """One described object: a short name, a detailed description, and where it is.

    ``detail`` begins with ``name`` (one to three words; punctuation may follow), so that a decoder
    can find the tokens that name the object (SEDIC eq. 2) without the name being sent twice.
    """

    name: str
    detail: str
    mask: Mask

    def __post_init__(self) -> None:
        _check_text(self.name, "object name")
        _check_text(self.detail, "object detail")
        words = self.name.split(" ")
        if not (self.name and 1 <= len(words) <= MAX_NAME_WORDS and all(words)):
            raise UnsuitableInputError(f"object name {self.name!r}: one to {MAX_NAME_WORDS} words")
        if leading_words(self.detail, len(words)) != self.name:
            raise UnsuitableInputError(
                f"the detail of object {self.name!r} must begin with its name"
            )


@dataclass(frozen=True)
class ReferenceImage:
    """The extremely compressed reference image: the bytes of one reference codec."""

    codec: str
    data: bytes = field(repr=False)

    def __post_init__(self) -> None:
        REFERENCE_CODECS[self.codec]  # an unknown name raises
        if len(self.data) > MAX_REFERENCE_BYTES:
            raise UnsuitableInputError(f"reference image of {len(self.data)} bytes is too large")


class Ground(NamedTuple):
    """A flat colour that much of a picture has, which the decoder paints.

    ``colour``: red, green and blue, 0 to 255. ``tolerance``, 1 to 255 grey levels: decoded pixels
    that differ from ``colour`` by less become ``colour``; those that differ by twice as much or
    more stay as they are; between the two they are mixed.
    """

    colour: tuple[int, int, int]
    tolerance: int


@dataclass(frozen=True)
class Carried:
    """What a file carries besides words, masks and reference image.

    ``opaque``: where the picture is not transparent, on the grid of masks; None: everywhere.
    ``exif``: EXIF as ``exif.write`` makes it, without thumbnail and maker's note. ``icc``: a colour
    profile, to which a decoded picture is converted when it is written. ``ground``: a colour that
    the decoder paints where its picture is nearly of that colour.
    """

    opaque: Mask | None = None
    exif: bytes = field(default=b"", repr=False)
    icc: bytes = field(default=b"", repr=False)
    ground: Ground | None = None


@dataclass(frozen=True)
class SemanticImage:
    """The content of a file: a reference image, words and masks. The decoder sees nothing else.

    ``width`` and ``height`` are those of the original picture, in pixels. Object masks live on
    ``grid_size(width, height)``. An empty ``overall`` means that no overall description is sent.
    """

    width: int
    height: int
    reference: ReferenceImage
    overall: str = ""
    objects: tuple[ObjectLayer, ...] = ()
    method: str = "sedic"
    seed: int = 0  # of the decoder's noise
    grey: bool = False  # the picture has no colour: red, green and blue are equal everywhere
    carried: Carried = Carried()

    def __post_init__(self) -> None:
        check_size(self.width, self.height)
        if not 0 <= self.seed < 1 << 32:
            raise UnsuitableInputError(f"seed {self.seed}: 0 to {(1 << 32) - 1}")
        if self.method not in METHODS:
            raise UnsuitableInputError(f"unknown method {self.method!r}; one of {METHODS}")
        _check_text(self.overall, "overall description")
        if len(self.objects) > MAX_OBJECTS:
            raise UnsuitableInputError(f"{len(self.objects)} objects; at most {MAX_OBJECTS}")
        grid = grid_size(self.width, self.height)
        opaque = self.carried.opaque
        if opaque is not None and (opaque.width, opaque.height) != grid:
            raise UnsuitableInputError(
                f"mask of opacity is {opaque.width}x{opaque.height};"
                f" this picture's grid is {grid[0]}x{grid[1]}"
            )
        for layer in self.objects:
            if (layer.mask.width, layer.mask.height) != grid:
                raise UnsuitableInputError(
                    f"mask of {layer.name!r} is {layer.mask.width}x{layer.mask.height};"
                    f" this picture's grid is {grid[0]}x{grid[1]}"
                )


@dataclass(frozen=True)
class Rate:
    """The limits of a file: its bytes, its objects, the words of each object and of the whole."""

    max_bytes: int
    max_objects: int = 3
    detail_words: int = 30
    overall_words: int = 50

    def __post_init__(self) -> None:
        if self.max_bytes < 1:
            raise UnsuitableInputError("the size limit must be at least one byte")
        if not 0 <= self.max_objects <= MAX_OBJECTS:
            raise UnsuitableInputError(f"objects: 0 to {MAX_OBJECTS}")
        if self.detail_words < MAX_NAME_WORDS or self.overall_words < 0:
            raise UnsuitableInputError(f"words: at least {MAX_NAME_WORDS} per detail, 0 overall")

    @classmethod
    def of_bpp(cls, bpp: float, width: int, height: int) -> Rate:
        """The paper's operating points (SEDIC §4.1) by bits per pixel of the whole file.

        Up to 0.035 bpp: one object, 20 words for it, 30 overall; above: three, 30 and 50.
        """
        if not 0 < bpp <= 64:
            raise UnsuitableInputError(f"{bpp} bpp: must be above 0 and at most 64")
        max_bytes = max(1, int(bpp * width * height / 8))
        if bpp <= 0.035:
            return cls(max_bytes, max_objects=1, detail_words=20, overall_words=30)
        return cls(max_bytes)

    def for_own_words(self) -> Rate:
        """The same limit of bytes, with no limits of objects and words but those of the format: for
        a caller's own words."""
        return Rate(self.max_bytes, MAX_OBJECTS, MAX_TEXT_BYTES, MAX_TEXT_BYTES)
