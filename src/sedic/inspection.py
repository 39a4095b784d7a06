"""What a file says, as data for programs: sizes, coders, settings, words. No network runs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sedic import exif
from sedic.coding.carried import decode_metadata
from sedic.coding.container import Container
from sedic.decoder import Decoder
from sedic.errors import SedicError
from sedic.profile import Profile
from sedic.semantics import SemanticImage


def summary(data: bytes, profile: Profile) -> dict[str, Any]:
    """Everything about a file, ready for JSON: what ``sedic inspect --json`` prints.

    ``overall`` and ``objects`` are ``None`` where they cannot be read, and ``problem`` says why.
    Raises ``DamagedFileError`` where the bytes are no file.
    """
    container = Container.parse(data)
    parts = container.parts()
    total = sum(parts.values())
    image, problem = read_words(data, profile)
    objects = None
    if image is not None:
        objects = [
            {
                "name": layer.name,
                "detail": layer.detail,
                "mask_share": round(layer.mask.area / (layer.mask.width * layer.mask.height), 4),
            }
            for layer in image.objects
        ]
    return {
        "format": 1,
        "method": container.method,
        "profile": container.profile,
        "mark": container.mark.hex(),
        "width": container.width,
        "height": container.height,
        "bytes": total,
        "bpp": 8 * total / (container.width * container.height),
        "parts": parts,
        "carried": carried_facts(container),
        "reference_codec": container.reference_codec,
        "text_coder": container.text_coder,
        "mask_coder": container.mask_coder,
        "seed": container.seed,
        "settings": _settings(data, profile),
        "object_count": container.object_count,
        "overall": image.overall if image else None,
        "objects": objects,
        "problem": problem,
    }


def read_words(data: bytes, profile: Profile) -> tuple[SemanticImage | None, str | None]:
    """What a file means, or why it cannot be read: one of the two is ``None``."""
    try:
        return Decoder(profile).semantic_image(data), None
    except SedicError as error:
        return None, str(error)


def carried_facts(container: Container) -> dict[str, Any]:
    """What travels with the picture, ready for JSON: whether alpha and place do, the number of
    EXIF's entries, the bytes of the colour profile, and the ground's colour (red, green, blue)."""
    metadata = decode_metadata(container.carried)
    entries = exif.read(metadata.exif)
    return {
        "alpha": "alpha" in container.parts(),
        "exif": len(entries),
        "gps": any(entry.directory == exif.PLACE for entry in entries),
        "icc": len(metadata.icc),
        "ground": list(metadata.ground.colour) if metadata.ground else None,
    }


def _settings(data: bytes, profile: Profile) -> dict[str, Any] | None:
    """The decoder's settings for a file, or ``None`` if the file asks for what no decoder does."""
    try:
        return asdict(Decoder(profile).settings(data))
    except SedicError:
        return None
