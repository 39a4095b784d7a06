"""Pictures side by side on one sheet, with captions: what `demo` and `inspect --png` write."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from sedic.decoder import Decoder
from sedic.errors import SedicError
from sedic.semantics import (
    GRID,
    ObjectLayer,
)

if TYPE_CHECKING:
    from sedic.picture import Picture
    from sedic.profile import Profile

PANEL = 480  # pixels, the width of one picture on a sheet
_CAPTION = 64
_COLOURS = np.array(
    [
        [230, 60, 60],
        [60, 160, 230],
        [80, 200, 90],
        [240, 190, 50],
        [180, 90, 220],
        [70, 210, 210],
        [240, 130, 40],
    ],
    np.uint8,
)


def sheet_of(data: bytes, profile: Profile, original: Picture | None = None) -> Picture:
    """A file's masks with names, its reference image and its decoded picture, side by side.

    ``original``, if given, stands first; ``SedicError`` if it has another size.
    """
    decoder = Decoder(profile)
    container = decoder.parse(data)
    image = decoder.semantic_image(data)
    bpp = 8 * len(data) / (image.width * image.height)
    reference = decoder.preview(data)
    panels = []
    if original is not None:
        if original.shape[:2] != reference.shape[:2]:
            raise SedicError("the original picture does not have the size that the file says")
        panels.append((original, f"original, {image.width}x{image.height}"))
    caption = "; ".join(layer.detail for layer in image.objects) or image.overall
    below = reference[..., :3] if original is None else original
    panels.append((tinted(below, image.objects), caption))
    size = container.parts()["reference"]
    panels.append((reference, f"reference image, {container.reference_codec}, {size} bytes"))
    panels.append((decoder.decompress(data), f"decoded from {len(data)} bytes, {bpp:.4f} bpp"))
    return row(panels)


def row(panels: Sequence[tuple[Picture, str]]) -> Picture:
    """Pictures of one size, each under its caption, from left to right; alpha over white."""
    return np.concatenate([_panel(picture, caption) for picture, caption in panels], axis=1)


def tinted(picture: Picture, objects: Sequence[ObjectLayer]) -> Picture:
    """A washed-out picture with every object's mask in a colour of its own, under its name."""
    height, width = picture.shape[:2]
    out = picture // 2 + 64
    names = []
    for layer, colour in zip(objects, _COLOURS, strict=False):
        cells = layer.mask.array.repeat(GRID, 0).repeat(GRID, 1)[:height, :width]
        out[cells] = picture[cells] // 2 + colour // 2
        if cells.any():
            rows, columns = np.nonzero(cells)
            names.append((int(columns.mean()), int(rows.mean()), layer.name))
    image = Image.fromarray(out)
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(max(10, 14 * width // PANEL))
    for x, y, name in names:
        draw.text((x, y), name, "white", font, anchor="mm", stroke_width=2, stroke_fill="black")
    return np.asarray(image)


def _panel(picture: Picture, caption: str) -> Picture:
    height = max(1, round(picture.shape[0] * PANEL / picture.shape[1]))
    sheet = Image.new("RGB", (PANEL, height + _CAPTION), "white")
    resized = Image.fromarray(picture).resize((PANEL, height), Image.Resampling.LANCZOS)
    sheet.paste(resized, (0, _CAPTION), resized if resized.mode == "RGBA" else None)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(14)
    lines, line = [], ""
    for word in caption.split():
        if draw.textlength(f"{line} {word}", font) > PANEL - 12:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    for number, text in enumerate([*lines, line][:3]):
        draw.text((6, 4 + 19 * number), text, "black", font)
    return np.asarray(sheet)
