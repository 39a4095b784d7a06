"""The cost of large pictures, size by size: memory, and CPU seconds of one thread a megapixel.

Every size runs in a process of its own, so that its peak memory is its own. A picture is a
photograph scaled to the size; the first, small run in each process, which loads everything, does
not count.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sedic.errors import SedicError

if TYPE_CHECKING:
    from sedic.picture import Picture

SIZES = ((768, 512), (1224, 816), (2448, 1632), (4248, 2832))  # 0.4, 1, 4 and 12 megapixels
PARTS = ("compress", "preview", "decompress")
MAX_PRICE = 1.25  # times the price at the first size
_SECONDS = 1800  # of the largest picture


@dataclass(frozen=True)
class Cost:
    """CPU seconds of each of ``PARTS`` at one size, and the process's peak memory in GiB."""

    width: int
    height: int
    seconds: dict[str, float]
    memory: float

    def price(self, part: str) -> float:
        """CPU seconds a megapixel."""
        return self.seconds[part] / (self.width * self.height / 1e6)


def measure(
    photo: Path, bpp: float, sizes: Sequence[tuple[int, int]], parts: Sequence[str] = PARTS
) -> Iterator[Cost]:
    """The cost of each size, as it is known; of the first of ``PARTS`` alone if there are fewer
    ``parts``. ``SedicError`` where a process fails."""
    threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    for width, height in sizes:
        arguments = [sys.executable, "-m", __spec__.name, str(photo), str(bpp)]
        try:
            done = subprocess.run(
                [*arguments, str(width), str(height), str(len(parts))],
                capture_output=True,
                timeout=_SECONDS,
                env={**os.environ, **threads},
            )
        except subprocess.TimeoutExpired as error:
            raise SedicError(f"{width}x{height} took more than {_SECONDS} s") from error
        if done.returncode:
            last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
            raise SedicError(f"{width}x{height} failed: {' '.join(last) or 'without a word'}")
        facts = json.loads(done.stdout)
        yield Cost(width, height, facts["seconds"], facts["memory"])


def table(costs: Sequence[Cost]) -> str:
    """The costs as a Markdown table, with each price over that of the first size."""
    parts = list(costs[0].seconds)
    head = " | ".join(f"{part}, s | a megapixel" for part in parts)
    lines = [f"| picture | megapixels | {head} | peak GiB |", "|---" * (2 * len(parts) + 3) + "|"]
    for cost in costs:
        cells = []
        for part in parts:
            price = cost.price(part)
            times = price / costs[0].price(part)
            mark = "" if times <= MAX_PRICE else " (too dear)"
            cells.append(f"{cost.seconds[part]:.2f} | {price:.2f}, {times:.2f} times{mark}")
        size = f"{cost.width}×{cost.height}"
        megapixels = cost.width * cost.height / 1e6
        lines.append(f"| {size} | {megapixels:.2f} | {' | '.join(cells)} | {cost.memory:.2f} |")
    return "\n".join(lines) + "\n"


def one(picture: Picture, bpp: float, parts: int = len(PARTS)) -> dict[str, float]:
    """CPU seconds of the first ``parts`` of ``PARTS`` for a picture, with measured words."""
    from sedic import Decoder, Encoder, Profile
    from sedic.describe.description import Description
    from sedic.lab.bench.experiments.subject import measured
    from sedic.picture import resized
    from sedic.rate import rate_for

    profile = Profile.load("mini")
    encoder, decoder = Encoder(profile), Decoder(profile)
    seconds: dict[str, float] = {}
    for scaled, counts in ((resized(picture, 192, 128), False), (picture, True)):
        height, width = scaled.shape[:2]
        rate = rate_for(width, height, bpp=bpp, profile=profile)
        words = measured(scaled, "", lambda _: None) if counts else Description("a picture")
        times = [time.process_time()]
        data = encoder.compress(scaled, rate, words).data
        times.append(time.process_time())
        for decode in (decoder.preview, decoder.decompress)[: parts - 1]:
            decode(data)
            times.append(time.process_time())
        steps = zip(PARTS, times, times[1:], strict=False)
        seconds = {part: after - before for part, before, after in steps}
    return seconds


def main() -> None:
    """One size, in this process: photo, bits per pixel, width, height, number of parts."""
    import resource

    from sedic.picture import load_picture, resized

    photo, bpp, width, height, parts = sys.argv[1:]
    picture = resized(load_picture(Path(photo)), int(width), int(height))
    seconds = one(picture, float(bpp), int(parts))
    unit = 1 if sys.platform == "darwin" else 1024
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30
    print(json.dumps({"seconds": seconds, "memory": memory}))


if __name__ == "__main__":
    main()
