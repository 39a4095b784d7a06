"""What ``inspect`` shows of a file, for people and for programs."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from sedic import exif
from sedic.coding.carried import decode_metadata
from sedic.coding.container import Container
from sedic.decoder import Decoder
from sedic.errors import SedicError
from sedic.profile import Profile
from sedic.rate import explain
from sedic.semantics import (
    Mask,
    SemanticImage,
)


def summary(data: bytes, profile: Profile) -> dict[str, Any]:
    """Everything about a file, JSON-ready. Words that cannot be read are ``None``, with why."""
    container = Container.parse(data)
    parts = container.parts()
    total = sum(parts.values())
    image, problem = _image(data, profile)
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
        "carried": _carried(container),
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


def as_json_text(data: bytes, profile: Profile) -> str:
    """``summary`` as text."""
    return json.dumps(summary(data, profile), indent=2, ensure_ascii=True)


def print_table(data: bytes, profile: Profile, *, verbose: bool) -> None:
    """Print ``summary``, on a terminal in colour; ``verbose`` adds masks and reasons."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    container = Container.parse(data)
    facts = summary(data, profile)
    console.print(
        f"{facts['width']}x{facts['height']}, method {facts['method']}, profile {facts['profile']} "
        f"({facts['mark']}), reference {facts['reference_codec']}",
        highlight=False,
    )
    table = Table("part", "bytes", "bpp", "share")
    for column in table.columns[1:]:
        column.justify = "right"
    pixels = container.width * container.height
    rows = [*facts["parts"].items(), ("file", facts["bytes"])]
    for name, size in rows:
        if name == "settings" and not size:
            continue
        if name == "file":
            table.add_section()
        table.add_row(name, str(size), f"{8 * size / pixels:.4f}", f"{size / facts['bytes']:.1%}")
    console.print(table)
    for line in _carried_lines(container):
        console.print(line, highlight=False, markup=False)
    console.print(_decoder(data, profile), highlight=False, markup=False)
    image, problem = _image(data, profile)
    if image is None:
        console.print(f"words and masks cannot be read: {escape(str(problem))}")
        return
    console.print(f"overall: {escape(image.overall) or '(none)'}", highlight=False)
    for number, layer in enumerate(image.objects, 1):
        share = layer.mask.area / (layer.mask.width * layer.mask.height)
        console.print(f"object {number}, {share:.0%}: {escape(layer.detail)}", highlight=False)
        if verbose:
            console.print(thumbnail(layer.mask), highlight=False, markup=False)
    if verbose:
        for line in explain(container, profile):
            console.print(f"- {line}", highlight=False, markup=False)


def _carried(container: Container) -> dict[str, Any]:
    """What travels with the picture, JSON-ready: whether alpha and place do, how many entries of
    EXIF, how many bytes of a colour profile, and the colour of the ground."""
    metadata = decode_metadata(container.carried)
    entries = exif.read(metadata.exif)
    return {
        "alpha": "alpha" in container.parts(),
        "exif": len(entries),
        "gps": any(entry.directory == exif.PLACE for entry in entries),
        "icc": len(metadata.icc),
        "ground": list(metadata.ground.colour) if metadata.ground else None,
    }


def _carried_lines(container: Container) -> list[str]:
    """The same for people; no line for what is not there."""
    facts = _carried(container)
    place = "with" if facts["gps"] else "without"
    texts = (
        ("alpha", "a mask of where the picture is opaque"),
        ("exif", f"EXIF of {facts['exif']} entries, {place} GPS"),
        ("icc", f"a colour profile of {facts['icc']} bytes"),
        ("ground", f"the colour of its ground, red, green, blue = {facts['ground']}"),
    )
    return [f"travels with it: {text}" for name, text in texts if facts[name]]


def _decoder(data: bytes, profile: Profile) -> str:
    """One line: the stages of the decoder, and the settings that are not the profile's."""
    container = Container.parse(data)
    try:
        settings = Decoder(profile).settings(data)
    except SedicError as error:
        return f"decoder: refuses this file: {error}"
    defaults = asdict(profile.settings(container.method))
    lines = [
        f"{name} = {value}" for name, value in asdict(settings).items() if value != defaults[name]
    ]
    lines += [f"seed = {container.seed}"] if container.seed else []
    steps = f"{container.object_count} x {settings.object_steps} + {settings.last_steps} steps"
    what = steps if profile.restores else "the reference image (this profile has no restorer)"
    if settings.changes_nothing:
        what = "the reference image as it is"
    return f"decoder: {what}; {', '.join(lines) or 'all settings as the profile has them'}"


def thumbnail(mask: Mask, columns: int = 48) -> str:
    """A mask in half-block characters, at most ``columns`` wide."""
    import numpy as np

    cells = mask.array
    columns = min(columns, mask.width)
    rows = max(2, round(mask.height * columns / mask.width) // 2 * 2)
    y = (np.arange(rows) * mask.height // rows)[:, None]
    x = np.arange(columns) * mask.width // columns
    small = cells[y, x]
    blocks = " ▀▄█"
    return "\n".join(
        "".join(blocks[int(top) + 2 * int(low)] for top, low in zip(*pair, strict=True))
        for pair in zip(small[::2], small[1::2], strict=True)
    )


def _settings(data: bytes, profile: Profile) -> dict[str, Any] | None:
    """How the file wants to be restored, or None if it asks for what no decoder does."""
    try:
        return asdict(Decoder(profile).settings(data))
    except SedicError:
        return None


def _image(data: bytes, profile: Profile) -> tuple[SemanticImage | None, str | None]:
    """What the file says, or why it cannot be read."""
    try:
        return Decoder(profile).semantic_image(data), None
    except SedicError as error:
        return None, str(error)
