"""Files of one radio packet: ours beside WebP and AVIF thumbnails, and beginnings of files.

    python benchmarks/small.py measure 4    # so many held-out photographs; writes small.json
    python benchmarks/small.py              # writes small.md from it

A thumbnail is the best, by the same measure, of seven scales from 1/6 to 1/48, each at the highest
of eight qualities that fits; it is enlarged by the filter that our decoder uses. Ours is the
reference image alone (``--preview``).
"""

from __future__ import annotations

import io
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sedic import Decoder, Encoder, Profile
from sedic.lab.bench.experiments.scales import photographs
from sedic.lab.bench.metrics import Metric, load_metric
from sedic.picture import Picture, resized
from sedic.rate import rate_for

HERE = Path(__file__).parent
LIMITS = (64, 100, 157, 222, 340, 512, 1024)
SHARES = (0.15, 0.3, 0.5, 0.7, 0.85, 0.95, 1.0)
SCALES = (6, 8, 12, 16, 24, 32, 48)
QUALITIES = (80, 60, 45, 30, 20, 10, 5, 0)
METRIC = "LPIPS-squeeze (Caffe) moved"


def thumbnail(picture: Picture, limit: int, kind: str, metric: Metric) -> float | None:
    """The distance of the best thumbnail of at most ``limit`` bytes; None if none is so small."""
    height, width = picture.shape[:2]
    effort = {"method": 6} if kind == "WEBP" else {"speed": 4}
    found = []
    for scale in SCALES:
        small = Image.fromarray(resized(picture, round(width / scale), round(height / scale)))
        for quality in QUALITIES:
            file = io.BytesIO()
            small.save(file, kind, quality=quality, **effort)
            if file.tell() <= limit:
                with Image.open(file) as image:
                    seen = resized(np.array(image.convert("RGB")), width, height)
                found.append(metric.measure(seen, picture, ""))
                break
    return min(found, default=None)


def measure(count: int) -> None:
    """Measure so many photographs; results are written as they come."""
    profile = Profile.load("mini")
    encoder, decoder = Encoder(profile), Decoder(profile)
    metric = load_metric(METRIC)
    assert isinstance(metric, Metric), metric
    results: dict[str, list[list[Any]]] = {"partial": [], "small": []}
    for number, picture in enumerate(photographs(768, 512, count)):
        height, width = picture.shape[:2]
        whole = encoder.compress(picture, rate_for(width, height, max_bytes=600, profile=profile))
        for share in SHARES:
            part = decoder.partial(whole.data[: int(share * len(whole.data))], restored=False)
            assert part.picture is not None
            away = metric.measure(part.picture, picture, "")
            results["partial"].append([number, share, part.reference_bytes, away])
        for limit in LIMITS:
            started = time.process_time()
            rate = rate_for(width, height, max_bytes=limit, profile=profile)
            done = encoder.compress(picture, rate)
            seconds = time.process_time() - started
            away = metric.measure(done.preview, picture, "")
            rivals = [thumbnail(picture, limit, kind, metric) for kind in ("WEBP", "AVIF")]
            row = [number, limit, len(done.data), done.choice.scale, away, seconds, *rivals]
            results["small"].append(row)
            (HERE / "small.json").write_text(json.dumps(results, indent=1))


def report() -> str:
    """The page."""
    results = json.loads((HERE / "small.json").read_text())
    small, partial = results["small"], results["partial"]
    pictures = len({row[0] for row in small})
    lines = [
        "# Files of one radio packet",
        "",
        f"{pictures} held-out photographs of 768×512, {METRIC} (lower is better), mean.",
        "Made by `benchmarks/small.py`, which says what a thumbnail is. Ours is the reference",
        "image alone. A dash: not every picture fits.",
        "",
        "| at most | ours | bytes | scale | WebP thumbnail | AVIF thumbnail |",
        "|---|---|---|---|---|---|",
    ]
    for limit in LIMITS:
        rows = [row for row in small if row[1] == limit]
        if not rows:
            continue
        ours, size = (np.mean([row[k] for row in rows]) for k in (4, 2))
        scales = sorted({row[3] for row in rows})
        rivals = [
            "—" if any(row[k] is None for row in rows) else f"{np.mean([r[k] for r in rows]):.3f}"
            for k in (6, 7)
        ]
        lines.append(
            f"| {limit} | {ours:.3f} | {size:.0f} | {', '.join(map(str, scales))} |"
            f" {rivals[0]} | {rivals[1]} |"
        )
    known = len({row[0] for row in partial})
    lines += [
        "",
        "`scale` is the number in the file: 0 full size, 1 three quarters, 2 a half, 3 three",
        "eighths, 4 a quarter.",
        "",
        "## The beginning of a file",
        "",
        f"Files of at most 600 bytes of {known} photographs, of which the first bytes arrived.",
        "",
        "| share of the bytes | bytes of the reference image | LPIPS-squeeze (Caffe) moved |",
        "|---|---|---|",
    ]
    for share in SHARES:
        rows = [row for row in partial if row[1] == share]
        size, away = (np.mean([row[k] for row in rows]) for k in (2, 3))
        lines.append(f"| {share:.0%} | {size:.0f} | {away:.3f} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    if len(sys.argv) > 2:
        measure(int(sys.argv[2]))
    (HERE / "small.md").write_text(report())
