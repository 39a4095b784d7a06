"""The coded size: a picture may be coded smaller than it is, and is enlarged again at the end.

A file names a scale by a number of four bits: 0 is the full size, 1 three quarters, 2 a half, 3
three eighths, and so on; every second one halves. Words and masks, reference image and synthesis
work at the coded size.
"""

from __future__ import annotations

SCALES = 16


def factor(scale: int) -> float:
    """Coded pixels per original pixel, along a side: 1, 3/4, 1/2, 3/8, ... 3/512."""
    return (4 - scale % 2) / (4 << scale // 2)


def coded_size(width: int, height: int, scale: int) -> tuple[int, int]:
    """The coded width and height: the original's times ``factor``, rounded, at least 1."""
    times, whole = 4 - scale % 2, 4 << scale // 2
    coded = [max(1, (side * times + whole // 2) // whole) for side in (width, height)]
    return coded[0], coded[1]
