"""Pictures and masks in, pictures out: (height, width, 3) uint8 arrays in sRGB.

This is the only reader of pictures in the project. A source is a path, the bytes of a file, a
binary stream, a Pillow image or a uint8 array; whatever it holds is converted by these rules:

=====================  ============================================================================
frames, pages          the first one; of a Pillow image the current one
orientation            the one in EXIF is applied
16 bits a sample       divided by 257, rounded to nearest (where Pillow reads them with 8 bits, as
                       in JPEG 2000, its values are taken)
32-bit integers        clipped to 0 .. 65535, then as 16 bits
floating point         in files only: 0 .. 1, or 0 .. 255 if any is above 1; not-a-number is black
palette, 1 bit, CMYK   converted as Pillow does
transparent colour     compared with the samples as they are in the file, at full depth
alpha                  pictures: laid over white in sRGB values, (c a + 255 (255 - a)) / 255, or
                       kept if that is asked for; masks: see ``load_mask``
ICC profile            converted to sRGB (perceptual); one that cannot be used, or changes no value
                       by more than one, is ignored
arrays                 uint8, (H, W, 3), (H, W, 4) with alpha, (H, W) or (H, W, 1) grey; any strides
=====================  ============================================================================

Encapsulated PostScript is refused: it is a program.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from sedic.errors import (
    DamagedFileError,
    LimitError,
    OutOfMemoryError,
    SedicError,
    UnsuitableInputError,
)
from sedic.exif import ORIENTATION
from sedic.files import printable
from sedic.image_modes import has_low_bytes, load_low_bytes, raw_mode, srgb_strips
from sedic.picture_metadata import KEPT as KEPT
from sedic.picture_metadata import read_metadata
from sedic.picture_writing import check_picture_output as check_picture_output
from sedic.picture_writing import save_picture as save_picture
from sedic.semantics import check_size
from sedic.transparency import fill_below, over_white

Picture = npt.NDArray[np.uint8]  # (height, width, 3), sRGB
Region = npt.NDArray[np.bool_]  # (height, width)
Array = npt.NDArray[np.generic]
Source = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | Image.Image | Array

MAX_INPUT_BYTES = 1 << 30  # of a picture that comes through a pipe
_ONE_PICTURE = ("MPO", "PSD", "ICNS")  # formats whose further frames are not shown as such
_MAX_EXIF = 1 << 16  # bytes that Pillow may look for the orientation in: more is no EXIF
_UPRIGHT: dict[int, Callable[[Array], Array]] = {
    2: np.fliplr,
    3: lambda picture: picture[::-1, ::-1],
    4: np.flipud,
    5: lambda picture: picture.swapaxes(0, 1),
    6: lambda picture: np.rot90(picture, -1),
    7: lambda picture: picture[::-1, ::-1].swapaxes(0, 1),
    8: np.rot90,
}


@dataclass(frozen=True)
class LoadedPicture:
    """A picture, with what shall travel with it.

    ``notes``: a line for each thing of the source that was dropped, such as further frames.
    ``alpha``: opacity, (height, width) uint8, or None for an opaque picture; the colours of
    ``pixels`` continue below the transparent parts. ``exif``: as ``exif.write`` makes it.
    ``icc``: the colour profile that ``pixels`` had before they were converted to sRGB.
    """

    pixels: Picture
    notes: tuple[str, ...] = ()
    alpha: npt.NDArray[np.uint8] | None = None
    exif: bytes = b""
    icc: bytes = b""


def load_picture(source: Source) -> Picture:
    """Any picture as a writable, C-contiguous (height, width, 3) uint8 sRGB array.

    The rules are those at the head of this module. An array that already has this form is returned
    itself. A stream is read to its end.

    Raises, always naming the file: ``UnsuitableInputError`` if ``source`` is not there or not of a
    kind above, ``DamagedFileError`` if it is no picture or a damaged one, ``LimitError`` if it is
    larger than ``semantics.check_size`` allows (before any pixel is decoded), and
    ``OutOfMemoryError``.
    """
    return read_picture(source).pixels


def read_picture(source: Source, *, keep: Collection[str] = ()) -> LoadedPicture:
    """``load_picture``, with what shall travel with the picture, and notes for the user.

    ``keep`` has names of ``KEPT``: ``exif`` without ``gps`` has no place in it; ``alpha`` is
    transparency, which is otherwise laid over white.
    """
    if unknown := sorted(set(keep) - set(KEPT)):
        raise UnsuitableInputError(f"cannot keep {unknown[0]!r}: one of {', '.join(KEPT)}")
    alpha = "alpha" in keep
    if isinstance(source, np.ndarray) and (source.ndim != 3 or source.shape[2] != 4):
        return LoadedPicture(_opaque(_checked(source)))
    with _opened(source) as opened:
        picture = np.empty((*opened.image.size[::-1], 3), np.uint8)
        opacity = np.full(picture.shape[:2], 255, np.uint8) if alpha else None
        transparent = False
        for top, colour, share in opened.strips():
            strip = picture[top : top + len(colour)]
            transparent = transparent or (share is not None and bool((share < 255).any()))
            strip[:] = colour if share is None or alpha else over_white(colour, share)
            if opacity is not None and share is not None:
                opacity[top : top + len(colour)] = share
        view, notes = opened.upright(picture), opened.notes()
        if transparent and not alpha:
            notes += (
                f"{opened.name}: its transparent parts are laid over white; --alpha keeps them",
            )
        exif, icc, more = read_metadata(opened.image, keep, opened.name)
        if opacity is not None:
            opacity = np.ascontiguousarray(opened.upright(opacity)) if transparent else None
    del opened  # before the picture is copied once more
    with _only_sedic_errors(_name(source)):
        pixels: Picture = np.ascontiguousarray(view)
        if opacity is not None:
            pixels = fill_below(pixels, opacity)
        return LoadedPicture(pixels, notes + more, opacity, exif, icc)


def load_mask(source: Source) -> Region:
    """A mask as a (height, width) boolean array, from whatever ``load_picture`` takes.

    If some pixel is less than half opaque, the mask is where the picture is at least half opaque.
    Otherwise it is where the luma (ITU-R BT.601) is above 127. A boolean array is the mask itself.
    Raises as ``load_picture`` does.
    """
    if isinstance(source, np.ndarray) and source.dtype == np.bool_ and source.ndim == 2:
        return np.ascontiguousarray(source)
    with _opened(source) as opened:
        bright = np.empty(opened.image.size[::-1], np.bool_)
        opaque = np.ones_like(bright)
        for top, colour, alpha in opened.strips():
            rows = slice(top, top + len(colour))
            bright[rows] = np.asarray(Image.fromarray(colour).convert("L")) > 127
            if alpha is not None:
                opaque[rows] = alpha > 127
        return np.ascontiguousarray(opened.upright(bright if opaque.all() else opaque))


def resized(picture: Picture, width: int, height: int) -> Picture:
    """A picture in another size, by Pillow: Lanczos where it gets smaller, else bicubic."""
    if picture.shape[:2] == (height, width):
        return picture
    smaller = width * height < picture.shape[0] * picture.shape[1]
    resampling = Image.Resampling.LANCZOS if smaller else Image.Resampling.BICUBIC
    return np.array(Image.fromarray(picture).resize((width, height), resampling))


def pad_to_multiple(picture: Picture, multiple: int) -> Picture:
    """Pad a picture at its right and bottom until both sides are multiples of ``multiple``.

    The padding mirrors the picture about its edge, the edge pixels included, as often as needed, so
    a picture of one pixel works too. ``[:height, :width]`` of the result is the picture. Returns
    ``picture`` itself where no padding is needed.
    """
    height, width = picture.shape[:2]
    missing = (-height % multiple, -width % multiple)
    if missing == (0, 0):
        return picture
    return np.pad(picture, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="symmetric")


@dataclass(frozen=True)
class _Opened:
    """A decoded image, still in its own mode."""

    image: Image.Image
    name: str
    raw: str = ""
    low: Image.Image | None = None

    def strips(self) -> Iterator[tuple[int, Picture, npt.NDArray[np.uint8] | None]]:
        return srgb_strips(self.image, self.raw, self.low)

    def upright(self, array: Array) -> Array:
        """``array``, which has the image's rows and columns, in the orientation that EXIF says."""
        try:
            if len(self.image.info.get("exif") or b"") > _MAX_EXIF:
                return array
            orientation = self.image.getexif().get(ORIENTATION)
        except Exception:  # damaged metadata do not spoil a picture
            return array
        turn = _UPRIGHT.get(orientation) if isinstance(orientation, int) else None
        return array if turn is None else turn(array)

    def notes(self) -> tuple[str, ...]:
        try:
            several = bool(getattr(self.image, "is_animated", False))
        except Exception:  # a damaged second frame does not spoil the first
            return ()
        if not several or self.image.format in _ONE_PICTURE:
            return ()
        return (f"{self.name}: of several frames or pages, only the first was taken",)


