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
# Bytes by which a file may be shorter than its bits say: each in one case of 256, and those that
# the range coder's own rounding of chances makes of so many.
_LUCK, _ROUNDED = 2, 1000
_LOOK_AHEAD = 2  # levels that are tried where a codec estimates nothing
# Sums of many small numbers vary as the square root of them: so many times that of the bytes that
# there may be, at most, is an estimate off, and are sizes above them before they fall again.
_OFF, _DIP = 0.4, 2.0

Encode = Callable[[int], bytes]


class Estimates(Protocol):
    """What a codec knows of the bytes of a picture's levels without coding."""

    @property
    def fall(self) -> bool:
        """Whether bytes may fall far from one level to a higher one."""
        ...

    def sizes(self, levels: Sequence[int], most: int, *, exact: bool) -> Sequence[float]:
        """Bytes at some levels, from their bits if ``exact``, else but for a few; of more than
        ``most`` only that they are more."""
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
        hopes: Iterable[int] = range(high + 1, min(high + 1 + _LOOK_AHEAD, levels))
    elif estimates.fall:
        some = range(low + 1, levels)
        most = room + _LUCK + room // _ROUNDED
        sizes = estimates.sizes(some, most, exact=True)
        hopes = (level for level, size in zip(some, sizes, strict=True) if size <= most)
    else:
        hopes = _near_hopes(estimates, low, len(data), levels, room)
    for level in sorted(hopes, reverse=True):
        candidate = encode(level)
        if len(candidate) <= room:
            return level, candidate
    return low, data


def _by_halves(
    encode: Encode, low: int, data: bytes, levels: int, room: int
) -> tuple[int, bytes, int]:
    """A level that fits, its bytes, and the next one, which does not or is none."""
    high = levels
    while high - low > 1:
        middle = (low + high) // 2
        candidate = encode(middle)
        if len(candidate) <= room:
            low, data = middle, candidate
        else:
            high = middle
    return low, data, high


def _near_hopes(
    estimates: Estimates, low: int, size: float, levels: int, room: int
) -> Iterator[int]:
    """The levels above ``low``, which has ``size`` bytes, that may fit where sizes rise, but for
    small dips: first some whose estimates are far from what there may be, then those that are near.
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
