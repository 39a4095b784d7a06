"""Where the time goes (SEDIC, Table 2): every part of encoder and decoder, apart and in total.

Seconds of wall time on whatever this machine is; the first round warms up and does not count.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import median, quantiles
from time import perf_counter
from typing import TYPE_CHECKING

from sedic.coding.container import Container, repack
from sedic.decoder import Decoder
from sedic.encoder import Compressed, Encoder
from sedic.errors import MissingWeightsError
from sedic.lab.bench.experiments.subject import Subject
from sedic.profile import Profile

if TYPE_CHECKING:
    from sedic.picture import Picture

ENCODING, DECODING = "encoding, in total", "decoding, in total"


@dataclass
class Timing:
    """Seconds of one part, a round each."""

    seconds: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return median(self.seconds)

    @property
    def quartiles(self) -> tuple[float, float]:
        """The lower and the upper quartile; of fewer than four rounds, minimum and maximum."""
        if len(self.seconds) < 4:
            return min(self.seconds), max(self.seconds)
        low, _, high = quantiles(self.seconds, n=4)
        return low, high


class Stopwatch:
    """Times parts by name, in the order in which they first came."""

    def __init__(self, device: str) -> None:
        self.parts: dict[str, Timing] = {}
        self._device = device

    def lap(self, name: str, start: float) -> float:
        """Add the seconds since ``start`` to the part ``name``; returns the time now."""
        if self._device == "cuda":  # which returns before it is done
            import torch

            torch.cuda.synchronize()
        now = perf_counter()
        self.parts.setdefault(name, Timing()).seconds.append(now - start)
        return now


@dataclass(frozen=True)
class Speed:
    """The times of one picture on one device, and the most memory that the process had by then."""

    device: str
    width: int
    height: int
    size: int
    parts: dict[str, Timing]
    memory: float | None  # GiB, of the process since it began
    device_memory: float | None  # GiB, of a CUDA device


def measure(
    subject: Subject, index: int, limit: float, rounds: int, device: str
) -> Iterator[Speed]:
    """``Speed`` after every round but the first, which warms up; the last one is of all ``rounds``.

    ``device``: cpu or cuda. ``SedicError`` where it is not here, or the picture cannot be coded.
    """
    sample = subject.dataset.samples[index]
    picture = sample.load()
    profile = _profile(subject.profile, device)
    watch = Stopwatch(device)
    for number in range(rounds + 1):
        if number == 1:
            watch.parts.clear()
        size = _round(subject, profile, picture, sample.name, limit, watch)
        if number:
            height, width = picture.shape[:2]
            yield Speed(device, width, height, size, watch.parts, _memory(), _on_device(device))


def _round(
    subject: Subject, profile: Profile, picture: Picture, name: str, limit: float, watch: Stopwatch
) -> int:
    """Encode and decode once; returns the number of bytes of the file."""
    start = lap_start = perf_counter()
    part = "describing"

    def say(what: str) -> None:
        nonlocal lap_start, part
        if what != part:
            lap_start, part = watch.lap(part, lap_start), what

    description = subject.describe(picture, name, say)
    lap_start = watch.lap(part, lap_start)
    compressed = Encoder(profile).compress(
        picture,
        subject.rate(picture, limit),
        description,
        method=subject.method,
        seed=subject.seed,
        settings=subject.settings,
    )
    watch.lap("reference image, rate control, coders and a decoder's check", lap_start)
    watch.lap(ENCODING, start)
    start = lap_start = perf_counter()
    for stage in Decoder(profile).stages(compressed.data):
        part = f"stage {stage.number} of {stage.count}: {stage.title}"
        if stage.number == 0:
            part = "reference image and words, decoded"
        elif stage.number < stage.count:  # which object it is differs from picture to picture
            part = f"stage {stage.number}: an object"
        lap_start = watch.lap(part, lap_start)
    watch.lap(DECODING, start)
    _apart(profile, compressed, picture, watch)
    return len(compressed.data)


def _apart(profile: Profile, compressed: Compressed, picture: Picture, watch: Stopwatch) -> None:
    """Time parts of encoding on their own."""
    reference = profile.reference_codec()
    lap_start = perf_counter()
    encode = reference.prepare(picture)
    lap_start = watch.lap("apart: reference codec, its networks", lap_start)
    encode(compressed.choice.level)
    lap_start = watch.lap("apart: reference codec, coding at one level", lap_start)
    container = Container.parse(compressed.data)
    image = container.unpack(profile)
    lap_start = watch.lap("apart: words and masks, decoding", lap_start)
    repack(container, image, profile).to_bytes()
    watch.lap("apart: words and masks, coding", lap_start)


def _profile(profile: Profile, device: str) -> Profile:
    """The same profile with its networks on ``device``."""
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise MissingWeightsError("there is no CUDA device here")
    return Profile.load(profile.name, device=device)


def _memory() -> float | None:
    """The most that this process ever had, in GiB, or None where the system does not say."""
    try:
        import resource
    except ImportError:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


def _on_device(device: str) -> float | None:
    if device != "cuda":
        return None
    import torch

    return torch.cuda.max_memory_allocated() / 2**30
