"""Rate control: how many objects, how many words, and which reference rate fit a size limit.

``rate_for`` turns a limit into a budget (``Rate``); ``choose`` spends it and gives its reasons.
Words and masks come first, as long as they leave the reference image its share; whatever is left
goes to the reference.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from sedic import methods
from sedic.coding.container import Container
from sedic.coding.scale import factor
from sedic.errors import LimitError
from sedic.level_search import Estimates, highest_that_fits
from sedic.semantics import MAX_NAME_WORDS, Rate

if TYPE_CHECKING:
    from sedic.profile import Profile

# From so many bytes of a file on, a mask is worth its bytes.
LEAST_FOR_OBJECTS = 200
# Files of fewer bytes get a sentence of at most ``SHORT_SENTENCE`` words. Words do not improve the
# picture; they serve search. Twelve words take five bytes and rank the right one of 24 pictures
# third on average; 24 words take three bytes more and rank it first. From 128 bytes on, these three
# cost at most .002 of LPIPS (``benchmarks/words.md``).
LEAST_FOR_LONG_SENTENCE = 128
SHORT_SENTENCE = 12
SEMANTIC_SHARE = 1 / 3  # of the limit, at most, for header, text and masks
LEAST_BYTES = 64  # always suffice
_LIKELY_BPP = 0.006  # of the coded size: more than half of all photographs fit in that


@dataclass(frozen=True)
class Layers:
    """Numbers of objects, of words for each object, and of words for the whole picture."""

    objects: int
    detail_words: int
    overall_words: int

    def __str__(self) -> str:
        return f"J = {self.objects}, words {self.detail_words}/{self.overall_words}"


NOTHING = Layers(0, MAX_NAME_WORDS, 0)


@dataclass(frozen=True)
class Choice:
    """What a file will hold, and ``reasons``: lines that explain it."""

    layers: Layers
    scale: int  # of ``coding.scale``
    level: int
    reference: bytes
    reasons: tuple[str, ...]
    ceiling: bool = False  # the reference codec has no higher level


class Attempt(Protocol):
    """A picture at one scale of ``coding.scale``."""

    scale: int

    @property
    def pixels(self) -> int:
        """Their number at that scale."""
        ...

    @property
    def carried_bytes(self) -> int:
        """Bytes of what travels with the picture, whatever the rate."""
        ...

    def semantic_bytes(self, layers: Layers) -> int:
        """Bytes of everything but the reference image and what is carried."""
        ...

    def reference(self, level: int) -> bytes:
        """The reference image at a level of the codec, 0 the smallest."""
        ...

    @property
    def estimates(self) -> Estimates | None:
        """Of the bytes of ``reference``, where the codec has some."""
        ...


def rate_for(
    width: int,
    height: int,
    *,
    bpp: float | None = None,
    max_bytes: int | None = None,
    method: str = "sedic",
    profile: Profile | None = None,
) -> Rate:
    """The rate of a limit of bytes or of bits per pixel.

    If neither is given, 0.03 bits per pixel, or the ``LEAST_BYTES`` that suffice for any picture.

    Objects and words are the method's. Where it leaves the number of objects open, they are no
    more than are worth their bytes with this ``profile``.
    """
    if max_bytes is None:
        rate = Rate.of_bpp(0.03 if bpp is None else bpp, width, height)
        if bpp is None and rate.max_bytes < LEAST_BYTES:
            rate = replace(rate, max_bytes=LEAST_BYTES)
        bpp = 0.03 if bpp is None else bpp
    else:
        bpp = min(64.0, max(1e-9, 8 * max_bytes / (width * height)))
        rate = replace(Rate.of_bpp(bpp, width, height), max_bytes=max_bytes)
    system = methods.method_named(method)
    if system.objects is None and profile is not None:
        worth = profile.objects_worth(bpp, rate.max_objects)
        rate = replace(rate, max_objects=worth if rate.max_bytes >= LEAST_FOR_OBJECTS else 0)
    if rate.max_bytes < LEAST_FOR_LONG_SENTENCE:
        rate = replace(rate, overall_words=min(rate.overall_words, SHORT_SENTENCE))
    return system.budget(rate)


def ladder(rate: Rate) -> Iterator[Layers]:
    """``Layers`` from all that the rate allows down to none: fewer words, fewer objects, no
    words."""
    yield Layers(rate.max_objects, rate.detail_words, rate.overall_words)
    detail, overall = min(rate.detail_words, 20), min(rate.overall_words, 30)
    for objects in range(rate.max_objects, -1, -1):
        yield Layers(objects, detail, overall)
    for words in (overall // 2, 10, 0):
        if words < overall:
            yield Layers(0, MAX_NAME_WORDS, words)


def choose(
    rate: Rate, attempts: Sequence[Attempt], levels: int, floors: Sequence[int] = ()
) -> Choice:
    """How ``rate`` is spent: on words and masks, then on the largest scale and the highest level.

    ``attempts`` are the picture at its scales, the largest first. ``floors`` holds for each scale
    the lowest level that looks better than the next scale with as many bytes; scales beyond the
    last one, and the last attempt, are used from level 0 on. Words that leave no room for any
    reference image are left out. Raises ``LimitError``, naming the smallest possible size, where
    even that is above the limit.
    """
    limit = rate.max_bytes
    for silent in (False, True):
        start, reasons = _largest(rate, attempts, floors, silent)
        if start.file_bytes > limit:
            continue
        attempt, layers, carried = start.attempt, start.layers, start.carried
        room = limit - carried - start.semantic_bytes
        if carried:
            reasons.append(f"what travels with the picture: {carried} bytes")
        level, data = highest_that_fits(
            attempt.reference,
            start.floor,
            start.smallest_reference,
            levels,
            room,
            attempt.estimates,
        )
        reasons += [
            f"{layers}: {start.semantic_bytes} bytes,"
            f" {start.semantic_bytes / (limit - carried):.0%} of the limit",
            f"reference level {level} of 0 to {levels - 1} at scale {factor(attempt.scale)}:"
            f" {len(data)} of {room} bytes",
        ]
        ceiling = attempt.scale == 0 and level == levels - 1
        return Choice(layers, attempt.scale, level, data, tuple(reasons), ceiling)
    beside = f", {start.carried} of them of what travels with it" if start.carried else ""
    raise LimitError(
        f"the smallest possible file of this picture has {start.file_bytes} bytes{beside}"
    )


@dataclass(frozen=True)
class _Start:
    """The smallest file worth sending at one scale, and why it is what it is."""

    attempt: Attempt
    layers: Layers
    semantic_bytes: int  # of all but the reference image and what travels with the picture
    floor: int
    smallest_reference: bytes  # the reference image at level ``floor``
    reasons: tuple[str, ...]

    @property
    def carried(self) -> int:
        return self.attempt.carried_bytes

    @property
    def file_bytes(self) -> int:
        return self.carried + self.semantic_bytes + len(self.smallest_reference)


def _largest(
    rate: Rate, attempts: Sequence[Attempt], floors: Sequence[int], silent: bool
) -> tuple[_Start, list[str]]:
    """The start of the largest scale that fits, or of the smallest scale, which does not either.

    A large scale takes long to analyse. So the search begins with a scale that probably fits and
    goes up as long as the next larger one fits, too.
    """
    limit, last = rate.max_bytes, len(attempts) - 1
    reasons = [f"limit: {limit} bytes"]

    def start(number: int) -> _Start:
        attempt, remarks = attempts[number], list[str]()
        layers = NOTHING if silent else _layers(rate, attempt, remarks)
        floor = floors[attempt.scale] if attempt.scale < len(floors) and number < last else 0
        return _Start(
            attempt,
            layers,
            attempt.semantic_bytes(layers),
            floor,
            attempt.reference(floor),
            tuple(remarks),
        )

    likely = (n for n, one in enumerate(attempts) if _LIKELY_BPP * one.pixels <= 8 * limit)
    number = next(likely, last)
    found = start(number)
    fits = found.file_bytes <= limit
    while (number > 0) if fits else (number < last):
        number += -1 if fits else 1
        other = start(number)
        if (other.file_bytes <= limit) != fits:
            if fits:
                reasons.append(_too_large(other))
            else:
                reasons.append(_too_large(found))
                found = other
            break
        found = other
    return found, [*reasons, *found.reasons]


def _too_large(start: _Start) -> str:
    scale = factor(start.attempt.scale)
    return f"scale {scale}: level {start.floor} would need {start.file_bytes} bytes"


def _layers(rate: Rate, attempt: Attempt, reasons: list[str]) -> Layers:
    """The most words and objects that take no more than their share."""
    limit = rate.max_bytes - attempt.carried_bytes
    for layers in ladder(rate):
        semantic_bytes = attempt.semantic_bytes(layers)
        if layers == NOTHING or semantic_bytes <= SEMANTIC_SHARE * limit:
            return layers
        reasons.append(f"{layers}: {semantic_bytes} bytes, over {SEMANTIC_SHARE:.0%} of the limit")
    return NOTHING


def explain(container: Container, profile: Profile) -> list[str]:
    """What a file shows of ``choose``: its operating point and where its bytes went."""
    parts = container.parts()
    total = sum(parts.values())
    point = rate_for(
        container.width,
        container.height,
        max_bytes=total,
        method=container.method,
        profile=profile,
    )
    beside = len(container.carried)
    semantic_bytes = total - parts["reference"] - beside
    lines = [
        f"operating point at {total} bytes: J up to {point.max_objects}, "
        f"{point.detail_words} words each, {point.overall_words} overall",
        f"J = {container.object_count}; header, text and masks take {semantic_bytes} "
        f"bytes, {semantic_bytes / max(1, total - beside):.0%} of the file (rate control allows "
        f"{SEMANTIC_SHARE:.0%})",
    ]
    if beside:
        lines.append(f"what travels with the picture takes {beside} bytes, before all else")
    if container.reference_codec != "external" and container.reference:
        lines.append(
            f"the rest went to the reference image: {container.reference_codec} at scale "
            f"{factor(container.scale)}, at the highest level that fitted"
        )
    return lines
