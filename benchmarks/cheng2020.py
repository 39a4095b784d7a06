"""Seconds that cheng2020-attn takes for one 768x512 picture, N = 128, on this machine.

    python benchmarks/cheng2020.py [--threads N] [--checkpoint FILE] [--picture FILE]

Prints the figures and writes them to benchmarks/cheng2020.json. Without a checkpoint the weights
are random, with latents of a few units (60 kB: more than any real file).

For comparison CompressAI 1.2.8, its default random weights, same weights here (8,992 bytes there,
8,990 here): on the machine of cheng2020.json (two cores with AVX512-BF16, no AMX) it took 1.8 s to
compress and 4.0 s to decompress, this 0.46 and 0.47 to 0.54: 7.5 to 8.5 times faster, not the ten
aimed at. g_s alone, all of it convolutions at this machine's peak, is 0.25 s of that; the entropy
path is 0.22 (matrix products in place of 1x1 convolutions and in-place rounding were tried: no
gain). On a two-core machine with AMX CompressAI took 8.5 to 10 s and 14.5 to 19 s.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np
import torch

from sedic.models.precision import picture_dtype
from sedic.picture import load_picture
from sedic.reference.cheng2020 import Cheng2020
from sedic.reference.cheng2020_network import Cheng2020Attention

WIDTH, HEIGHT, CHANNELS, REPEATS = 768, 512, 128, 5


def random_network() -> Cheng2020Attention:
    """Initial weights, amplified so that the latents have a standard deviation near one."""
    torch.manual_seed(0)
    network = Cheng2020Attention(CHANNELS).eval().requires_grad_(False)
    y = network.g_a(torch.rand(1, 3, 128, 128))
    for name in ("weight", "bias"):
        getattr(network.g_a[7], name).mul_(1 / y.std())
    network.entropy_parameters[4].bias[:CHANNELS] += 1.0  # scales near one
    return network


def medians(codec: Cheng2020, picture: np.ndarray) -> dict[str, dict[str, float]]:
    """Wall and processor seconds of each step: what other programs take shows in the first only."""
    height, width = picture.shape[:2]
    payload = codec.prepare(picture)(0)
    codec.decode(payload, width, height)  # what is built once is built now
    steps = {
        "compress": lambda: codec.prepare(picture)(0),
        "decompress": lambda: codec.decode(payload, width, height),
        "of which entropy path": lambda: codec._levels[0]._entropy.decode(
            payload[1:], -(-height // 64), -(-width // 64)
        ),
    }
    results = {}
    for name, step in steps.items():
        times = []
        for _ in range(REPEATS):
            start = time.perf_counter(), time.process_time()
            step()
            times.append((time.perf_counter() - start[0], time.process_time() - start[1]))
        wall, processor = np.median(times, axis=0).round(3).tolist()
        results[name] = {"wall": wall, "processor": processor}
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--picture", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.picture:
        picture = load_picture(arguments.picture)
    else:
        from skimage.data import astronaut

        picture = np.tile(astronaut(), (1, 2, 1))[:HEIGHT, :WIDTH]
    network = arguments.checkpoint or random_network()
    results = {
        "command": shlex.join(["python", *sys.argv]),
        "machine": platform.processor() or platform.machine(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
        "threads": arguments.threads,
        "load_average": round(os.getloadavg()[0], 2),
        "size": [picture.shape[1], picture.shape[0]],
        "default_dtype": str(picture_dtype()),
        "seconds": {
            str(dtype): medians(Cheng2020([network], dtype), picture)
            for dtype in (torch.float32, torch.bfloat16)
        },
    }
    text = json.dumps(results, indent=2)
    Path(__file__).with_suffix(".json").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
