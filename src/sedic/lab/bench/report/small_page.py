"""The page of ``sedic bench small``: tables of every metric, the beginning of a file, a sheet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import mean

import numpy as np
from PIL import Image

from sedic.lab.bench.experiments import ORIGINAL, Cell, kept_picture_path
from sedic.lab.bench.experiments.curves import OURS, REFERENCE
from sedic.lab.bench.experiments.processes import Process
from sedic.lab.bench.experiments.small import ARRIVED, LIMITS, SCALES, SHARED_FILE, SHARES
from sedic.lab.bench.report.pictures import CaptionedImage, sheet
from sedic.lab.bench.report.summary import merit
from sedic.lab.bench.results import Row, Table
from sedic.picture import save_picture

NONE = "—"
PACKET = "222"  # bytes of a LoRa message, as a point
SHEET_PICTURES = 6  # pictures of the sheet


def page(
    tables: Mapping[str, Table], metrics: Mapping[str, str], costs: Sequence[str], how: str
) -> str:
    """Markdown. ``tables``: results by the name of their pictures; ``metrics``: name to "higher" or
    "lower"; ``costs``: finished lines on seconds, memory and size; ``how``: the command."""
    lines = [
        "# Files of a few radio packets",
        "",
        f"Made by `{how}`.",
        "Means over pictures; of each metric the best codec at a limit is bold.",
        f"`{REFERENCE}` is what `decompress --preview` shows, `{OURS}` is restored. Rivals",
        "are thumbnails: for every picture and limit the best by LPIPS-squeeze (Caffe) moved of",
        f"1/{SCALES[0]} to 1/{SCALES[-1]} of its sides, at the finest quality that fits. All are",
        "enlarged by the filter of our decoder (bicubic). BlurHash has as many components as fit,",
        f"ThumbHash is as it is. {NONE}: not every picture fits. (n): measured on the first n",
        "pictures alone, because every encode starts a program.",
    ]
    for name, table in tables.items():
        pictures = len({row["picture"] for row in table.rows})
        lines += ["", f"## {name}: {pictures} pictures"]
        for metric, better in metrics.items():
            lines += [
                "",
                f"### {metric} ({better} is better)",
                "",
                *_by_limit(table, metric, better),
            ]
        lines += ["", "### Bytes, scale and seconds of ours", "", *_ours(table)]
        lines += ["", f"### The beginning of a file of at most {SHARED_FILE} bytes", ""]
        lines += _beginnings(table, metrics)
    return "\n".join([*lines, "", "## What it costs", "", *costs]) + "\n"


def _by_limit(table: Table, metric: str, better: str) -> list[str]:
    codecs = dict.fromkeys(str(row["codec"]) for row in table.rows if row["codec"] != ARRIVED)
    lines = ["| bytes at most | " + " | ".join(codecs) + " |", "|---" * (len(codecs) + 1) + "|"]
    for limit in LIMITS:
        means = {codec: _mean(table, (codec, str(limit)), metric) for codec in codecs}
        known = [value for value, _ in filter(None, means.values())]
        best = max(known, key=partial(merit, better=better), default=None)
        cells = []
        for cell_mean in means.values():
            if cell_mean is None:
                cells.append(NONE)
                continue
            value, note = cell_mean
            text = f"{value:.3f}" if abs(value) < 10 else f"{value:.2f}"
            cells.append((f"**{text}**" if value == best else text) + note)
        lines.append(f"| {limit} | {' | '.join(cells)} |")
    return lines


def _rows(table: Table, cell: Cell) -> list[Row]:
    return [row for row in table.rows if (row["codec"], row["point"]) == cell]


def _mean(table: Table, cell: Cell, metric: str) -> tuple[float, str] | None:
    """The mean and, if the codec was measured on fewer pictures than all, their number; None
    unless it has a number for every picture that was tried."""
    rows = _rows(table, cell)
    tried = [row for row in rows if "pictures alone" not in str(row["notes"])]
    values = [float(v) for row in tried if isinstance(v := row[metric], int | float)]
    if not values or len(values) < len(tried):
        return None
    return mean(values), f" ({len(values)})" if len(tried) < len(rows) else ""


def _number(table: Table, cell: Cell, column: str) -> str:
    values = [float(v) for row in _rows(table, cell) if isinstance(v := row[column], int | float)]
    return f"{mean(values):.3g}" if values else NONE


def _ours(table: Table) -> list[str]:
    columns = ("bytes", "scale", "text bytes", "encode s", "decode s")
    lines = ["| at most | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for limit in LIMITS:
        cells = [_number(table, (REFERENCE, str(limit)), column) for column in columns]
        lines.append(f"| {limit} | {' | '.join(cells)} |")
    return lines


def _beginnings(table: Table, metrics: Mapping[str, str]) -> list[str]:
    columns = ("bytes", "reference bytes", *metrics)
    lines = ["| arrived | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for share in SHARES:
        cells = [_number(table, (ARRIVED, f"{share} %"), column) for column in columns]
        lines.append(f"| {share} % | {' | '.join(cells)} |")
    return lines


def costs(processes: Sequence[Process], sizes: Mapping[str, float]) -> list[str]:
    """Seconds and memory of whole commands, and megabytes of what pip installs, as tables."""
    lines = ["| whole command, 768×512 | seconds | CPU seconds | peak MiB |", "|---|---|---|---|"]
    for one in processes:
        cpu = NONE if one.cpu is None else f"{one.cpu:.2f}"
        memory = NONE if one.memory is None else f"{one.memory * 1024:.0f}"
        lines.append(f"| {one.name} | {one.seconds:.2f} | {cpu} | {memory} |")
    lines += ["", "| installed, with what it needs | MB |", "|---|---|"]
    return lines + [f"| {name} | {size:.1f} |" for name, size in sizes.items()]


def packet_sheet(
    table: Table, folder: Path, target: Path, rivals: Sequence[str], first: int = SHEET_PICTURES
) -> None:
    """A JPEG of the first pictures in one LoRa packet: original, ours, rivals.

    ``folder``: where the run kept the pictures.
    """
    panels: list[CaptionedImage] = []
    pictures = list(dict.fromkeys(str(row["picture"]) for row in table.rows))
    for picture in pictures[:first]:
        for codec in (ORIGINAL, REFERENCE, *rivals):
            cell = (codec, "" if codec == ORIGINAL else PACKET)
            path = kept_picture_path(folder, picture, cell)
            note = picture if codec == ORIGINAL else f"{_size_of(table, picture, cell)} bytes"
            if path.is_file():
                with Image.open(path) as opened:
                    panels.append(CaptionedImage(codec, note, opened.convert("RGB")))
            else:
                panels.append(
                    CaptionedImage(codec, "not so small", Image.new("RGB", (768, 512), "white"))
                )
    image = sheet(panels, 2 + len(rivals))
    if image is not None:
        save_picture(np.asarray(image), target, force=True)


def _size_of(table: Table, picture: str, cell: Cell) -> str:
    sizes = [row["bytes"] for row in _rows(table, cell) if row["picture"] == picture]
    return f"{sizes[0]:.0f}" if sizes and isinstance(sizes[0], int | float) else NONE
