"""The reference image alone on the 24 Kodak pictures, by true file bytes, beside classic codecs.

    python benchmarks/reference_kodak.py [--before WEIGHTS] [--out benchmarks] [--sheets DIR]

For each limit in bits per pixel the largest file that is not above it: ``compact`` as a whole
.sedic file without words, with ``--before`` also of earlier weights; WebP and AVIF (through Pillow)
at a quarter and at half size, enlarged bicubically; x265 at the size that has the best PSNR.
Writes reference_kodak.json and .md; what does not change with our weights is taken from the
reference_kodak.json that is there. Kodak is only reported on: nothing is trained, tuned, selected
or stopped by these numbers.
"""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw

from sedic.codec import Codec
from sedic.errors import SedicError
from sedic.lab.bench.fidelity import gmsd, psnr
from sedic.lab.bench.lpips import LPIPS, NAME, weights_path
from sedic.lab.bench.rivals import Missing, find, sizes
from sedic.lab.train.photos import shared_folder
from sedic.picture import load_picture
from sedic.reference.compact import Compact
from sedic.semantics import (
    Rate,
)

BEFORE = "compact, before"
MOVED = "moved by a pixel"  # both pictures without their first row and column
HEVC = "x265, best size by PSNR"
LIMITS = (0.010, 0.020, 0.030, 0.045)

Coded = tuple[int, np.ndarray[Any, np.dtype[np.uint8]]]


