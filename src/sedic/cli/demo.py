"""``sedic demo``: sample photographs through the codec, side by side."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sedic.cli.sheet import row, tinted
from sedic.coding.container import Container
from sedic.decoder import Decoder
from sedic.encoder import Compressed, Encoder
from sedic.errors import OutputError, UnsuitableInputError
from sedic.files import make_folder, printable, write_atomically
from sedic.picture import load_picture, save_picture
from sedic.profile import Profile
from sedic.rate import rate_for

if TYPE_CHECKING:
    from sedic.picture import Picture

SAMPLES = ("astronaut", "chelsea", "coffee")  # carried by scikit-image's wheel
OBJECTS = 2  # even where they are not worth their bytes, because a demo should show objects


def samples(photos: list[Path]) -> list[tuple[str, Picture]]:
    """The given photographs, or the three that scikit-image carries."""
    if photos:
        return [(path.stem, load_picture(path)) for path in photos]
    from skimage import data

    return [(name, getattr(data, name)()) for name in SAMPLES]


def check(out: Path, photos: list[Path], *, force: bool) -> None:
    """Refuse, before any work, what ``run`` must not overwrite."""
    stems = [path.stem for path in photos] or list(SAMPLES)
    for stem in stems:
        if stems.count(stem) > 1 or stem == "sheet":
            raise UnsuitableInputError(
                f"two results would be called {printable(stem)}: rename a photograph"
            )
    outputs = {
        out / "sheet.png",
        *(out / f"{stem}{end}" for stem in stems for end in (".sedic", ".png")),
    }
    photo_paths = {path.resolve() for path in photos}
    for path in sorted(outputs):
        if path.resolve() in photo_paths:
            raise OutputError(f"{printable(path)} is one of the photographs: choose another folder")
        if photos and not force and path.exists():
            raise OutputError(f"{printable(path)} exists already; use --force to overwrite it")


def run(out: Path, photos: list[Path], bpp: float, *, force: bool = False) -> None:
    """Write ``NAME.sedic``, ``NAME.png`` and ``sheet.png`` into ``out``; print a table.

    Raises ``OutputError`` where that would overwrite a photograph or, without ``force``, a file
    that no demo made.
    """
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    check(out, photos, force=force)
    pictures = samples(photos)
    make_folder(out)
    headings = ("picture", "size", "bytes", "bpp", "reference", "text", "masks", "enc s", "dec s")
    table = Table(*headings, box=SIMPLE, padding=(0, 1, 0, 0))
    for column in table.columns[2:]:
        column.justify = "right"
    profile = Profile.load("mini")
    encoder, decoder = Encoder(profile), Decoder(profile)
    rows = []
    for name, picture in pictures:
        height, width = picture.shape[:2]
        start = time.perf_counter()
        rate = replace(rate_for(width, height, bpp=bpp, profile=profile), max_objects=OBJECTS)
        compressed = encoder.compress(picture, rate)
        middle = time.perf_counter()
        decoded = decoder.decompress(compressed.data)
        end = time.perf_counter()
        write_atomically(out / f"{name}.sedic", compressed.data, force=True)
        save_picture(decoded, out / f"{name}.png", force=True)
        parts = Container.parse(compressed.data).parts()
        table.add_row(
            name,
            f"{width}x{height}",
            str(len(compressed.data)),
            f"{8 * len(compressed.data) / (width * height):.4f}",
            *(str(parts[part]) for part in ("reference", "text", "masks")),
            f"{middle - start:.2f}",
            f"{end - middle:.2f}",
        )
        rows.append(_row(name, picture, decoded, compressed))
    sheet = np.concatenate(rows)
    save_picture(sheet, out / "sheet.png", force=True)
    console = Console()
    console.print(table)
    console.print(f"side by side: {out / 'sheet.png'}", highlight=False)


def _row(name: str, picture: Picture, decoded: Picture, compressed: Compressed) -> Picture:
    """Original, reference image, decoded picture and masks, with captions."""
    height, width = picture.shape[:2]
    caption = (
        "; ".join(layer.detail for layer in compressed.image.objects) or compressed.image.overall
    )
    bpp = 8 * len(compressed.data) / (width * height)
    return row(
        [
            (picture, f"{name}: original, {width}x{height}"),
            (compressed.preview, "its reference image"),
            (decoded, f"decoded from {len(compressed.data)} bytes, {bpp:.4f} bpp"),
            (tinted(picture, compressed.image.objects), caption),
        ]
    )
