"""Pictures of a rate-distortion run, side by side: original, best classic codec, reference, ours.

    python benchmarks/gallery.py RESULTS.csv [--limit 0.03] [--out FOLDER]

RESULTS.csv is of ``sedic bench rd`` on Kodak. The best classic codec is chosen anew for every
picture: the smallest LPIPS-squeeze (Caffe) of all codecs and sizes at the bytes of our file. Writes
gallery-1.jpg and so on, six pictures each, and best-median-worst.jpg: our result's smallest, median
and largest distance.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sedic.cli.sheet import row
from sedic.lab.bench.datasets import open_dataset
from sedic.lab.bench.experiments.curves import OURS, REFERENCE
from sedic.lab.bench.experiments.subject import Subject, measured
from sedic.lab.bench.lpips import NAME
from sedic.lab.bench.results import read_results
from sedic.lab.bench.rivals import Missing, find, sizes
from sedic.picture import Picture

ROWS = 6  # of a sheet


def panels(subject: Subject, index: int, limit: float, rows: dict[str, Any]) -> Picture:
    """One picture's row, from its rows of the results by codec."""
    codec, picture = subject.codec, subject.dataset.samples[index].load()
    coders = [coder for coder in find(rows["rivals"]) if not isinstance(coder, Missing)]
    rivals = {rival.name: rival for coder in coders for rival in sizes(coder)}
    name = min((n for n in rivals if n in rows), key=lambda n: float(rows[n][NAME]))
    found = rows[name]
    coded = rivals[name].at(picture, int(found["quality"]))
    rate = subject.rate(picture, limit)
    data = codec.compress(picture, rate, subject.description(index)).data
    if len(data) != rows[OURS]["bytes"]:
        raise SystemExit(f"our file has {len(data)} bytes, not {rows[OURS]['bytes']}: run rd anew")

    def said(title: str, codec: str) -> str:
        values = rows[codec]
        return f"{title}: {values['bytes']:.0f} bytes, LPIPS {values[NAME]:.3f}"

    return row(
        [
            (picture, f"original, {picture.shape[1]}x{picture.shape[0]}"),
            (coded.picture, said(f"best classic codec, {name}", name)),
            (codec.preview(data), said("our reference image", REFERENCE)),
            (codec.decompress(data), said("ours", OURS)),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("--limit", default="0.03")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    table = read_results(given.results)
    out = given.out or given.results.parent
    out.mkdir(parents=True, exist_ok=True)
    subject, drawn, distances = Subject(open_dataset("kodak"), measured), [], []
    for index, sample in enumerate(subject.dataset):
        rows: dict[str, Any] = {
            str(r["codec"]): r
            for r in table.rows
            if (r["picture"], r["point"]) == (sample.name, given.limit) and not r["error"]
        }
        rows["rivals"] = list(table.facts["settings"]["rivals"])
        drawn.append(panels(subject, index, float(given.limit), rows))
        distances.append(float(rows[OURS][NAME]))
        print(sample.name, flush=True)
    for i in range(0, len(drawn), ROWS):
        save(drawn[i : i + ROWS], out / f"gallery-{i // ROWS + 1}.jpg")
    order = np.argsort(distances)
    chosen = (order[0], order[len(order) // 2], order[-1])
    save([drawn[i] for i in chosen], out / "best-median-worst.jpg")


def save(rows: list[Picture], path: Path) -> None:
    Image.fromarray(np.concatenate(rows)).save(path, quality=85, optimize=True)


if __name__ == "__main__":
    main()
