"""Rate control: how many objects, how many words, and which reference rate fit a size limit.

``rate_for`` turns a limit into what a file may cost; ``choose`` decides, and says why. Words and
masks come first, as long as they leave the reference image its share; whatever is left goes to the
reference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sedic import methods
from sedic.coding.container import Container
from sedic.errors import LimitError
from sedic.semantics import (
    Rate,
)

if TYPE_CHECKING:
    from sedic.profile import Profile

LEAST_FOR_OBJECTS = 200  # bytes of a file, below which words on the whole say more than a mask
SEMANTIC_SHARE = 1 / 3  # of the limit, at most, for header, text and masks


@dataclass(frozen=True)
class Layers:
    """How much is said: objects, words for each, words for the whole."""

    objects: int
    detail_words: int
    overall_words: int


@dataclass(frozen=True)
class Choice:
    """What a file will hold, and why."""

    layers: Layers
    level: int
    reference: bytes
    reasons: tuple[str, ...]


def rate_for(
    width: int,
    height: int,
    *,
    bpp: float | None = None,
    max_bytes: int | None = None,
    method: str = "sedic",
    profile: Profile | None = None,
) -> Rate:
    """The rate of a limit of bytes or of bits per pixel (0.03 if neither is given).

    Objects and words are the method's. Where it leaves the number of objects open, they are no
    more than are worth their bytes with this ``profile``.
    """
    if max_bytes is None:
        bpp = 0.03 if bpp is None else bpp
        rate = Rate.of_bpp(bpp, width, height)
    else:
        bpp = min(64.0, max(1e-9, 8 * max_bytes / (width * height)))
        rate = replace(Rate.of_bpp(bpp, width, height), max_bytes=max_bytes)
    system = methods.load(method)
    if system.objects is None and profile is not None:
        worth = profile.objects_worth(bpp, rate.max_objects)
        rate = replace(rate, max_objects=worth if rate.max_bytes >= LEAST_FOR_OBJECTS else 0)
    return system.budget(rate)


def ladder(rate: Rate) -> Iterator[Layers]:
    """From all that the rate allows down to nothing: fewer words, fewer objects, no words."""
    yield Layers(rate.max_objects, rate.detail_words, rate.overall_words)
    detail, overall = min(rate.detail_words, 20), min(rate.overall_words, 30)
    for objects in range(rate.max_objects, -1, -1):
        yield Layers(objects, detail, overall)
    for words in (overall // 2, 0):
        yield Layers(0, detail, words)


def choose(
    rate: Rate,
    semantic_bytes: Callable[[Layers], int],
    reference: Callable[[int], bytes],
    levels: int,
) -> Choice:
    """The largest layers and then the highest reference level that ``rate`` has room for.

    ``semantic_bytes`` gives the bytes of everything but the reference, ``reference`` the bytes of
    one level (0 is the smallest). Raises ``LimitError``, naming the smallest possible size, where
    even that is above the limit.
    """
    smallest = reference(0)
    limit = rate.max_bytes
    reasons = [f"limit: {limit} bytes"]
    for layers in ladder(rate):
        spoken = semantic_bytes(layers)
        said = f"J = {layers.objects}, words {layers.detail_words}/{layers.overall_words} words"
        if spoken + len(smallest) > limit:
            reasons.append(f"{said}: {spoken} bytes leave no room for a reference image")
        elif layers.objects + layers.overall_words and spoken > SEMANTIC_SHARE * limit:
            reasons.append(f"{said}: {spoken} bytes, over {SEMANTIC_SHARE:.0%} of the limit")
        else:
            break
    else:
        least = spoken + len(smallest)
        raise LimitError(f"the smallest possible file of this picture has {least} bytes")
    reasons.append(f"{said}: {spoken} bytes, {spoken / limit:.0%} of the limit")
    room = limit - spoken
    level, data = 0, smallest
    low, high = 0, levels  # bytes grow with the level: bisect for the last one that fits
    while high - low > 1:
        middle = (low + high) // 2
        candidate = reference(middle)
        if len(candidate) <= room:
            low, level, data = middle, middle, candidate
        else:
            high = middle
    reasons.append(f"reference level {level} of 0 to {levels - 1}: {len(data)} of {room} bytes")
    return Choice(layers, level, data, tuple(reasons))


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
    spoken = total - parts["reference"]
    lines = [
        f"operating point at {total} bytes: J up to {point.max_objects}, "
        f"{point.detail_words} words each, {point.overall_words} overall",
        f"J = {container.object_count}; header, text and masks take {spoken} "
        f"bytes, {spoken / total:.0%} of the file (rate control allows {SEMANTIC_SHARE:.0%})",
    ]
    if container.reference_codec != "external" and container.reference:
        lines.append(
            f"the rest went to the reference image: {container.reference_codec} level "
            f"{container.reference[0]}, the highest that fitted"
        )
    return lines
