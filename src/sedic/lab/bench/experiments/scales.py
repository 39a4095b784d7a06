"""Which scale a reference image should have at how many bytes, learned on held-out photographs.

``python -m sedic.lab.bench.experiments.scales RESULTS.json 768x512 6`` codes six photographs of
that size at four scales and some levels, and measures each by LPIPS-squeeze (Caffe), moved by a
pixel, after enlarging; results add up in the file. Then it prints, for a few rules, how much worse
they choose than who knew every result: a rule is the lowest level at which each scale is used
(``Compact.scale_floors``).
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sedic.coding.scale import coded_size
from sedic.errors import MissingWeightsError
from sedic.lab.bench.metrics import Unavailable, load_metric
from sedic.lab.train.photos import find_photographs, shared_folder
from sedic.picture import Picture, load_picture, resized
from sedic.profile import Profile

SCALES = 4
LEVELS = (0, 30, 66, 100)
RATES = (0.0014, 0.002, 0.0026, 0.0032, 0.0045, 0.0069, 0.0104, 0.013)  # bits per pixel
FLOORS = (0, 6, 12, 18, 24, 36, 48, 60, 84)
METRIC = "LPIPS-squeeze (Caffe) moved"

Row = tuple[str, int, int, int, int, float]  # size, picture, scale, level, bytes, distance
Curve = list[tuple[int, int, float]]  # bytes, level, distance


def photographs(width: int, height: int, count: int) -> list[Picture]:
    """Held-out photographs, cut to this size or, if upright, to the same turned by a quarter."""
    pictures = []
    for path in find_photographs([shared_folder() / "data" / "photos"], held_out=True):
        image = Image.fromarray(load_picture(path))
        size = (width, height) if image.width >= image.height else (height, width)
        factor = max(size[0] / image.width, size[1] / image.height)
        if factor > 1.25:
            continue
        larger = [
            max(side, round(whole * factor)) for side, whole in zip(size, image.size, strict=True)
        ]
        image = image.resize((larger[0], larger[1]), Image.Resampling.LANCZOS)
        left, top = (image.width - size[0]) // 2, (image.height - size[1]) // 2
        pictures.append(np.array(image.crop((left, top, left + size[0], top + size[1]))))
    return pictures[:count]


def measure(width: int, height: int, count: int) -> Iterator[Row]:
    """Every photograph at every scale and level."""
    codec = Profile.load("mini").reference_codec()
    metric = load_metric(METRIC)
    if isinstance(metric, Unavailable):
        raise MissingWeightsError(f"{METRIC}: {metric.reason}")
    for number, picture in enumerate(photographs(width, height, count)):
        rows, columns = picture.shape[:2]
        for scale in range(SCALES):
            size = coded_size(columns, rows, scale)
            encode = codec.prepare(resized(picture, *size))
            for level in LEVELS:
                data = encode(level)
                decoded = resized(codec.decode(data, *size), columns, rows)
                distance = metric.measure(decoded, picture, "")
                yield f"{width}x{height}", number, scale, level, len(data), round(distance, 4)


def curves(rows: Sequence[Row]) -> Iterator[tuple[int, dict[int, Curve]]]:
    """For every photograph its pixels and, by scale, its results by rising bytes."""
    for (size, _), group in itertools.groupby(sorted(rows), key=lambda row: row[:2]):
        width, height = map(int, size.split("x"))
        points: dict[int, Curve] = {}
        for _, _, scale, level, size_in_bytes, distance in group:
            points.setdefault(scale, []).append((size_in_bytes, level, distance))
        yield width * height, {scale: sorted(curve) for scale, curve in points.items()}


def regret(rows: Sequence[Row], floors: Sequence[int]) -> tuple[float, float]:
    """How much worse, on average and at most, a rule chooses than the best scale."""
    losses = []
    for pixels, curve in curves(rows):
        for rate in RATES:
            size = rate * pixels / 8
            available = {
                scale: _at(points, size)
                for scale, points in curve.items()
                if points[0][0] <= size <= 1.2 * points[-1][0]
            }
            if not available:
                continue
            smallest = max(available)
            choice = next(
                scale
                for scale in sorted(available)
                if scale == smallest or available[scale][0] >= (*floors, *[0] * SCALES)[scale]
            )
            losses.append(
                available[choice][1] - min(distance for _, distance in available.values())
            )
    return float(np.mean(losses)), float(np.max(losses))


def _at(points: Curve, size: float) -> tuple[float, float]:
    """Level and distance at a number of bytes, interpolated in its logarithm."""
    x = np.log([point[0] for point in points])
    level, distance = (
        float(np.interp(np.log(size), x, [point[k] for point in points])) for k in (1, 2)
    )
    return level, distance


def main() -> None:
    """Measure, if a size is given, and print the best rules."""
    path = Path(sys.argv[1])
    empty: dict[str, Any] = {"what": "", "rows": []}
    results = json.loads(path.read_text()) if path.is_file() else empty
    if len(sys.argv) > 2:
        width, height = map(int, sys.argv[2].split("x"))
        results["what"] = f"size, picture, scale, level, bytes, {METRIC}"
        results["rows"] += list(measure(width, height, int(sys.argv[3])))
        path.write_text(json.dumps(results, separators=(",", ":")))
    rows = [tuple(row) for row in results["rows"]]
    rules = {floors: regret(rows, floors) for floors in itertools.product(FLOORS, repeat=2)}
    for floors in sorted(rules, key=lambda floors: rules[floors][0])[:12]:
        print(floors, "mean {:.4f}, largest {:.4f}".format(*rules[floors]))


if __name__ == "__main__":
    main()
