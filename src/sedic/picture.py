"""Pictures from and to files, through Pillow, as (height, width, 3) uint8 arrays in sRGB.

What does not fit is converted by fixed rules:

- the EXIF orientation is applied; of several frames or pages the first is taken;
- transparency is composited over white, in sRGB values: ``(c * a + 255 * (255 - a)) / 255``;
- 16 bits become 8 by dividing by 257, rounded to nearest (Pillow itself keeps the high byte of
  16-bit *colour*); 32-bit integers are clipped to 16 bits first;
- floating-point values span 0 to 1, or 0 to 255 if any is above 1; not-a-number is black;
- an embedded ICC profile is converted to sRGB (perceptual); one that cannot be used, or changes
  no value by more than one, is ignored. CMYK without one is converted as Pillow does.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from sedic.errors import OutputError, SedicError, UnsuitableInputError
from sedic.files import new_file, printable
from sedic.semantics import (
    check_size,
)

Picture = npt.NDArray[np.uint8]  # (height, width, 3), sRGB
Source = str | Path | BinaryIO | bytes | Picture  # what load_picture takes

MAX_INPUT_BYTES = 1 << 30  # of a picture that comes through a pipe
_STRIP_ROWS = 128  # converted at a time: no second copy of a large picture is ever held
_ORIENTATION = 0x0112
_TIFF_XMP = 700  # tag
_UPRIGHT: dict[int, Callable[[Picture], Picture]] = {
    2: np.fliplr,
    3: lambda picture: picture[::-1, ::-1],
    4: np.flipud,
    5: lambda picture: picture.transpose(1, 0, 2),
    6: lambda picture: np.rot90(picture, -1),
    7: lambda picture: picture[::-1, ::-1].transpose(1, 0, 2),
    8: np.rot90,
}
_EIGHT_BITS = ((np.arange(1 << 16) + 128) // 257).astype(np.uint8)
_WRITERS: dict[str, tuple[str, dict[str, Any]]] = {
    "": ("PNG", {}),
    ".png": ("PNG", {}),
    ".jpg": ("JPEG", {"quality": 95}),
    ".jpeg": ("JPEG", {"quality": 95}),
    ".webp": ("WEBP", {"lossless": True}),
    ".tif": ("TIFF", {}),
    ".tiff": ("TIFF", {}),
    ".bmp": ("BMP", {}),
    ".ppm": ("PPM", {}),
}


def load_picture(source: Source) -> Picture:
    """Read any picture that Pillow can, as a (height, width, 3) uint8 sRGB array.

    ``source`` is a path, a binary stream (read to its end) or the file's bytes. Encapsulated
    PostScript is refused: it is a program. Raises ``SedicError``, naming the file, if it cannot be
    read, is no picture, is damaged, or is larger than ``semantics.check_size`` allows; the size is
    checked before any pixel is decoded.
    """
    if isinstance(source, np.ndarray):
        if source.dtype != np.uint8 or source.ndim != 3 or source.shape[2] != 3:
            raise UnsuitableInputError("a picture array is (height, width, 3) uint8")
        return np.ascontiguousarray(source)
    if isinstance(source, (str, Path)):
        name = printable(source)
        try:
            with Path(source).open("rb") as file:
                return _load(file, name)
        except FileNotFoundError as error:
            raise SedicError(f"{name}: there is no such file") from error
        except IsADirectoryError as error:
            raise SedicError(f"{name}: is a folder, not a picture") from error
        except (OSError, ValueError) as error:  # ValueError: a NUL in the name
            raise SedicError(f"{name}: cannot be read ({printable(error)})") from error
    if isinstance(source, bytes):
        return _load(io.BytesIO(source), "the picture")
    name = printable(getattr(source, "name", "the input"))
    try:
        data = source.read(MAX_INPUT_BYTES + 1)
    except OSError as error:
        raise SedicError(f"{name}: cannot be read ({printable(error)})") from error
    if len(data) > MAX_INPUT_BYTES:
        raise SedicError(f"{name}: more than {MAX_INPUT_BYTES} bytes")
    return _load(io.BytesIO(data), name)


def save_picture(
    picture: Picture, target: str | Path | BinaryIO, *, force: bool = False, xmp: bytes = b""
) -> None:
    """Write a (height, width, 3) uint8 array, whole or not at all.

    The suffix of a path chooses the format: PNG (also without suffix), JPEG (quality 95), WebP
    (lossless), TIFF, BMP, PPM; a stream gets PNG. ``xmp`` is a packet of metadata to go with it,
    which BMP and PPM have no place for. Raises ``SedicError`` for an unknown suffix, an
    existing file without ``force``, and whatever cannot be written.
    """
    image = Image.fromarray(np.ascontiguousarray(picture, np.uint8))
    if isinstance(target, (str, Path)):
        target = Path(target)
        format_name, settings = check_format(target)
        with new_file(target, force=force) as file:
            image.save(file, format_name, **settings, **_metadata(format_name, xmp))
        return
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **_metadata("PNG", xmp))
    try:
        target.write(buffer.getvalue())
        target.flush()
    except OSError as error:
        raise SedicError(f"cannot write the picture: {printable(error)}") from error


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


def check_format(path: Path) -> tuple[str, dict[str, Any]]:
    """Pillow's name of the format that a path's suffix chooses, and how it is written.

    Raises ``OutputError`` for a suffix that no format has.
    """
    suffix = path.suffix.lower()
    if suffix not in _WRITERS:
        known = " ".join(filter(None, _WRITERS))
        raise OutputError(f"{printable(path)}: unknown picture format; use one of {known}")
    return _WRITERS[suffix]


def pad_to_multiple(picture: Picture, multiple: int) -> Picture:
    """Grow a picture at its right and bottom until both sides are multiples of ``multiple``.

    The added pixels mirror the picture about its edge, the edge pixels included, as often as
    needed: a picture of one pixel works too. Crop with ``[:height, :width]`` to get it back.
    Returns ``picture`` itself where nothing is missing.
    """
    height, width = picture.shape[:2]
    missing = (-height % multiple, -width % multiple)
    if missing == (0, 0):
        return picture
    return np.pad(picture, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="symmetric")


def _load(file: BinaryIO, name: str) -> Picture:
    if not file.read(1):
        raise SedicError(f"{name}: is empty")
    file.seek(0)
    Image.init()
    formats = [known for known in Image.OPEN if known != "EPS"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of what is handled or refused here
        try:
            image = Image.open(file, formats=formats)
        except UnidentifiedImageError as error:
            raise SedicError(f"{name}: is not a picture that can be read") from error
        except Image.DecompressionBombError as error:
            raise SedicError(f"{name}: has far too many pixels") from error
        except Exception as error:  # the parsers of forty formats raise whatever they like
            raise SedicError(f"{name}: is damaged, or not a picture") from error
        try:
            with image:
                check_size(*image.size)
                image.load()
                check_size(*image.size)  # icons may hold other than they announce
                picture, orientation = _to_srgb(image), _orientation(image)
        except SedicError as error:
            raise SedicError(f"{name}: {error}") from error
        except Exception as error:
            raise SedicError(f"{name}: is damaged or cut short") from error
    del image  # before the picture is copied once more
    turn = _UPRIGHT.get(orientation)
    return picture if turn is None else np.ascontiguousarray(turn(picture))


def _orientation(image: Image.Image) -> int:
    try:
        orientation = image.getexif().get(_ORIENTATION)
    except Exception:  # damaged metadata do not spoil a picture
        return 1
    return orientation if isinstance(orientation, int) else 1


def _to_srgb(image: Image.Image) -> Picture:
    width, height = image.size
    reduce = _reducer(image)
    convert = _colour_conversion(image)
    picture = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, _STRIP_ROWS):
        bottom = min(top + _STRIP_ROWS, height)
        strip = reduce(image.crop((0, top, width, bottom)))
        if strip.has_transparency_data:
            strip = strip.convert("RGBA")
            alpha = np.asarray(strip.getchannel("A"), np.uint16)[:, :, None]
            colour = np.asarray(convert(strip.convert("RGB")), np.uint16)
            picture[top:bottom] = (colour * alpha + 255 * (255 - alpha) + 127) // 255
        else:
            picture[top:bottom] = np.asarray(convert(strip))
    return picture


def _reducer(image: Image.Image) -> Callable[[Image.Image], Image.Image]:
    """What turns a strip of a deep picture into an 8-bit one."""
    if image.mode.startswith("I"):
        return lambda strip: Image.fromarray(_EIGHT_BITS[np.clip(np.asarray(strip), 0, 65_535)])
    if image.mode == "F":
        scale = 1.0 if image.getextrema()[1] > 1.0 else 255.0  # type: ignore[operator]

        def reduce(strip: Image.Image) -> Image.Image:
            values = np.nan_to_num(np.asarray(strip) * scale, nan=0.0)
            return Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))

        return reduce
    return lambda strip: strip


def _colour_conversion(image: Image.Image) -> Callable[[Image.Image], Image.Image]:
    """What turns an 8-bit strip without alpha into sRGB: its ICC profile if that is usable."""
    profile: bytes = image.info.get("icc_profile") or b""
    if not profile and image.mode != "LAB":
        return lambda strip: strip.convert("RGB")
    from PIL import ImageCms

    grey = image.mode in ("1", "L", "LA", "F") or image.mode.startswith("I")
    mode = image.mode if image.mode in ("CMYK", "LAB") else "L" if grey else "RGB"
    try:
        source = ImageCms.createProfile("LAB") if mode == "LAB" else io.BytesIO(profile)
        transform = ImageCms.buildTransform(
            source, ImageCms.createProfile("sRGB"), mode, "RGB", ImageCms.Intent.PERCEPTUAL
        )
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        return lambda strip: strip.convert("RGB")
    if mode == "RGB":
        levels = np.arange(0, 256, 15).astype(np.uint8)
        probe = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(levels.size, -1, 3)
        changed = np.asarray(ImageCms.applyTransform(Image.fromarray(probe), transform))
        if np.abs(changed.astype(np.int16) - probe).max() <= 1:
            return lambda strip: strip.convert("RGB")

    def convert(strip: Image.Image) -> Image.Image:
        if strip.mode != mode:
            strip = strip.convert(mode)
        return ImageCms.applyTransform(strip, transform)  # type: ignore[return-value]

    return convert
