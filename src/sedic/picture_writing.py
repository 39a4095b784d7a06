"""Writes pictures to files, atomically; the suffix chooses the format."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from sedic.colour_profiles import in_profile
from sedic.errors import OutOfMemoryError, OutputError, UnsuitableInputError
from sedic.files import check_output, new_file, printable
from sedic.transparency import over_white

_TIFF_XMP = 700  # tag
_OPAQUE = ("JPEG", "BMP", "PPM")  # formats without alpha
_BARE = ("BMP", "PPM")  # and without metadata
# Run lengths alone (zlib's Z_RLE): a fifth of the time, and a few per cent more bytes.
_PNG = {"compress_type": 3}
_FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    "": ("PNG", _PNG),
    ".png": ("PNG", _PNG),
    ".jpg": ("JPEG", {"quality": 95}),
    ".jpeg": ("JPEG", {"quality": 95}),
    ".webp": ("WEBP", {"lossless": True}),
    ".tif": ("TIFF", {}),
    ".tiff": ("TIFF", {}),
    ".bmp": ("BMP", {}),
    ".ppm": ("PPM", {}),
}


def check_picture_output(
    path: str | os.PathLike[str],
    *,
    force: bool = False,
    inputs: Iterable[str | os.PathLike[str]] = (),
) -> None:
    """Raise ``OutputError`` now where ``save_picture`` would later: call it before long work.

    Besides what ``files.check_output`` looks at, the suffix must be one that can be written.
    """
    _format_of(Path(path))
    check_output(path, force=force, inputs=inputs)


def save_picture(
    picture: npt.NDArray[np.uint8],
    target: str | os.PathLike[str] | BinaryIO,
    *,
    force: bool = False,
    xmp: bytes = b"",
    exif: bytes = b"",
    icc: bytes = b"",
) -> None:
    """Write a (height, width, 3) uint8 array, or one with alpha, (height, width, 4), whole or not
    at all.

    The suffix of a path chooses the format: PNG (also without suffix), JPEG (quality 95), WebP
    (lossless), TIFF, BMP, PPM; a stream gets PNG. JPEG, BMP and PPM have no alpha: the picture is
    laid over white. ``xmp`` and ``exif`` are metadata to go with it; ``icc`` is a colour profile
    that the picture, which is sRGB, is converted to. BMP and PPM have no place for them. Raises
    ``OutputError`` for an unknown suffix, an existing file without ``force``, and whatever cannot
    be written; ``UnsuitableInputError`` for other arrays.
    """
    shaped = picture.ndim == 3 and picture.shape[2] in (3, 4) and picture.size
    if picture.dtype != np.uint8 or not shaped:
        raise UnsuitableInputError(
            "a picture to save is a (height, width, 3) array of uint8, or with alpha one of"
            f" (height, width, 4), not {picture.shape} of {picture.dtype}"
        )
    try:
        if isinstance(target, (str, os.PathLike)):
            path = Path(target)
            format_name, settings = _format_of(path)
            image, extra = _prepared(picture, format_name, xmp, exif, icc)
            with new_file(path, force=force) as file:
                image.save(file, format_name, **settings, **extra)
            return
        buffer = io.BytesIO()
        image, extra = _prepared(picture, "PNG", xmp, exif, icc)
        image.save(buffer, "PNG", **_PNG, **extra)
    except MemoryError as error:
        raise OutOfMemoryError("not enough memory to write the picture") from error
    try:
        target.write(buffer.getvalue())
        target.flush()
    except OSError as error:
        raise OutputError(f"cannot write the picture: {printable(error)}") from error


def _format_of(path: Path) -> tuple[str, dict[str, Any]]:
    suffix = path.suffix.lower()
    if suffix not in _FORMATS:
        names = " ".join(filter(None, _FORMATS))
        raise OutputError(f"{printable(path)}: unknown picture format; use one of {names}")
    return _FORMATS[suffix]


def _prepared(
    picture: npt.NDArray[np.uint8], format_name: str, xmp: bytes, exif: bytes, icc: bytes
) -> tuple[Image.Image, dict[str, Any]]:
    """The picture in a mode that the format has, and the options with which Pillow saves it."""
    if picture.shape[2] == 4 and format_name in _OPAQUE:
        picture = over_white(picture[..., :3], picture[..., 3])
    if format_name in _BARE:
        return Image.fromarray(np.ascontiguousarray(picture)), {}
    extra: dict[str, Any] = {}
    converted = in_profile(picture, icc) if icc else None
    if converted is not None:
        picture, extra["icc_profile"] = converted, icc
    image = Image.fromarray(np.ascontiguousarray(picture))
    if format_name == "TIFF":
        described = Image.Exif()
        described.load(exif)
        if xmp:
            described[_TIFF_XMP] = xmp
        return image, extra | {"exif": described}
    if exif:
        extra["exif"] = exif
    if xmp and format_name == "PNG":
        chunks = PngInfo()
        chunks.add_itxt("XML:com.adobe.xmp", xmp.decode())
        extra["pnginfo"] = chunks
    elif xmp:
        extra["xmp"] = xmp
    return image, extra
