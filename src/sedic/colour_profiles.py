"""ICC profiles that a file carries: which ones are kept, and converting pictures to them.

A file's picture is sRGB. Where a profile travels with it, a decoded picture is converted to that
profile's colours when it is written.
"""

from __future__ import annotations

import io
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

Picture = npt.NDArray[np.uint8]  # (height, width, 3 or 4)
MAX_PROFILE = 1 << 16  # bytes


def usable(profile: bytes) -> bool:
    """Whether pictures can be converted to this profile: it is one of red, green and blue, whole,
    and not larger than ``MAX_PROFILE``."""
    return _from_srgb(profile) is not None


def differs_from_srgb(profile: bytes) -> bool:
    """Whether a usable profile differs from sRGB: converting changes some value by more than 1."""
    levels = np.arange(0, 256, 15).astype(np.uint8)
    probe = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(levels.size, -1, 3)
    changed = in_profile(probe, profile)
    return changed is not None and bool(np.abs(changed.astype(np.int16) - probe).max() > 1)


def in_profile(picture: Picture, profile: bytes) -> Picture | None:
    """A (height, width, 3 or 4) sRGB picture converted to a profile; alpha stays as it is.

    None where the profile cannot be a target of conversions.
    """
    transform = _from_srgb(profile)
    if transform is None:
        return None
    from PIL import ImageCms

    try:
        colour = Image.fromarray(np.ascontiguousarray(picture[..., :3]))
        changed = np.asarray(ImageCms.applyTransform(colour, transform))
    except (ImageCms.PyCMSError, ValueError):
        return None
    return np.dstack([changed, picture[..., 3:]])


@lru_cache(4)
def _from_srgb(profile: bytes) -> Any:
    """Pillow's conversion from sRGB to a profile of red, green and blue, or None."""
    from PIL import ImageCms

    # Bytes 16 to 19 name the colour space of a profile's device.
    if not 128 < len(profile) <= MAX_PROFILE or profile[16:20] != b"RGB ":
        return None
    try:
        return ImageCms.buildTransform(
            ImageCms.createProfile("sRGB"),
            io.BytesIO(profile),
            "RGB",
            "RGB",
            ImageCms.Intent.PERCEPTUAL,
        )
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        return None
