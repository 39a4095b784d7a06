"""One picture decoded by every codec: a strip on the page, and a sheet as a file."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

from sedic.files import write_atomically
from sedic.lab.bench.experiments import ORIGINAL, kept_picture_path
from sedic.lab.bench.report import pictures
from sedic.lab.bench.report.figures import BAR_METRICS, plain
from sedic.lab.bench.report.page import Comparison, Figure
from sedic.lab.bench.report.summary import Summary
from sedic.lab.bench.report.tables import number


def strip(summary: Summary, folder: Path, figures: Path, name: str) -> Comparison | None:
    """Picture ``name`` as everything made of it, from the folder ``folder``; None if not kept.

    A sheet of the same pictures is written to the folder ``figures``.
    """
    original = pictures.opened(kept_picture_path(folder, name, (ORIGINAL, "")))
    if original is None:
        return None
    box = pictures.busiest(original)
    panels = [pictures.Panel(ORIGINAL, name, kept_picture_path(folder, name, (ORIGINAL, "")))]
    panels += list(_panels(summary, folder, name))
    panel_figures, on_sheet = [], []
    for panel in panels:
        image = pictures.opened(panel.path)
        if image is not None:
            on_sheet.append(pictures.CaptionedImage(panel.title, panel.note, image))
        if image is not None and image.size == original.size:
            detail = pictures.data_url(pictures.crop(image, box))
            panel_figures.append(Figure(panel.title, panel.note, pictures.data_url(image), detail))
    sheet = pictures.sheet(on_sheet)
    if sheet is not None:
        file = io.BytesIO()
        sheet.save(file, "JPEG", quality=88)
        write_atomically(figures / f"sheet-{plain(name)}.jpg", file.getvalue(), force=True)
    titles = [panel.title for panel in panels]
    right = titles.index(summary.subject) if summary.subject in titles else len(panel_figures) - 1
    return Comparison(name, panel_figures, min(right, len(panel_figures) - 1))


def _panels(summary: Summary, folder: Path, name: str) -> Iterator[pictures.Panel]:
    """The decoded pictures of one original: of every shown cell, and of rivals the best size."""
    cells = [tuple(cell) for cell in summary.facts["settings"]["shown"]]
    metric = next((m for m in BAR_METRICS if m in summary.metrics), "")
    several = len({point for _, point in cells}) > 1
    for codec, point in cells:
        family = next((f for f, names in summary.sizes.items() if codec in names), codec)
        best = [b.codec for b in summary.curves.get(metric, {}).get(family, []) if b.point == point]
        if len(summary.sizes.get(family, [])) > 1 and best and codec not in best:
            continue
        row = summary.row(name, codec, point)
        if row is None or not isinstance(row["bytes"], float):
            continue
        title = f"{codec}: {point}" if several else codec
        score = row.get(metric)
        scored = f", {metric} {number(score)}" if isinstance(score, float) else ""
        note = f"{row['bytes']:.0f} bytes, {row['bpp']:.4f} bpp{scored}"
        yield pictures.Panel(title, note, kept_picture_path(folder, name, (codec, point)))