def classic(picture: np.ndarray[Any, Any], kind: str, factor: int, limit: int) -> Coded | None:
    """The best quality of a Pillow codec at 1/factor size within ``limit`` bytes, if any."""
    height, width = picture.shape[:2]
    image = Image.fromarray(picture)
    small = image.resize((width // factor, height // factor), Image.Resampling.LANCZOS)
    best = None
    low, high = 0, 100
    while low < high:
        quality = (low + high) // 2
        buffer = io.BytesIO()
        extra = {"method": 6} if kind == "WEBP" else {"speed": 2, "subsampling": "4:2:0"}
        small.save(buffer, kind, quality=quality, **extra)
        if buffer.tell() <= limit:
            best, low = buffer.getvalue(), quality + 1
        else:
            high = quality
    if best is None:
        return None
    with Image.open(io.BytesIO(best)) as decoded:
        full = decoded.convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
    return len(best), np.asarray(full)


def compact(codec: Codec) -> Callable[[np.ndarray[Any, Any], int], Coded | None]:
    def run(picture: np.ndarray[Any, Any], limit: int) -> Coded | None:
        try:
            done = codec.compress(picture, Rate(limit, 0, 3, 0))
        except SedicError:
            return None
        return len(done.data), done.preview

    return run


def hevc(picture: np.ndarray[Any, Any], limit: int) -> Coded | None:
    """x265 at full, half or quarter size, whichever has the highest PSNR."""
    (coder,) = find(["HEVC"])
    if isinstance(coder, Missing):
        return None
    found = [coded for size in sizes(coder) for coded in size.code(picture, [limit]) if coded]
    best = max(found, key=lambda coded: psnr(coded.picture, picture), default=None)
    return None if best is None else (len(best.data), best.picture)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    parser.add_argument("--sheets", type=Path)
    parser.add_argument("--before", type=Path)
    arguments = parser.parse_args()
    shared = shared_folder()
    perceptual = LPIPS(weights_path(shared))
    reference = Compact()
    coders = {"compact": compact(Codec(reference=reference))}
    if arguments.before:
        coders[BEFORE] = compact(Codec(reference=Compact(arguments.before)))
    for kind in ("WEBP", "AVIF"):
        for factor in (4, 2):
            name = f"{kind} 1/{factor} size"
            coders[name] = lambda p, limit, k=kind, f=factor: classic(p, k, f, limit)
    coders[HEVC] = hevc
    stored = arguments.out / "reference_kodak.json"
    earlier = json.loads(stored.read_text())["rows"] if stored.is_file() else []
    if any(row["codec"] == BEFORE for row in earlier):
        coders.setdefault(BEFORE, lambda picture, limit: None)  # all its rows are there
    known = {
        (row["picture"], row["limit"], row["codec"]): row
        for row in earlier
        if row["codec"] != "compact" and not (row["codec"] == BEFORE and arguments.before)
    }
    rows: list[dict[str, Any]] = []
    for path in sorted((shared / "data" / "kodak").glob("*.png")):
        picture = load_picture(path)
        pixels = picture.shape[0] * picture.shape[1]
        panels = [("original", picture)]
        for limit in LIMITS:
            for name, run in coders.items():
                if (path.stem, limit, name) in known:
                    rows.append(known[path.stem, limit, name])
                    continue
                coded = run(picture, int(limit * pixels / 8))
                if coded is None:
                    rows.append({"picture": path.stem, "codec": name, "limit": limit})
                    continue
                size, decoded = coded
                pair = torch.from_numpy(np.stack([decoded, picture]))
                x, y = (pair.permute(0, 3, 1, 2).float() / 255).split(1)
                with torch.inference_mode():
                    distance = float(perceptual(x, y))
                    moved = float(perceptual(x[..., 1:, 1:], y[..., 1:, 1:]))
                row = {
                    "picture": path.stem,
                    "codec": name,
                    "limit": limit,
                    "bytes": size,
                    "bpp": 8 * size / pixels,
                    NAME: distance,
                    MOVED: moved,
                    "PSNR": psnr(decoded, picture),
                    "GMSD": gmsd(decoded, picture),
                }
                rows.append(row)
                panels.append((f"{name} {size} bytes {row['bpp']:.4f} bpp", decoded))
        print(path.stem, flush=True)
        if arguments.sheets:
            write_sheet(panels, arguments.sheets / f"{path.stem}.png")
    arguments.out.mkdir(parents=True, exist_ok=True)
    report = {
        "command": "python benchmarks/reference_kodak.py",
        "weights": reference.fingerprint.hex(),
        "rows": rows,
    }
    stored.write_text(json.dumps(report, indent=1) + "\n")
    table = summary(rows, list(coders)) + pictures(rows)
    (arguments.out / "reference_kodak.md").write_text(table)
    print(table)


def summary(rows: list[dict[str, Any]], coders: list[str]) -> str:
    lines = [
        "# The reference image alone: 24 Kodak pictures, true file bytes",
        "",
        "Means over the pictures of the largest file that is not above the limit;",
        "`python benchmarks/reference_kodak.py`. GMSD was in no loss. *Moved by a pixel* is LPIPS",
        "after both pictures have lost their first row and column: a mesh that pleases the network",
        "where it samples does not please it there. The last column counts the pictures on which a",
        "codec can go so low at all.",
        "",
        f"| limit bpp | codec | bpp | {NAME} | {MOVED} | PSNR dB | GMSD | pictures |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for limit in LIMITS:
        for name in coders:
            done = [r for r in rows if r["codec"] == name and r["limit"] == limit and "bytes" in r]
            if not done:
                lines.append(f"| {limit:.3f} | {name} | not reached | | | | | 0 |")
                continue
            mean = {k: np.mean([r[k] for r in done]) for k in ("bpp", NAME, MOVED, "PSNR", "GMSD")}
            lines.append(
                f"| {limit:.3f} | {name} | {mean['bpp']:.4f} | {mean[NAME]:.3f} |"
                f" {mean[MOVED]:.3f} | {mean['PSNR']:.2f} | {mean['GMSD']:.3f} | {len(done)} |"
            )
    return "\n".join(lines) + "\n"


def pictures(rows: list[dict[str, Any]]) -> str:
    """Every picture's distance at every limit, before and after."""
    found = {(r["picture"], r["limit"], r["codec"]): r.get(NAME) for r in rows}
    lines = [
        "",
        f"Every picture's {NAME}, before → after:",
        "",
        "| picture | " + " | ".join(f"{limit:.3f} bpp" for limit in LIMITS) + " |",
        "|" + "---|" * (len(LIMITS) + 1),
    ]
    for name in sorted({row["picture"] for row in rows}):
        pairs = [
            [found.get((name, limit, codec)) for codec in (BEFORE, "compact")] for limit in LIMITS
        ]
        cells = [" → ".join("–" if v is None else f"{v:.3f}" for v in pair) for pair in pairs]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def write_sheet(panels: list[tuple[str, Any]], path: Path) -> None:
    height, width = panels[0][1].shape[:2]
    columns = 3
    lines = -(-len(panels) // columns)
    sheet = Image.new("RGB", (columns * width, lines * (height + 20)), "white")
    draw = ImageDraw.Draw(sheet)
    for i, (caption, panel) in enumerate(panels):
        x, y = i % columns * width, i // columns * (height + 20)
        draw.text((x + 4, y + 4), caption, "black")
        sheet.paste(Image.fromarray(panel), (x, y + 20))
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)


if __name__ == "__main__":
    main()