@contextmanager
def _only_sedic_errors(name: str) -> Iterator[None]:
    """Translate the exceptions of Pillow, numpy and the file system for the picture ``name``."""
    try:
        yield
    except SedicError:
        raise
    except UnidentifiedImageError as error:
        raise DamagedFileError(f"{name}: is not a picture that can be read") from error
    except Image.DecompressionBombError as error:
        raise LimitError(f"{name}: has far too many pixels") from error
    except Exception as error:  # the parsers of forty formats raise whatever they like
        if isinstance(error, MemoryError) or "out of memory" in str(error):
            raise OutOfMemoryError(f"{name}: not enough memory for this picture") from error
        if isinstance(error, OSError) and error.errno is not None:
            raise UnsuitableInputError(
                f"{name}: cannot be read ({printable(error.strerror or error)})"
            ) from error
        raise DamagedFileError(f"{name}: is damaged or cut short") from error


@contextmanager
def _opened(source: Source) -> Iterator[_Opened]:
    """The decoded image of ``source``."""
    name = _name(source)
    with _only_sedic_errors(name), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of what is handled or refused here
        if isinstance(source, np.ndarray):
            yield _Opened(Image.fromarray(_checked(source)), name)
        elif isinstance(source, Image.Image):
            _check_size(source.size, name)
            raw = raw_mode(source)
            source.load()
            yield _Opened(source, name, raw)
        elif isinstance(source, (str, os.PathLike)):
            with _open_path(Path(source), name) as file:
                yield _decoded(file, name)
        else:
            yield _decoded(io.BytesIO(_bytes_of(source, name)), name)


