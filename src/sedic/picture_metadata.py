"""EXIF and colour profiles of a picture that is read, as far as they shall be kept."""

from __future__ import annotations

from collections.abc import Collection

from PIL import Image

from sedic import exif
from sedic.colour_profiles import MAX_PROFILE, differs_from_srgb, usable

KEPT = ("exif", "gps", "icc", "alpha")  # what may be kept


def kept(
    image: Image.Image, keep: Collection[str], name: str
) -> tuple[bytes, bytes, tuple[str, ...]]:
    """EXIF and colour profile of a decoded image, and a line for each that was wanted and is not
    kept.

    A profile that is sRGB is not kept: a picture without one is sRGB. ``name`` is the picture's.
    """
    notes: list[str] = []
    described = b""
    if "exif" in keep or "gps" in keep:
        entries = exif.read(_exif(image), camera="exif" in keep, place="gps" in keep)
        described = exif.write(entries)
        if not described:
            notes.append(
                f"{name}: there is no {' or '.join(sorted(set(keep) & {'exif', 'gps'}))} to keep"
            )
    profile = image.info.get("icc_profile") if "icc" in keep else None
    if not isinstance(profile, bytes) or not profile:
        return described, b"", tuple(notes)
    if not usable(profile):
        notes.append(
            f"{name}: its colour profile is not kept: it is damaged, not of red, green and blue, or"
            f" has more than {MAX_PROFILE} bytes"
        )
    elif differs_from_srgb(profile):
        return described, profile, tuple(notes)
    return described, b"", tuple(notes)


def _exif(image: Image.Image) -> bytes:
    """The bytes of an image's EXIF; none where it is damaged."""
    try:
        found = image.info.get("exif") or image.getexif().tobytes()
    except Exception:  # a parser of hostile bytes raises whatever it likes
        return b""
    return found if isinstance(found, bytes) else b""
