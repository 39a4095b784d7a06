"""Any Pillow image as 8-bit sRGB colour and alpha: the rules of ``picture`` for modes and depths.

A picture is converted strip by strip, so that no second copy of a large one is held.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

Bytes = npt.NDArray[np.uint8]
Numbers = npt.NDArray[Any]
Strip = tuple[int, Bytes, Bytes | None]  # first row, (rows, width, 3) sRGB, (rows, width) alpha

STRIP_ROWS = 128
_EIGHT_BITS = ((np.arange(1 << 16) + 128) // 257).astype(np.uint8)
_WITH_ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")
_GREY_BITS = {"L;2": 2, "L;4": 4}  # raw modes of PNG whose samples Pillow scales to 0 to 255
_NATIVE, _SWAPPED = ("L", "B") if sys.byteorder == "little" else ("B", "L")
# Of a 16-bit colour sample Pillow keeps the high byte. Decoded once more in the raw mode on the
# right, the same file gives the low byte; of grey with alpha, all four bytes of a pixel.
_LOW_BYTES = {
    "LA;16B": "RGBA",
    **{
        f"{mode};16{order}": f"{mode};16{other}"
        for mode in ("RGB", "RGBA", "RGBX")
        for order, other in (("B", "L"), ("L", "B"), ("N", _SWAPPED))
    },
}


def raw_mode(image: Image.Image) -> str:
    """How the samples lie in the file of an image that is not decoded yet; "" if unknown."""
    tiles = getattr(image, "tile", None)
    arguments = tiles[0][3] if tiles else ""
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return first if isinstance(first, str) else ""


def has_low_bytes(raw: str) -> bool:
    """Whether Pillow drops the low bytes of a picture with this ``raw_mode``."""
    return raw in _LOW_BYTES


def load_low_bytes(image: Image.Image) -> None:
    """Decode an image that ``has_low_bytes`` so that it holds these instead of the high ones."""
    low = _LOW_BYTES[raw_mode(image)]
    image.tile = [  # type: ignore[attr-defined]
        tile._replace(args=(low, *tile.args[1:]) if isinstance(tile.args, tuple) else low)
        for tile in image.tile  # type: ignore[attr-defined]
    ]
    image.load()


def srgb_strips(
    image: Image.Image, raw: str = "", low: Image.Image | None = None
) -> Iterator[Strip]:
    """The picture from top to bottom, ``STRIP_ROWS`` rows at a time.

    ``image``: decoded. ``raw``: its ``raw_mode`` before that. ``low``: the same picture after
    ``load_low_bytes``. Alpha is ``None`` where nothing can be transparent.
    """
    width, height = image.size
    key = _transparent_value(image, raw, deep=low is not None)
    scale = _float_scale(image)
    convert = _colour_conversion(image)
    for top in range(0, height, STRIP_ROWS):
        box = (0, top, width, min(top + STRIP_ROWS, height))
        strip = image.crop(box)
        if low is not None:
            values = _sixteen_bits(np.asarray(strip), np.asarray(low.crop(box)), raw)
            alpha = _alpha_of(values[..., :3], key)
            if values.shape[2] == 4:
                alpha = _EIGHT_BITS[values[..., 3]]
            strip = Image.fromarray(_EIGHT_BITS[values[..., :3]])
        elif image.mode.startswith("I"):
            values = np.asarray(strip)
            alpha = _alpha_of(values[..., None], key)
            strip = Image.fromarray(_EIGHT_BITS[np.clip(values, 0, 65_535)])
        elif image.mode == "F":
            alpha = None
            values = np.nan_to_num(np.asarray(strip) * scale, nan=0.0)
            strip = Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))
        elif _has_alpha(image):
            strip = _rgba(strip)
            alpha = np.asarray(strip.getchannel("A"))
            strip = strip.convert("RGB")
        else:
            strip.info.pop("transparency", None)
            strip = strip.convert("L") if strip.mode == "1" else strip
            alpha = None if key is None else _alpha_of(_with_bands(np.asarray(strip)), key)
        yield top, np.asarray(convert(strip)), alpha


def _with_bands(values: Numbers) -> Numbers:
    return values if values.ndim == 3 else values[..., None]


def _alpha_of(values: Numbers, key: tuple[int, ...] | None) -> Bytes | None:
    """0 where the (rows, width, bands) ``values`` are the transparent value ``key``, 255 else."""
    if key is None:
        return None
    return np.where((values == np.array(key)).all(axis=-1), 0, 255).astype(np.uint8)


def _sixteen_bits(high: Bytes, low: Bytes, raw: str) -> npt.NDArray[np.uint16]:
    """The 16-bit samples (rows, width, 3 or 4) of a picture from its high and its low bytes."""
    if raw == "LA;16B":  # low has the bytes: grey high, grey low, alpha high, alpha low
        low = low[..., [1, 1, 1, 3]]
    return high.astype(np.uint16) * 256 + low


def _has_alpha(image: Image.Image) -> bool:
    if image.mode != "P":
        return image.mode in _WITH_ALPHA
    in_palette = image.palette is not None and image.palette.mode.endswith("A")
    return in_palette or _palette_alpha(image) is not None


def _palette_alpha(image: Image.Image) -> bytes | int | None:
    """The alpha of all palette entries, or the one entry that is transparent."""
    value = image.info.get("transparency")
    if isinstance(value, bytes) or (isinstance(value, int) and 0 <= value < 256):
        return value
    return None


def _rgba(strip: Image.Image) -> Image.Image:
    if strip.mode != "P" or _palette_alpha(strip) is None:
        strip.info.pop("transparency", None)  # it has no meaning here
    if strip.mode == "La":
        strip = strip.convert("LA")  # La itself cannot become RGBA
    return strip.convert("RGBA")


def _transparent_value(image: Image.Image, raw: str, *, deep: bool) -> tuple[int, ...] | None:
    """The one colour of the picture that is transparent, in the units of its decoded samples."""
    value = image.info.get("transparency")
    key = value if isinstance(value, tuple) else (value,)
    bands = {"RGB": 3, "1": 1, "L": 1, "I": 1}.get(image.mode.partition(";")[0], 0)
    if len(key) != bands or not all(isinstance(part, int) for part in key):
        return None
    if deep or image.mode.startswith("I"):
        return key
    if raw in _GREY_BITS:
        top = (1 << _GREY_BITS[raw]) - 1
        return tuple((part & top) * 255 // top for part in key)
    if raw in _LOW_BYTES or (not raw and max(key) > 255):
        return tuple(part >> 8 for part in key)  # only the high bytes of the samples are here
    return tuple(part & 255 for part in key)


def _float_scale(image: Image.Image) -> float:
    """What floating-point samples are multiplied by: they span 0 to 1, or 0 to 255."""
    if image.mode != "F":
        return 1.0
    return 1.0 if image.getextrema()[1] > 1.0 else 255.0  # type: ignore[operator]


def _colour_conversion(image: Image.Image) -> Callable[[Image.Image], Image.Image]:
    """The function that converts an 8-bit strip without alpha to sRGB, by the image's ICC profile
    if that is usable."""
    profile = image.info.get("icc_profile")
    if not isinstance(profile, bytes) or not profile:
        if image.mode != "LAB":
            return lambda strip: strip.convert("RGB")
        profile = b""
    from PIL import ImageCms

    grey = image.mode in ("1", "L", "LA", "La", "F") or image.mode.startswith("I")
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
