"""Seconds and memory of everything a user waits for, on this machine.

    python benchmarks/speed.py        (make bench)

Each case runs in a process of its own, so that its peak memory is its own: load once, then the
median of several runs. Writes results.json and results.md. cheng2020 has random weights here
(N = 128): its time does not depend on what they are, but for the number of coded bytes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SIZES = {"768x512": (768, 512), "4 megapixels": (2464, 1632)}
RUNS = 3


def median(run: Callable[[], object], runs: int = RUNS) -> float:
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return round(statistics.median(seconds), 4)


def sample(width: int, height: int) -> Any:
    import numpy as np
    from PIL import Image
    from skimage.data import coffee

    return np.asarray(Image.fromarray(coffee()).resize((width, height), Image.Resampling.BICUBIC))


def whole_files(codec: str, width: int, height: int) -> dict[str, float]:
    """``compress`` (description, rate control, check by decoding), ``decompress``, ``preview``."""
    start = time.perf_counter()
    from sedic.codec import Codec
    from sedic.rate import rate_for
    from sedic.reference import load
    from sedic.semantics import Rate

    if codec == "cheng2020":
        from cheng2020 import random_network

        from sedic.reference.cheng2020 import Cheng2020

        reference: Any = Cheng2020([random_network()])
        rate = rate_for(width, height, bpp=8)
    else:
        reference = load(codec, None)
        rate = rate_for(width, height, bpp=0.03)
    coder = Codec(reference=reference)
    picture = sample(width, height)
    done = coder.compress(picture, rate)
    loaded = time.perf_counter() - start
    encode = reference.prepare(picture)
    level = done.choice.level
    start = time.perf_counter()
    coder.decompress(done.data)
    restored = time.perf_counter() - start
    by_objects = {}
    for objects in (0, 1, 3):
        some = Rate(rate.max_bytes, objects, rate.detail_words, rate.overall_words)
        data = coder.compress(picture, some).data
        by_objects[f"decompress, J = {objects}"] = median(lambda d=data: coder.decompress(d))
    return {
        "load and first compress": round(loaded, 3),
        "load the restorer and first decompress": round(restored, 3),
        "compress": median(lambda: coder.compress(picture, rate)),
        "preview": median(lambda: coder.preview(done.data)),
        **by_objects,
        "reference encode": median(lambda: reference.prepare(picture)(level)),
        "of which one more level": median(lambda: encode(level)),
        "reference decode": median(lambda: reference.decode(done.choice.reference, width, height)),
        "bytes": len(done.data),
    }


def coders() -> dict[str, float]:
    """Text and mask coders on what the measured description finds in a sample, 768x512."""
    from sedic.coding.masks import decode_masks, encode_masks
    from sedic.coding.text import decode_text, encode_text
    from sedic.describe.measured import describe

    picture = sample(768, 512)
    said = describe(picture)
    masks = [found.mask for found in said.objects]
    results: dict[str, float] = {"describe": median(lambda: describe(picture))}
    for name in ("primed", "huffman"):
        data = encode_text(said.text, name)
        results[f"text {name}: bytes"] = len(data)
        results[f"text {name}: encode"] = median(lambda n=name: encode_text(said.text, n), 9)
        results[f"text {name}: decode"] = median(lambda d=data, n=name: decode_text(d, n, 9999), 9)
    for name in ("context", "runlength", "jbig2"):
        data = encode_masks(masks, name)
        results[f"{len(masks)} masks {name}: bytes"] = len(data)
        results[f"masks {name}: encode"] = median(lambda n=name: encode_masks(masks, n))
        results[f"masks {name}: decode"] = median(
            lambda d=data, n=name: decode_masks(d, 96, 64, len(masks), n)
        )
    return results


def started(*command: str) -> float:
    return median(lambda: subprocess.run(command, check=True, capture_output=True), 5)


def child(case: list[str]) -> dict[str, float]:
    code = [sys.executable, __file__, "--case", *case]
    done = subprocess.run(code, check=True, capture_output=True, text=True, cwd=HERE)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":")[1].strip()
    return platform.processor() or platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        name, *size = arguments.case
        result = whole_files(name, *map(int, size)) if size else coders()
        result["peak MB"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        print(json.dumps(result))
        return
    import torch

    program = [sys.executable, "-c"]
    results: dict[str, dict[str, float]] = {
        "start": {
            "python alone": started(*program, "pass"),
            "import sedic": started(*program, "import sedic"),
            "sedic --help": started(
                *program,
                "import sys; sys.argv[1:] = ['--help']\nfrom sedic.cli.main import main; main()",
            ),
        },
        "coders": child(["coders"]),
    }
    for codec in ("compact", "cheng2020"):
        for label, (width, height) in SIZES.items():
            results[f"{codec}, {label}"] = child([codec, str(width), str(height)])
            print(codec, label, results[f"{codec}, {label}"], flush=True)
    report = {
        "command": "python benchmarks/speed.py",
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "torch": torch.__version__,
        "load before": round(os.getloadavg()[0], 2),
        "seconds": results,
    }
    (HERE / "results.json").write_text(json.dumps(report, indent=1) + "\n")
    lines = [
        "# Seconds and memory",
        "",
        f"`make bench` on {report['cores']} cores of {report['cpu']}, torch {report['torch']}.",
        "Seconds, but for bytes and megabytes; medians. `compress` is everything: description,",
        "rate control (several levels are tried), coding, and decoding its own bytes.",
        "",
    ]
    for title, figures in results.items():
        lines += [f"## {title}", "", "| | |", "|---|---|"]
        lines += [f"| {name} | {value} |" for name, value in figures.items()] + [""]
    (HERE / "results.md").write_text("\n".join(lines))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