def _decoded(file: BinaryIO, name: str) -> _Opened:
    if not file.read(1):
        raise DamagedFileError(f"{name}: is empty")
    Image.init()
    image = _open_image(file, [form for form in Image.OPEN if form != "EPS"])
    _check_size(image.size, name)
    raw = raw_mode(image)
    image.load()
    _check_size(image.size, name)  # icons may hold other than they announce
    if not has_low_bytes(raw):
        return _Opened(image, name, raw)
    low = _open_image(file, [image.format or ""])
    load_low_bytes(low)
    return _Opened(image, name, raw, low)


def _open_image(file: BinaryIO, formats: list[str]) -> Image.Image:
    file.seek(0)
    return Image.open(file, formats=formats)


def _open_path(path: Path, name: str) -> BinaryIO:
    try:
        file = path.open("rb")
        if file.seekable():
            return file
        with file:  # a pipe
            return io.BytesIO(_bytes_of(file, name))
    except FileNotFoundError as error:
        raise UnsuitableInputError(f"{name}: there is no such file") from error
    except IsADirectoryError as error:
        raise UnsuitableInputError(f"{name}: is a folder, not a picture") from error
    except ValueError as error:  # a NUL in the name
        raise UnsuitableInputError(f"{name}: cannot be read ({printable(error)})") from error


def _bytes_of(source: object, name: str) -> bytes | bytearray | memoryview:
    """All bytes of ``source``, which holds them or is a stream."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        return source
    read = getattr(source, "read", None)
    if not callable(read):
        kind = type(source).__name__
        raise UnsuitableInputError(
            f"a picture is a path, bytes, a binary stream, a Pillow image or an array, not a {kind}"
        )
    data = read(MAX_INPUT_BYTES + 1)
    if not isinstance(data, bytes):
        raise UnsuitableInputError(f"{name}: a stream of text; open it in binary mode")
    if len(data) > MAX_INPUT_BYTES:
        raise LimitError(f"{name}: more than {MAX_INPUT_BYTES} bytes")
    return data


def _name(source: Source) -> str:
    """The name of the source in errors."""
    if isinstance(source, (str, os.PathLike)):
        return printable(source)
    if isinstance(source, Image.Image):
        return printable(getattr(source, "filename", "") or "the picture")
    if isinstance(source, (bytes, bytearray, memoryview, np.ndarray)):
        return "the picture"
    return printable(getattr(source, "name", "the input"))


def _check_size(size: tuple[int, int], name: str) -> None:
    try:
        check_size(*size)
    except SedicError as error:
        raise LimitError(f"{name}: {error}") from error


def _checked(array: Array) -> Picture:
    """The array, C-contiguous; ``UnsuitableInputError`` for a wrong type or shape."""
    if array.dtype != np.uint8:
        scaled = array.dtype.kind in "fb"
        advice = "scale it to 0 .. 255, round it and " if scaled else ""
        raise UnsuitableInputError(
            f"a picture's array must be of uint8, not {array.dtype}; {advice}convert it first"
        )
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise UnsuitableInputError(
            "a picture's array must be (height, width), or (height, width, channels) with"
            f" 1, 3 or 4 channels; this one is {array.shape}"
        )
    if array.size == 0:
        raise UnsuitableInputError(
            f"a picture's array must not be empty; this one is {array.shape}"
        )
    _check_size((array.shape[1], array.shape[0]), "the picture")
    array = np.asarray(array)  # no subclass
    return np.require(array[..., 0] if array.shape[2:] == (1,) else array, requirements="C")


def _opaque(array: Picture) -> Picture:
    """A grey or coloured array as (height, width, 3), writable."""
    if array.ndim == 2:
        return np.repeat(array[..., None], 3, axis=2)
    return np.require(array, requirements=["C", "W"])


def is_grey(picture: Picture) -> bool:
    """Whether the three channels of a picture are equal everywhere."""
    return bool((picture[..., :1] == picture[..., 1:]).all())


def without_colour(picture: Picture) -> Picture:
    """The picture with its luma (ITU-R BT.601) in all three channels."""
    return np.array(Image.fromarray(picture).convert("L").convert("RGB"))
