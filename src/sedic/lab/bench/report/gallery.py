"""Every picture of a rate-distortion run in four panels: original, best rival, reference, ours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median_low

import numpy as np
from PIL import Image

from sedic.errors import SedicError
from sedic.files import make_folder, printable
from sedic.lab.bench.experiments.curves import OURS, REFERENCE
from sedic.lab.bench.experiments.subject import Subject
from sedic.lab.bench.lpips import NAME
from sedic.lab.bench.report.pictures import CaptionedImage, sheet
from sedic.lab.bench.results import Row, Table
from sedic.lab.bench.rivals import Missing, find_rivals, sizes
from sedic.picture import save_picture

PICTURES = 6  # of a sheet


def build_gallery(
    table: Table,
    subject: Subject,
    point: str,
    folder: Path,
    progress: Callable[[int, int, str], None],
) -> list[Path]:
    """Sheets of six pictures each, and one of our best, median and worst picture.

    ``table``: results of ``sedic bench rd`` with LPIPS-squeeze (Caffe), by which the best rival is
    chosen anew for every picture, and by which ours are ordered. Files are made anew, because
    results hold no pictures. ``SedicError`` if the results are others than the codec gives now.
    """
    make_folder(folder)
    panels: list[list[CaptionedImage]] = []
    distances: list[float] = []
    for index, sample in enumerate(subject.dataset):
        progress(index, len(subject.dataset), sample.name)
        rows = {
            str(row["codec"]): row
            for row in table.rows
            if (row["picture"], row["point"]) == (sample.name, point) and table.has_numbers(row)
        }
        if not {OURS, REFERENCE} <= rows.keys() or NAME not in table.values:
            raise SedicError(f"{printable(sample.name)} has no {NAME} at {printable(point)} bpp")
        rivals = [str(name) for name in table.facts["settings"]["rivals"]]
        panels.append(_panels(subject, index, float(point), rows, rivals))
        distances.append(_number(rows[OURS], NAME))
    written = []
    for first in range(0, len(panels), PICTURES):
        path = folder / f"gallery-{first // PICTURES + 1}.jpg"
        _save(panels[first : first + PICTURES], path)
        written.append(path)
    chosen = (min(distances), median_low(distances), max(distances))
    path = folder / "best-median-worst.jpg"
    _save([panels[distances.index(distance)] for distance in chosen], path)
    return [*written, path]


def _panels(
    subject: Subject, index: int, limit: float, rows: dict[str, Row], names: Sequence[str]
) -> list[CaptionedImage]:
    """One picture's panels, from its rows of the results by codec."""
    picture = subject.dataset.samples[index].load()
    coders = [coder for coder in find_rivals(names) if not isinstance(coder, Missing)]
    rivals = {rival.name: rival for coder in coders for rival in sizes(coder)}
    measured = [name for name in rivals if name in rows]
    data = subject.encoder.compress(
        picture, subject.rate(picture, limit), subject.description(index)
    ).data
    if len(data) != _number(rows[OURS], "bytes"):
        raise SedicError(
            f"our file has {len(data)} bytes, not {rows[OURS]['bytes']}: run sedic bench rd anew"
        )

    def note(codec: str) -> str:
        return f"{_number(rows[codec], 'bytes'):.0f} bytes, LPIPS {_number(rows[codec], NAME):.3f}"

    images = [
        CaptionedImage(
            "original", f"{picture.shape[1]}x{picture.shape[0]}", Image.fromarray(picture)
        )
    ]
    if measured:
        best = min(measured, key=lambda name: _number(rows[name], NAME))
        coded = rivals[best].at(picture, int(_number(rows[best], "quality")))
        images.append(
            CaptionedImage(f"best rival: {best}", note(best), Image.fromarray(coded.picture))
        )
    preview, ours = subject.decoder.preview(data), subject.decoder.decompress(data)
    images.append(CaptionedImage("our reference image", note(REFERENCE), Image.fromarray(preview)))
    images.append(CaptionedImage("ours", note(OURS), Image.fromarray(ours)))
    return images


def _number(row: Row, name: str) -> float:
    value = row[name]
    if not isinstance(value, int | float):
        raise SedicError(f"{row['picture']}, {row['codec']}: no {name}")
    return float(value)


def _save(panels: Sequence[Sequence[CaptionedImage]], path: Path) -> None:
    columns = max(map(len, panels))
    gallery = sheet([image for row in panels for image in row], columns)
    if gallery is not None:
        save_picture(np.asarray(gallery), path, force=True)
