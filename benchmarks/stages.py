"""What the decoder's stages are worth: J = 0 to 3 objects at equal total bytes.

    python benchmarks/stages.py [--folder PICTURES] [--bpp 0.02 0.03 0.05] [--objects 0 1 2 3]
                                [--setting name=value ...] [--out benchmarks] [--sheets DIR]

Every picture of the folder (default: the 24 Kodak pictures) is coded in at most so many bits per
pixel, everything counted, with so many objects at most; then decoded in full. Of each file: its
bytes, and LPIPS-squeeze (Caffe), PSNR and GMSD of its reference image and of the result; GMSD was
in no loss. Writes stages.json and stages.md. Kodak is only reported on: nothing is trained, tuned,
selected or stopped by these numbers.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from sedic.analysis import Description
from sedic.analysis.measure import describe
from sedic.apps.compress import settings_from
from sedic.codec import Codec
from sedic.evaluation.fidelity import gmsd, psnr
from sedic.evaluation.lpips import LPIPS, NAME, weights_path
from sedic.picture import load_picture
from sedic.semantics import Rate, SedicError
from sedic.training.card import machine
from sedic.training.photos import shared_folder

Picture = np.ndarray[Any, np.dtype[np.uint8]]


class Judge:
    """The three figures of a decoded picture."""

    def __init__(self) -> None:
        self._perceptual = LPIPS(weights_path(shared_folder()))

    def __call__(self, found: Picture, original: Picture) -> dict[str, float]:
        a, b = (torch.from_numpy(p).permute(2, 0, 1)[None].float() / 255 for p in (found, original))
        with torch.inference_mode():
            lpips = float(self._perceptual(a, b))
        return {"lpips": lpips, "psnr": psnr(found, original), "gmsd": gmsd(found, original)}


def measure(
    codec: Codec,
    judge: Judge,
    picture: Picture,
    said: Description,
    rate: Rate,
    settings: dict[str, Any],
) -> tuple[dict[str, Any], list[Picture]]:
    """The row of one file, and its pictures: the reference and the result."""
    done = codec.compress(picture, rate, said, settings=settings)
    *_, last = codec.stages(done.data)
    height, width = picture.shape[:2]
    row = {
        "bytes": len(done.data),
        "bpp": 8 * len(done.data) / (width * height),
        "objects": len(done.image.objects),
        "reference": judge(done.preview, picture),
        "result": judge(last.picture, picture),
    }
    return row, [done.preview, last.picture]


def paths(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix == ".png")


def one_picture(
    task: tuple[Path, list[float], list[int], dict[str, Any], Path | None],
) -> list[dict[str, Any]]:
    """The rows of one picture."""
    path, limits, counts, settings, sheets = task
    torch.set_num_threads(1)
    codec, judge = Codec(), Judge()
    picture = load_picture(path)
    height, width = picture.shape[:2]
    rows = []
    for limit in limits:
        full = Rate.of_bpp(limit, width, height)
        for most in counts:
            rate = Rate(full.max_bytes, most, full.detail_words, full.overall_words)
            said = describe(picture, most, full.detail_words, full.overall_words)
            row: dict[str, Any] = {"picture": path.stem, "limit": limit, "most": most}
            try:
                found, shown = measure(codec, judge, picture, said, rate, settings)
                row |= found
                if sheets:
                    sheets.mkdir(parents=True, exist_ok=True)
                    name = f"{path.stem}-{limit:.3f}-J{most}.png"
                    Image.fromarray(np.hstack([picture, *shown])).save(sheets / name)
            except SedicError as error:
                row["error"] = str(error)
            rows.append(row)
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """Means over the pictures of each limit and number of objects."""
    lines = [
        f"| bpp ≤ | J ≤ | bpp | J | {NAME}: reference | result | better | PSNR: reference | result"
        " | GMSD: reference | result | better |",
        "|" + "---|" * 12,
    ]
    for limit, most in sorted({(row["limit"], row["most"]) for row in rows}):
        own = [r for r in rows if (r["limit"], r["most"]) == (limit, most) and "bytes" in r]
        if not own:
            continue
        mean = {
            f"{side} {figure}": np.mean([row[side][figure] for row in own])
            for side in ("reference", "result")
            for figure in ("lpips", "psnr", "gmsd")
        }
        better = {
            figure: sum(row["result"][figure] < row["reference"][figure] for row in own)
            for figure in ("lpips", "gmsd")
        }
        of = len(own)
        lines.append(
            f"| {limit:.3f} | {most} | {np.mean([r['bpp'] for r in own]):.4f}"
            f" | {np.mean([r['objects'] for r in own]):.2f}"
            f" | {mean['reference lpips']:.4f} | {mean['result lpips']:.4f}"
            f" | {better['lpips']} of {of}"
            f" | {mean['reference psnr']:.2f} | {mean['result psnr']:.2f}"
            f" | {mean['reference gmsd']:.4f} | {mean['result gmsd']:.4f}"
            f" | {better['gmsd']} of {of} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--bpp", type=float, nargs="+", default=[0.02, 0.03, 0.05])
    parser.add_argument("--objects", type=int, nargs="+", default=[0, 1, 2, 3])
    parser.add_argument("--setting", action="append", default=[])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    parser.add_argument("--sheets", type=Path)
    given = parser.parse_args()
    folder = given.folder or shared_folder() / "data" / "kodak"
    settings = settings_from(given.setting)
    tasks = [(path, given.bpp, given.objects, settings, given.sheets) for path in paths(folder)]
    rows: list[dict[str, Any]] = []
    # One picture a core, each on one thread: twice as fast as one picture on all.
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        for found in pool.map(one_picture, tasks):
            rows += found
            print(found[0]["picture"], flush=True)
    command = shlex.join(["python", "benchmarks/stages.py", *sys.argv[1:]])
    facts = {"command": command, "machine": machine(), "settings": settings}
    (given.out / "stages.json").write_text(json.dumps(facts | {"rows": rows}, indent=1))
    text = f"# What the stages are worth\n\n`{command}` on {machine()}.\n\n{table(rows)}\n"
    (given.out / "stages.md").write_text(text)
    print(table(rows))


if __name__ == "__main__":
    main()
