"""How much of a limit files use, and how far the reference codec's highest level reaches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import TYPE_CHECKING

from sedic.rate import rate_for

if TYPE_CHECKING:
    from sedic.lab.bench.experiments.subject import Subject

LIMITS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.08)  # bits per pixel
LEAST_USE = 0.985  # of the bytes that a file may have, on average
LEAST_TOP = 0.08  # bits per pixel of the highest level


@dataclass(frozen=True)
class Use:
    """One picture. ``used``: for each limit in bits per pixel the bytes of the file and those that
    it may have; ``top``: bits per pixel of the reference image at the highest level."""

    picture: str
    used: dict[float, tuple[int, int]]
    top: float


def measure(subject: Subject, limits: Sequence[float] = LIMITS) -> Iterator[Use]:
    """The use of every picture of the subject's dataset."""
    codec = subject.profile.reference_codec()
    for index, sample in enumerate(subject.dataset):
        picture = sample.load()
        height, width = picture.shape[:2]
        used = {}
        for limit in limits:
            rate = rate_for(width, height, bpp=limit, profile=subject.profile)
            done = subject.encoder.compress(picture, rate, subject.description(index))
            used[limit] = len(done.data), rate.max_bytes
        top = 8 * len(codec.prepare(picture)(codec.levels - 1)) / (width * height)
        yield Use(sample.name, used, top)


def table(uses: Sequence[Use]) -> str:
    """Markdown: a row for each limit, and one line about the highest level."""
    lines = ["| bpp at most | mean use | least use | files above |", "|---|---|---|---|"]
    for limit in uses[0].used:
        pairs = [one.used[limit] for one in uses]
        shares = [size / allowed for size, allowed in pairs]
        above = sum(size > allowed for size, allowed in pairs)
        mark = "" if mean(shares) >= LEAST_USE else f" (below {LEAST_USE:.1%})"
        lines.append(f"| {limit:g} | {mean(shares):.2%}{mark} | {min(shares):.2%} | {above} |")
    lowest = min(uses, key=lambda one: one.top)
    lines += [
        "",
        f"{len(uses)} pictures. The highest level takes {lowest.top:.4f} bpp or more"
        f" ({lowest.picture}); wanted: {LEAST_TOP}.",
    ]
    return "\n".join(lines) + "\n"
