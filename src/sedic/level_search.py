"""The highest level of a reference codec whose bytes fit.

Bytes grow by about the same factor from level to level, but not for every picture: in a flat area
all symbols change at once, and a level may take fewer bytes than one far below it. So a level that
is too large says nothing of those above.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from math import ceil, log, sqrt
from typing import Protocol

_GROWTH = log(1.0155)  # of the bytes from one level to the next, about
_GUESSES = 6
_TOGETHER = 3  # levels that are estimated at once
# A file may be shorter than its bits say: by ``_LUCK`` bytes, since the range coder leaves out last
# bytes that any continuation gives, and by one byte in ``_ROUNDED``, since it rounds probabilities.
_LUCK, _ROUNDED = 2, 1000
_LOOK_AHEAD = 2  # levels that are tried where a codec estimates nothing
# In units of the square root of ``room``, measured on photographs and noise: how far an estimate
# may be from the size, and how far sizes may rise above ``room`` and fall below it again.
_OFF, _DIP = 0.4, 2.0

Encode = Callable[[int], bytes]


class Estimates(Protocol):
    """What a codec knows of the bytes of a picture's levels without coding."""

    @property
    def fall(self) -> bool:
        """Whether bytes may fall far from one level to a higher one."""
        ...

    def sizes(self, levels: Sequence[int], most: int, *, exact: bool) -> Sequence[float]:
        """The bytes of each level. ``exact``: from its bits; else an estimate, which takes less
        time. Where a level needs more than ``most`` bytes, any number above ``most`` will do."""
        ...


def highest_that_fits(
    encode: Encode,
    low: int,
    data: bytes,
    levels: int,
    room: int,
    estimates: Estimates | None = None,
) -> tuple[int, bytes]:
    """The highest level from ``low`` on, whose bytes are ``data``, with at most ``room`` bytes.

    Of a codec that estimates nothing only the next two are tried above the first level that is
    found to be too large.
    """
    if estimates is None:
        low, data, high = _by_halves(encode, low, data, levels, room)
        candidates: Iterable[int] = range(high + 1, min(high + 1 + _LOOK_AHEAD, levels))
    elif estimates.fall:
        some = range(low + 1, levels)
        most = room + _LUCK + room // _ROUNDED
        sizes = estimates.sizes(some, most, exact=True)
        candidates = (level for level, size in zip(some, sizes, strict=True) if size <= most)
    else:
        candidates = _near_candidates(estimates, low, len(data), levels, room)
    for level in sorted(candidates, reverse=True):
        file = encode(level)
        if len(file) <= room:
            return level, file
    return low, data


def _by_halves(
    encode: Encode, low: int, data: bytes, levels: int, room: int
) -> tuple[int, bytes, int]:
    """A level that fits, its bytes, and the next one, which does not or is none."""
    high = levels
    while high - low > 1:
        middle = (low + high) // 2
        file = encode(middle)
        if len(file) <= room:
            low, data = middle, file
        else:
            high = middle
    return low, data, high


def _near_candidates(
    estimates: Estimates, low: int, size: float, levels: int, room: int
) -> Iterator[int]:
    """The levels above ``low`` that may fit, for a picture whose sizes rise but for small dips.

    ``size``: the bytes of level ``low``. First a search by estimates finds the levels around
    ``room``; then levels are estimated from there on, until all are too large by ``_DIP``.
    """
    off, most = max(_LUCK, _OFF * sqrt(room)), ceil(room + _LUCK + _DIP * sqrt(room))
    known: dict[int, float] = {low: size}
    start, high = low, levels
    for _ in range(_GUESSES):
        if high - low <= _TOGETHER:
            break
        growth = _GROWTH
        if high < levels:
            growth = max(log(known[high] / known[low]) / (high - low), _GROWTH / 4)
        guess = low + int(log(max(room - off, 1) / known[low]) / growth)
        guess = min(max(guess, low + 1), high - 1)
        (known[guess],) = estimates.sizes([guess], 1 << 30, exact=False)
        if known[guess] <= room - off:
            low = guess
        else:
            high = guess
    yield from (level for level in known if start < level <= low)
    for first in range(low + 1, levels, _TOGETHER):
        some = range(first, min(first + _TOGETHER, levels))
        unknown = [level for level in some if level not in known]
        known.update(zip(unknown, estimates.sizes(unknown, most, exact=False), strict=True))
        yield from (level for level in some if known[level] <= room + off)
        if min(known[level] for level in some) > most:
            return
