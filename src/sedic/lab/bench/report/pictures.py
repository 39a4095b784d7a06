"""Pictures of a report: scaled and embedded in the page, cropped, and laid out on sheets."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

SIDE = 640  # pixels, the longer side on the page
_CROP = 4  # a crop is a square of this part of the longer side
_CROP_SIDE = 240
_PANEL, _CAPTION = 400, 46  # of a sheet


@dataclass(frozen=True)
class Panel:
    """One decoded picture: what made it, what it cost, where it is kept."""

    title: str
    note: str
    path: Path


@dataclass(frozen=True)
class CaptionedImage:
    """A picture of a sheet, under two lines of text."""

    title: str
    note: str
    image: Image.Image


def data_url(image: Image.Image, quality: int = 82) -> str:
    """A picture as a data URL, WebP."""
    file = io.BytesIO()
    image.save(file, "WEBP", quality=quality, method=4)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()


def opened(path: Path) -> Image.Image | None:
    """A kept picture at the page's size; None where it is missing or damaged."""
    try:
        with Image.open(path) as image:
            small = image.convert("RGB")
    except Exception:  # damaged: Pillow's parsers raise whatever they like
        return None
    small.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return small


def busiest(image: Image.Image) -> tuple[int, int, int, int]:
    """The square (left, top, right, bottom) with the strongest gradients.

    Its side is a quarter of the longer side, or the shorter side if that is less.
    """
    grey = np.asarray(image.convert("L"), np.float64)
    side = min(*grey.shape, max(8, max(grey.shape) // _CROP))
    energy = ndimage.gaussian_gradient_magnitude(grey, 1.0)
    sums = np.pad(energy, ((1, 0), (1, 0))).cumsum(0).cumsum(1)  # over all above and to the left
    inside = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    top, left = (int(i) for i in np.unravel_index(int(inside.argmax()), inside.shape))
    return left, top, left + side, top + side


def crop(image: Image.Image, box: tuple[int, int, int, int]) -> Image.Image:
    """A part of a picture enlarged by nearest neighbour."""
    return image.crop(box).resize((_CROP_SIDE, _CROP_SIDE), Image.Resampling.NEAREST)


def sheet(panels: Sequence[CaptionedImage], columns: int = 3) -> Image.Image | None:
    """Pictures side by side, each under its caption: a figure for a README. None without any."""
    if not panels:
        return None
    tallest = max(panel.image.height / panel.image.width for panel in panels)
    height = max(1, round(_PANEL * min(1.0, tallest)))
    lines = -(-len(panels) // columns)
    size = (min(columns, len(panels)) * _PANEL, lines * (height + _CAPTION))
    out = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(out)
    font = ImageFont.load_default(15)
    for i, panel in enumerate(panels):
        x, y = i % columns * _PANEL, i // columns * (height + _CAPTION)
        title = panel.title.replace("≤", "<=")  # which Pillow's font has not
        draw.text((x + 6, y + 4), title, "black", font)
        draw.text((x + 6, y + 23), panel.note, "#57606a", font)
        image = panel.image
        scale = min(_PANEL / image.width, height / image.height)
        fitted = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        out.paste(image.resize(fitted, Image.Resampling.LANCZOS), (x, y + _CAPTION))
    return out
