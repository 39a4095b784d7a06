"""Pictures to files: which suffix is which format, and writing them whole or not at all."""

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

from sedic.errors import OutOfMemoryError, OutputError, UnsuitableInputError
from sedic.files import check_output, new_file, printable

_TIFF_XMP = 700  # tag
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
) -> None:
    """Write a (height, width, 3) uint8 array, whole or not at all.

    The suffix of a path chooses the format: PNG (also without suffix), JPEG (quality 95), WebP
    (lossless), TIFF, BMP, PPM; a stream gets PNG. ``xmp`` is a packet of metadata to go with it,
    which BMP and PPM have no place for. Raises ``OutputError`` for an unknown suffix, an existing
    file without ``force``, and whatever cannot be written; ``UnsuitableInputError`` for other
    arrays.
    """
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
        raise UnsuitableInputError(
            "a picture to save is a (height, width, 3) array of uint8,"
            f" not {picture.shape} of {picture.dtype}"
        )
    image = Image.fromarray(np.ascontiguousarray(picture))
    try:
        if isinstance(target, (str, os.PathLike)):
            path = Path(target)
            format_name, settings = _format_of(path)
            with new_file(path, force=force) as file:
                image.save(file, format_name, **settings, **_metadata(format_name, xmp))
            return
        buffer = io.BytesIO()
        image.save(buffer, "PNG", **_PNG, **_metadata("PNG", xmp))
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


def _metadata(format_name: str, xmp: bytes) -> dict[str, Any]:
    """How Pillow wants an XMP packet for this format."""
    if not xmp or format_name in ("BMP", "PPM"):
        return {}
    if format_name == "PNG":
        chunks = PngInfo()
        chunks.add_itxt("XML:com.adobe.xmp", xmp.decode())
        return {"pnginfo": chunks}
    if format_name == "TIFF":
        return {"tiffinfo": {_TIFF_XMP: xmp}}
    return {"xmp": xmp}
