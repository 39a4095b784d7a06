"""Bytes per mask of each mask coder on the masks that the measured description finds on Kodak.

    python benchmarks/masks.py

Prints the figures, with the processor time per mask, and writes them to benchmarks/masks.json.
All masks of a picture go into one stream, as in a file. Needs the shared data (SEDIC_SHARED).
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np

from sedic.describe.measured import describe
from sedic.lab.train.photos import shared_folder
from sedic.parts import MASK_CODERS
from sedic.picture import load_picture
from sedic.profile import Profile
from sedic.semantics import Mask

PROFILE = Profile.load("mini")
LARGE = 1024  # cells each way: the grid of the largest picture


def measure(pictures: list[list[Mask]], coder: str) -> dict[str, float]:
    """Mean bytes and milliseconds (processor time) per mask, after checking the round trip."""
    count = sum(map(len, pictures))
    started = time.process_time()
    masks_coder = PROFILE.mask_coder(coder)
    streams = [masks_coder.encode(masks) for masks in pictures]
    encoded = time.process_time()
    for masks, data in zip(pictures, streams, strict=True):
        grid = masks[0].width, masks[0].height
        assert masks_coder.decode(data, *grid, len(masks)) == tuple(masks)
    decoded = time.process_time()
    return {
        "masks": count,
        "bytes per mask": round(sum(map(len, streams)) / count, 2),
        "largest stream": max(map(len, streams)),
        "ms to encode a mask": round(1000 * (encoded - started) / count, 1),
        "ms to decode a mask": round(1000 * (decoded - encoded) / count, 1),
    }


def large_mask() -> Mask:
    rows, columns = np.mgrid[-1 : 1 : LARGE * 1j, -1 : 1 : LARGE * 1j]
    radius = 0.5 + 0.1 * np.sin(5 * np.arctan2(rows, columns))
    return Mask.of(np.hypot(rows, columns) < radius)


def main() -> None:
    pictures = []
    for path in sorted((shared_folder() / "data" / "kodak").glob("*.png")):
        objects = describe(load_picture(path)).objects
        if objects:
            pictures.append([found.mask for found in objects])
    PROFILE.mask_coder("context").encode(pictures[0])  # loads what is loaded once
    results = {coder: measure(pictures, coder) for coder in MASK_CODERS.names}
    results[f"context, one mask on {LARGE}x{LARGE} cells"] = measure([[large_mask()]], "context")
    for name, figures in results.items():
        print(f"{name}: " + ", ".join(f"{value} {what}" for what, value in figures.items()))
    target = Path(__file__).with_suffix(".json")
    target.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
