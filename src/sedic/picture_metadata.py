"""Reads EXIF and the colour profile of a picture, as far as the caller wants to keep them."""

from __future__ import annotations

from collections.abc import Collection

from PIL import Image

from sedic import exif
from sedic.colour_profiles import MAX_PROFILE, differs_from_srgb, usable

KEPT = ("exif", "gps", "icc", "alpha")  # names of what a caller may keep


def read_metadata(
    image: Image.Image, keep: Collection[str], name: str
) -> tuple[bytes, bytes, tuple[str, ...]]:
    """EXIF and colour profile of a decoded image, and notes for the user.

    ``keep`` has names of ``KEPT``. A note says which of them cannot be kept; it begins with
    ``name``. A profile that is sRGB is left out without a note: a picture without one is sRGB.
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
        data = image.info.get("exif") or image.getexif().tobytes()
    except Exception:  # a parser of hostile bytes raises whatever it likes
        return b""
    return data if isinstance(data, bytes) else b""
